"""Perceptrons: activations, elementwise operators, ends, and the type of the input."""

import numpy as np

from .builder import DOUBLE, FLOAT, INT64, SAMPLES, UINT8, fixture, perceptron


def activation(name, op, what, **attributes):
    """A fixture of a perceptron whose activation is one node."""

    @fixture(name, what)
    def build(net):
        perceptron(net, lambda x: net.node(op, x, **attributes))


def with_constant(name, op, what, value):
    """A fixture of a perceptron with a node of a value and a constant."""

    @fixture(name, what)
    def build(net):
        perceptron(net, lambda x: net.node(op, x, net.scalar(value)))


activation("op-leaky-relu", "LeakyRelu", "LeakyRelu with the slope 0.1", alpha=0.1)
activation("op-tanh", "Tanh", "Tanh")
activation("op-elu", "Elu", "Elu with alpha 0.8", alpha=0.8)
activation("op-hardswish", "HardSwish", "HardSwish")
activation("op-hardsigmoid", "HardSigmoid", "HardSigmoid with PyTorch's alpha of 1/6", alpha=1 / 6, beta=0.5)
activation("op-softplus", "Softplus", "Softplus")
activation("op-abs", "Abs", "Abs")
activation("op-neg", "Neg", "Neg: minus its input")
with_constant("op-max-with-zero", "Max", "Max with the constant 0, as some exporters write ReLU", 0)
with_constant("op-min", "Min", "Min with the constant 0.5", 0.5)
with_constant("op-pow", "Pow", "Pow with the exponent 2", 2)


@fixture("op-clip-relu6", "Clip between the constants 0 and 6, both of which are reached")
def clip(net):
    x = net.gemm(net.input("x", "n", 8, samples=net.drawn(SAMPLES, 8, scale=4)), 8, 16)
    net.end(net.node("Clip", x, net.scalar(0), net.scalar(6)), 16, 3)


@fixture("op-prelu", "PRelu with a slope of each entry")
def prelu(net):
    perceptron(net, lambda x: net.node("PRelu", x, net.constant(np.abs(net.drawn(16, scale=0.3)))))


@fixture("op-silu", "SiLU as Sigmoid and Mul")
def silu(net):
    perceptron(net, lambda x: net.node("Mul", x, net.node("Sigmoid", x)))


@fixture("op-gelu-erf", "GELU written out with Erf")
def gelu_erf(net):
    def build(x):
        erf = net.node("Erf", net.node("Div", x, net.scalar(np.sqrt(2))))
        return net.node("Mul", net.node("Mul", x, net.node("Add", erf, net.scalar(1))), net.scalar(0.5))

    perceptron(net, build)


@fixture("op-gelu-tanh", "GELU written out with Tanh")
def gelu_tanh(net):
    def build(x):
        cube = net.node("Mul", net.node("Pow", x, net.scalar(3)), net.scalar(0.044715))
        inner = net.node("Mul", net.node("Add", x, cube), net.scalar(np.sqrt(2 / np.pi)))
        outer = net.node("Add", net.node("Tanh", inner), net.scalar(1))
        return net.node("Mul", net.node("Mul", x, net.scalar(0.5)), outer)

    perceptron(net, build)


@fixture("op-sqrt", "Sqrt of a ReLU plus 0.1")
def sqrt(net):
    perceptron(net, lambda x: net.node("Sqrt", net.node("Add", net.node("Relu", x), net.scalar(0.1))))


@fixture("op-where", "Where and Greater, as some write a leaky ReLU")
def where(net):
    def build(x):
        return net.node("Where", net.node("Greater", x, net.scalar(0)), x, net.node("Mul", x, net.scalar(0.2)))

    perceptron(net, build)


@fixture("op-cast-no-op", "Cast of float to float")
def cast(net):
    perceptron(net, lambda x: net.node("Relu", net.node("Cast", x, to=FLOAT)))


@fixture("op-mul-constant", "Mul with a constant of each entry, after ReLU")
def mul_constant(net):
    perceptron(net, lambda x: net.node("Mul", net.node("Relu", x), net.constant(net.drawn(16))))


@fixture("op-bias-after-relu", "Add of a constant after ReLU, as the end")
def bias_after_relu(net):
    x = net.node("Relu", net.gemm(net.input("x", "n", 8), 8, 5))
    net.node("Add", x, net.constant(net.drawn(5)), out="y")
    net.output("y", "n", 5)


