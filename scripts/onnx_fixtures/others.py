"""Joined and cut tensors, norms, sequences, integers, foreign operators, and files of samples."""

import json

import numpy as np

from .builder import FLOAT, INT64, SAMPLES, fixture, perceptron


@fixture("op-concat", "Concat of two branches")
def concat(net):
    x = net.input("x", "n", 8)
    branches = [net.node("Relu", net.gemm(x, 8, 6)), net.node("Relu", net.gemm(x, 8, 4))]
    net.end(net.node("Concat", *branches, axis=-1), 10, 3)


@fixture("op-split", "Split into unequal parts, of which one is a gate")
def split(net):
    x = net.gemm(net.input("x", "n", 8), 8, 20)
    value, gate, rest = net.node("Split", x, net.ints(8, 8, 4), axis=1, outputs=3)
    net.end(net.node("Concat", net.node("Mul", value, net.node("Sigmoid", gate)), rest, axis=1), 12, 3)


@fixture("op-slice", "Slice of every second entry, from the third on")
def cut(net):
    x = net.node("Slice", net.input("x", "n", 8), net.ints(2), net.ints(2**62), net.ints(1), net.ints(2))
    net.end(x, 3, 3)


@fixture("op-gather", "Gather of columns, one of them twice")
def gather(net):
    net.end(net.node("Gather", net.input("x", "n", 8), net.ints(5, 0, 3, 5), axis=1), 4, 3)


@fixture("op-layer-norm", "LayerNormalization")
def layer_norm(net):
    scale, bias = net.drawn(16) + np.float32(1), net.drawn(16)
    constants = [net.constant(scale), net.constant(bias)]
    perceptron(net, lambda x: net.node("LayerNormalization", x, *constants, axis=-1, epsilon=1e-5))


@fixture("op-rms-norm", "RMSNorm written out: Pow, ReduceMean, Add, Sqrt, Div, Mul")
def rms_norm(net):
    def build(x):
        mean = net.node("ReduceMean", net.node("Pow", x, net.scalar(2)), axes=[-1], keepdims=1)
        root = net.node("Sqrt", net.node("Add", mean, net.scalar(1e-6)))
        return net.node("Mul", net.node("Div", x, root), net.constant(net.drawn(16)))

    perceptron(net, build)


def recurrent(net, op, gates, **attributes):
    """A layer over a sequence, and a product of its last item's state."""
    inputs, hidden = 4, 6
    x = net.node("Transpose", net.input("x", "n", 5, inputs), perm=[1, 0, 2])
    sizes = [(1, gates * hidden, inputs), (1, gates * hidden, hidden), (1, 2 * gates * hidden)]
    weights = [net.constant(net.drawn(*each, scale=0.4)) for each in sizes]
    states = net.node(op, x, *weights, hidden_size=hidden, outputs=3 if op == "LSTM" else 2, **attributes)[0]
    states = net.node("Transpose", net.node("Squeeze", states, net.ints(1)), perm=[1, 0, 2])
    net.end(net.node("Gather", states, net.constant(np.array(-1, dtype=np.int64)), axis=1), hidden, 3)


@fixture("op-lstm", "LSTM as PyTorch writes it")
def lstm(net):
    recurrent(net, "LSTM", 4)


@fixture("op-gru", "GRU as PyTorch writes it: the reset gate after the product")
def gru(net):
    recurrent(net, "GRU", 3, linear_before_reset=1)


