"""The integer forms of a float file, as ONNX Runtime's own tools write them."""

import logging

from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static


class Reader(CalibrationDataReader):
    """One sample at a time, under the input's name."""

    def __init__(self, samples):
        self.rest = iter([{"x": samples[at : at + 1]} for at in range(len(samples))])

    def get_next(self):
        return next(self.rest, None)


def quantise(floats, path, form, samples):
    logging.disable(logging.WARNING)
    if form == "dynamic":
        # ConvInteger of ONNX Runtime takes unsigned weights alone.
        quantize_dynamic(floats, path, weight_type=QuantType.QUInt8)
        return
    formats = {"qdq": QuantFormat.QDQ, "qoperator": QuantFormat.QOperator}
    quantize_static(floats, path, Reader(samples), quant_format=formats[form])