@fixture("op-sum", "Sum of two products of one input")
def sums(net):
    x = net.input("x", "n", 8)
    net.node("Sum", net.gemm(x, 8, 5), net.gemm(x, 8, 5), out="y")
    net.output("y", "n", 5)


@fixture("op-scaler-sub-div", "Sub and Div by constants before the first product, as a scaler")
def scaler(net):
    means = net.drawn(8, scale=20)
    sizes = np.array([1, 100, 0.1, 5, 30, 0.02, 2, 10], dtype=np.float32)
    x = net.input("x", "n", 8, samples=means + sizes * net.drawn(SAMPLES, 8))
    net.end(net.node("Div", net.node("Sub", x, net.constant(means)), net.constant(sizes)), 8, 3)


@fixture("op-bn-1d", "BatchNormalization of rows, after ReLU")
def bn_1d(net):
    def build(x):
        positive = [np.abs(net.drawn(16)) + np.float32(0.5) for _ in range(2)]
        parameters = [positive[0], net.drawn(16), net.drawn(16, scale=0.5), positive[1]]
        return net.node("BatchNormalization", net.node("Relu", x), *map(net.constant, parameters))

    perceptron(net, build)


def ending(name, op, what, **attributes):
    """A fixture of a perceptron that ends in one further node."""

    @fixture(name, what)
    def build(net):
        x = net.node("Relu", net.gemm(net.input("x", "n", 8), 8, 16))
        net.node(op, net.gemm(x, 16, 3), out="y", **attributes)
        net.output("y", "n", 3)


ending("op-softmax-end", "Softmax", "Softmax as the end", axis=1)
ending("op-logsoftmax-end", "LogSoftmax", "LogSoftmax as the end", axis=-1)


@fixture("op-argmax-end", "ArgMax as the end: the output is of int64")
def argmax_end(net):
    x = net.node("Relu", net.gemm(net.input("x", "n", 8), 8, 16))
    net.node("ArgMax", net.gemm(x, 16, 6), axis=1, keepdims=0, out="y")
    net.output("y", "n", kind=INT64)


@fixture("op-double", "an input, weights and an output of float64")
def double(net):
    x = net.input("x", "n", 8, kind=DOUBLE, samples=net.drawn(SAMPLES, 8).astype(np.float64))
    weights, bias = (net.constant(net.drawn(*sizes).astype(np.float64)) for sizes in [(5, 8), (5,)])
    net.node("Gemm", x, weights, bias, transB=1, out="y")
    net.output("y", "n", 5, kind=DOUBLE)


@fixture("op-f16-weights-cast", "weights of float16, and a Cast to float")
def f16_weights(net):
    x = net.input("x", "n", 8)
    weights = net.node("Cast", net.constant(net.drawn(5, 8).astype(np.float16)), to=FLOAT)
    net.node("Gemm", x, weights, net.constant(net.drawn(5)), transB=1, out="y")
    net.output("y", "n", 5)


@fixture("op-rank1-input", "an input without a batch: one row")
def rank1(net):
    x = net.input("x", 16, samples=net.drawn(SAMPLES, 16))
    net.node("Add", net.node("MatMul", x, net.constant(net.drawn(16, 4))), net.constant(net.drawn(4)), out="y")
    net.output("y", 4)


@fixture("input-uint8", "an input of bytes, and a Cast to float")
def uint8(net):
    samples = net.numbers.integers(0, 256, size=(SAMPLES, 8)).astype(np.uint8)
    x = net.node("Cast", net.input("x", "n", 8, kind=UINT8, samples=samples), to=FLOAT)
    weights = net.drawn(5, 8, scale=0.02)
    net.node("Gemm", x, net.constant(weights), net.constant(net.drawn(5)), transB=1, out="y")
    net.output("y", "n", 5)


@fixture("input-two-outputs", "two outputs: a product and its ReLU")
def two_outputs(net):
    y = net.gemm(net.input("x", "n", 8), 8, 5, out="y")
    net.node("Relu", y, out="h")
    net.output("y", "n", 5)
    net.output("h", "n", 5)


@fixture("input-two-inputs", "two inputs of different sizes, joined by Concat")
def two_inputs(net):
    left = net.node("Relu", net.gemm(net.input("left", "n", 8), 8, 8))
    right = net.node("Relu", net.gemm(net.input("right", "n", 4), 4, 8))
    net.end(net.node("Concat", left, right, axis=1), 16, 3)