@fixture("op-attention", "self-attention with two heads: MatMul, Softmax, MatMul")
def attention(net):
    length, width, heads = 5, 8, 2
    x = net.input("x", "n", length, width)

    def product(x):
        x = net.node("MatMul", x, net.constant(net.drawn(width, width, scale=0.4)))
        return net.node("Add", x, net.constant(net.drawn(width, scale=0.2)))

    def divided(order):
        parts = net.node("Reshape", product(x), net.ints(0, length, heads, width // heads))
        return net.node("Transpose", parts, perm=order)

    query, key, value = divided([0, 2, 1, 3]), divided([0, 2, 3, 1]), divided([0, 2, 1, 3])
    scores = net.node("Div", net.node("MatMul", query, key), net.scalar(2))
    mixed = net.node("MatMul", net.node("Softmax", scores, axis=-1), value)
    joined = net.node("Reshape", net.node("Transpose", mixed, perm=[0, 2, 1, 3]), net.ints(0, length, width))
    net.node("Add", x, product(joined), out="y")
    net.output("y", "n", length, width)


def quantised(net, array, scale):
    """The constant of int8 that stands for `array`, its scale and its zero."""
    integers = np.clip(np.rint(array / scale), -127, 127).astype(np.int8)
    return net.constant(integers), net.scalar(scale), net.constant(np.array(0, dtype=np.int8))


@fixture("op-qdq", "QuantizeLinear and DequantizeLinear around a product")
def qdq(net):
    scale, zero = net.scalar(0.03), net.constant(np.array(0, dtype=np.int8))
    x = net.node("QuantizeLinear", net.input("x", "n", 8), scale, zero)
    x = net.node("DequantizeLinear", x, scale, zero)
    weights = net.node("DequantizeLinear", *quantised(net, net.weights(5, 8), np.float32(0.01)))
    net.node("Gemm", x, weights, net.constant(net.drawn(5)), transB=1, out="y")
    net.output("y", "n", 5)


@fixture("op-qlinear-matmul", "QLinearMatMul between QuantizeLinear and DequantizeLinear")
def qlinear(net):
    scale, zero = net.scalar(0.03), net.constant(np.array(128, dtype=np.uint8))
    x = net.node("QuantizeLinear", net.input("x", "n", 8), scale, zero)
    weights = quantised(net, net.weights(5, 8).T, np.float32(0.01))
    outer = net.scalar(0.04), net.constant(np.array(120, dtype=np.uint8))
    x = net.node("QLinearMatMul", x, scale, zero, *weights, *outer)
    net.node("DequantizeLinear", x, *outer, out="y")
    net.output("y", "n", 5)


@fixture("op-dynamic-quantize", "DynamicQuantizeLinear, MatMulInteger, Cast, Mul and Add")
def dynamic(net):
    x, scale, zero = net.node("DynamicQuantizeLinear", net.input("x", "n", 8), outputs=3)
    weights, weight_scale, weight_zero = quantised(net, net.weights(5, 8).T, np.float32(0.01))
    sums = net.node("Cast", net.node("MatMulInteger", x, weights, zero, weight_zero), to=FLOAT)
    sums = net.node("Mul", sums, net.node("Mul", scale, weight_scale))
    net.node("Add", sums, net.constant(net.drawn(5)), out="y")
    net.output("y", "n", 5)


def plain(net, samples):
    """A perceptron with ReLU, whose file is nothing special."""
    x = net.node("Relu", net.gemm(net.input("x", "n", 8, samples=samples), 8, 16))
    net.end(x, 16, 3)


@fixture("features-of-far-scales", "features whose sizes differ by a factor of a million")
def far_scales(net):
    sizes = np.logspace(-3, 3, 8).astype(np.float32)
    x = net.input("x", "n", 8, samples=sizes * net.drawn(SAMPLES, 8))
    weights = net.constant(net.weights(16, 8) / sizes)
    net.end(net.node("Relu", net.node("Gemm", x, weights, net.constant(net.drawn(16)), transB=1)), 16, 3)


@fixture("input-beyond-calibration", "`calibration.npy` is six times as small as the last two samples")
def beyond(net):
    samples = net.drawn(SAMPLES, 8)
    samples[-2:] *= 6
    plain(net, samples)
    net.arrays["calibration.npy"] = net.drawn(SAMPLES, 8)


@fixture("new-input-same-key", "a batch of 1, and samples other than those of `calibration.npy`", 20)
def new_input(net):
    x = net.node("Relu", net.gemm(net.input("x", 1, 4), 4, 8))
    net.gemm(x, 8, 3, out="y")
    net.output("y", 1, 3)
    net.arrays["calibration.npy"] = net.drawn(SAMPLES, 4)


@fixture("regression-scale", "one output, of a size around 1000")
def regression(net):
    x = net.node("Relu", net.gemm(net.input("x", "n", 8), 8, 16))
    weights, bias = net.drawn(1, 16, scale=90), np.array([1000], dtype=np.float32)
    net.node("Gemm", x, net.constant(weights), net.constant(bias), transB=1, out="y")
    net.output("y", "n", 1)


@fixture("external-data-mlp", "weights in `model.onnx.data`, and a batch of 1", 20)
def external(net):
    x = net.node("Flatten", net.input("x", 1, 1, 8, 8), axis=1)
    net.gemm(net.node("Relu", net.gemm(x, 64, 16)), 16, 10, out="y")
    net.output("y", 1, 10)
    net.external = True


@fixture("torch-fashion-mlp", "a grey image without channels, with a batch of 1, and Flatten", 20)
def fashion(net):
    x = net.node("Flatten", net.input("x", 1, 8, 8), axis=1)
    net.gemm(net.node("Relu", net.gemm(x, 64, 16)), 16, 10, out="y")
    net.output("y", 1, 10)


def linear_classifier(net, inputs):
    """LinearClassifier of three classes, with probabilities, over an input of skl2onnx's kind."""
    net.opsets["ai.onnx.ml"] = 1
    x = net.input("X", None, inputs, samples=net.drawn(SAMPLES, inputs))
    weights, offsets = net.drawn(3 * inputs).tolist(), net.drawn(3).tolist()
    attributes = {"coefficients": weights, "intercepts": offsets, "classlabels_ints": [0, 1, 2]}
    attributes |= {"multi_class": 0, "post_transform": "SOFTMAX"}
    return net.node("LinearClassifier", x, domain="ai.onnx.ml", outputs=2, **attributes)


@fixture("sklearn-logreg", "LinearClassifier and Normalizer of ai.onnx.ml: a label and probabilities", 9)
def logistic(net):
    label, scores = linear_classifier(net, 4)
    net.node("Normalizer", scores, domain="ai.onnx.ml", norm="L1", out="probabilities")
    net.node("Identity", label, out="label")
    net.output("label", None, kind=INT64)
    net.output("probabilities", None, 3)


@fixture("ml-linear-classifier", "LinearClassifier and ZipMap of ai.onnx.ml: the probabilities are a map", 13)
def zip_map(net):
    label, scores = linear_classifier(net, 6)
    net.node("ZipMap", scores, domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2], out="probabilities")
    net.node("Identity", label, out="label")
    net.output("label", None, kind=INT64)
    net.output_map("probabilities")


@fixture("ml-normalizer", "Normalizer of ai.onnx.ml: each row gets the length 1", 13)
def normalizer(net):
    net.opsets["ai.onnx.ml"] = 1
    x = net.input("X", None, 6, samples=net.drawn(SAMPLES, 6))
    x = net.node("Normalizer", x, domain="ai.onnx.ml", norm="L2")
    net.gemm(x, 6, 3, out="y")
    net.output("y", None, 3)


@fixture("sklearn-regressor", "skl2onnx's form of MLPRegressor: Cast, MatMul, Add, Relu, Reshape", 21)
def regressor(net):
    x = net.node("Cast", net.input("X", None, 10, samples=net.drawn(SAMPLES, 10)), to=FLOAT)
    x = net.node("MatMul", x, net.constant(net.drawn(10, 16, scale=0.4)))
    x = net.node("Relu", net.node("Add", x, net.constant(net.drawn(1, 16))))
    x = net.node("MatMul", x, net.constant(net.drawn(16, 1, scale=0.4)))
    net.node("Reshape", net.node("Add", x, net.constant(net.drawn(1, 1))), net.ints(-1, 1), out="variable")
    net.output("variable", None, 1)


def lines(samples, separator=","):
    return [separator.join(f"{value:.6g}" for value in row) for row in samples]


def text(name, what, file, write):
    """A fixture whose samples are also in a file of text."""

    @fixture(name, what)
    def build(net):
        samples = net.drawn(SAMPLES, 8)
        content = write(samples)
        # The array has what the text says.
        samples = np.array([[float(f"{value:.6g}") for value in row] for row in samples], dtype=np.float32)
        plain(net, samples)
        net.files[file] = content.encode()


NAMES = "abcdefgh"
CSV = "samples.csv"
text("samples-blank-end-csv", "a blank line at the end", CSV, lambda all: "\n".join(lines(all)) + "\n\n")
text("samples-header-csv", "a first line of names", CSV, lambda all: "\n".join([",".join(NAMES), *lines(all)]) + "\n")
text("samples-semicolon-csv", "semicolons", CSV, lambda all: "\n".join(lines(all, ";")) + "\n")
text("samples-trailing-comma-csv", "a comma at each line's end", CSV, lambda all: ",\n".join([*lines(all), ""]))


@fixture("samples-ezkl-input-json", "`input.json` as EZKL writes it: `input_data` has one row for each input")
def ezkl(net):
    samples = np.round(net.drawn(SAMPLES, 8), 5)
    plain(net, samples)
    rows = [[round(float(value), 5) for value in row] for row in samples]
    net.files["input.json"] = (json.dumps({"input_data": rows}) + "\n").encode()


@fixture("batch-by-shape", "a batch under a neutral name, which Shape, Gather, Concat and Reshape follow")
def by_shape(net):
    x = net.input("x", "s55", 2, 6)
    size = net.node("Gather", net.node("Shape", x), net.ints(0), axis=0)
    x = net.node("Reshape", x, net.node("Concat", size, net.ints(-1), axis=0))
    net.end(net.node("Relu", net.gemm(x, 12, 16)), 16, 3)


@fixture("batch-beside-heads", "a class token for every sample, and attention whose stack is of samples and heads")
def beside_heads(net):
    length, width, heads = 4, 8, 2
    x = net.input("x", "unk__1", length - 1, width)
    size = net.node("Gather", net.node("Shape", x), net.ints(0), axis=0)
    token = net.node("Expand", net.constant(net.drawn(1, 1, width)), net.node("Concat", size, net.ints(1, width), axis=0))
    x = net.node("Transpose", net.node("Concat", token, x, axis=1), perm=[1, 0, 2])
    stack = net.node("Mul", size, net.ints(heads))
    to = net.node("Concat", net.ints(length), stack, net.ints(width // heads), axis=0)

    def divided(order):
        sums = net.node("MatMul", x, net.constant(net.drawn(width, width, scale=0.4)))
        return net.node("Transpose", net.node("Reshape", sums, to), perm=order)

    query, key, value = divided([1, 0, 2]), divided([1, 2, 0]), divided([1, 0, 2])
    scores = net.node("Div", net.node("MatMul", query, key), net.scalar(2))
    mixed = net.node("Transpose", net.node("MatMul", net.node("Softmax", scores, axis=-1), value), perm=[1, 0, 2])
    joined = net.node("Concat", net.ints(length), size, net.ints(width), axis=0)
    first = net.node("Gather", net.node("Reshape", mixed, joined), net.constant(np.array(0, dtype=np.int64)), axis=0)
    net.end(first, width, 3)


@fixture("batch-mixed-rows", "a first dimension that is no batch: each row loses the mean of all; three rows are a sample")
def mixed_rows(net):
    x = net.input("x", "s55", 4, samples=net.drawn(SAMPLES, 3, 4))
    net.node("Sub", x, net.node("ReduceMean", x, axes=[0], keepdims=1), out="y")
    net.output("y", "s55", 4)
