"""The ONNX zoo: networks as the usual exporters write them, for scripts/make-onnx-zoo.py."""
