"""Small ONNX files, one for each thing that an importer can get wrong, for scripts/make-onnx-fixtures.py."""
