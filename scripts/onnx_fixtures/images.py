"""Networks of images: convolutions, pools, padding, sizes, normalisation by channel."""

import numpy as np

from .builder import fixture


def convolution(name, what, outputs=6, **attributes):
    """A fixture of one convolution, its ReLU, the mean of each channel and a product."""

    @fixture(name, what)
    def build(net):
        x = net.input("x", "n", 3, 8, 8)
        net.pooled(net.node("Relu", net.conv(x, 3, outputs, **attributes)), outputs, 2)


convolution("op-conv-depthwise", "Conv with a group of each channel", 3, group=3, pads=[1, 1, 1, 1])
convolution("op-conv-dilated", "Conv with dilations 2", dilations=[2, 2])


@fixture("op-conv-group2", "Conv with two groups")
def group2(net):
    x = net.input("x", "n", 4, 8, 8)
    net.pooled(net.node("Relu", net.conv(x, 4, 6, group=2, pads=[1, 1, 1, 1])), 6, 2)


@fixture("op-conv-pad-ge-kernel", "Conv whose padding is as wide as its kernel")
def wide_padding(net):
    x = net.input("x", "n", 3, 4, 4)
    net.pooled(net.node("Relu", net.conv(x, 3, 4, kernel=2, pads=[2, 2, 2, 2])), 4, 2)


@fixture("op-conv1d", "Conv over one axis")
def conv1d(net):
    x = net.input("x", "n", 4, 16)
    x = net.node("Relu", net.conv(x, 4, 6, kernel=(3,), strides=[2], pads=[1, 1]))
    net.end(net.node("Flatten", x), 48, 2)


@fixture("op-conv-transpose", "ConvTranspose that doubles the sides, with an output padding")
def conv_transpose(net):
    x = net.node("Relu", net.conv(net.input("x", "n", 2, 8, 8), 2, 4, strides=[2, 2], pads=[1, 1, 1, 1]))
    weights, bias = net.weights(4, 3, 3, 3), net.drawn(3, scale=0.2)
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}
    net.node("ConvTranspose", x, net.constant(weights), net.constant(bias), out="y", **attributes)
    net.output("y", "n", 3, 8, 8)


@fixture("op-pad-then-conv", "Pad with zeros, more at the ends, then Conv")
def pad(net):
    x = net.node("Pad", net.input("x", "n", 3, 8, 8), net.ints(0, 0, 0, 0, 0, 0, 1, 1), mode="constant")
    net.pooled(net.node("Relu", net.conv(x, 3, 4, strides=[2, 2])), 4, 2)


@fixture("op-bn-first", "BatchNormalization before the first Conv, which pads")
def bn_first(net):
    parameters = [np.abs(net.drawn(3)) + 0.5, net.drawn(3), net.drawn(3), np.abs(net.drawn(3)) + 0.5]
    constants = [net.constant(each.astype(np.float32)) for each in parameters]
    x = net.node("BatchNormalization", net.input("x", "n", 3, 8, 8), *constants)
    net.pooled(net.node("Relu", net.conv(x, 3, 6, pads=[1, 1, 1, 1])), 6, 4)


def pool(name, what, side, left, **attributes):
    """A fixture of an average pool that leaves `left` entries a side."""

    @fixture(name, what)
    def build(net):
        x = net.node("AveragePool", net.input("x", "n", 3, side, side), **attributes)
        net.end(net.node("Flatten", x), 3 * left * left, 2)


pool(
    "op-avgpool-count-include-pad",
    "AveragePool that counts the padding",
    *(8, 4),
    **{"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
)
pool(
    "op-avgpool-ceil",
    "AveragePool whose last windows reach beyond the image",
    *(7, 4),
    **{"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
)


@fixture("op-global-max-pool", "GlobalMaxPool")
def global_max_pool(net):
    net.end(net.node("Flatten", net.node("GlobalMaxPool", net.input("x", "n", 3, 8, 8))), 3, 2)


@fixture("op-reduce-mean-head", "ReduceMean over height and width")
def reduce_mean(net):
    x = net.node("Relu", net.conv(net.input("x", "n", 3, 8, 8), 3, 6))
    net.end(net.node("ReduceMean", x, axes=[2, 3], keepdims=0), 6, 2)


@fixture("op-reduce-sum", "ReduceSum over height and width")
def reduce_sum(net):
    x = net.node("Relu", net.conv(net.input("x", "n", 3, 8, 8), 3, 6))
    net.end(net.node("ReduceSum", x, net.ints(2, 3), keepdims=0), 6, 2)


@fixture("op-reduce-max", "ReduceMax over the width, whose axis stays")
def reduce_max(net):
    x = net.node("ReduceMax", net.input("x", "n", 3, 8, 8), axes=[-1], keepdims=1)
    net.end(net.node("Flatten", x), 24, 2)


def resized(name, what, mode, transformation, **attributes):
    """A fixture of a Resize to twice the sides, then Conv."""

    @fixture(name, what)
    def build(net):
        x, scales = net.input("x", "n", 2, 4, 4), net.floats(1, 1, 2, 2)
        attributes["coordinate_transformation_mode"] = transformation
        x = net.node("Resize", x, "", scales, mode=mode, **attributes)
        net.conv(x, 2, 3, pads=[1, 1, 1, 1], out="y")
        net.output("y", "n", 3, 8, 8)


resized("op-resize-nearest", "Resize by the nearest entry", "nearest", "asymmetric", nearest_mode="floor")
resized("op-resize-linear", "Resize by linear interpolation between half pixels", "linear", "half_pixel")


@fixture("op-instance-norm", "InstanceNormalization")
def instance_norm(net):
    x = net.conv(net.input("x", "n", 3, 8, 8), 3, 4, strides=[2, 2])
    x = net.node("InstanceNormalization", x, net.constant(net.drawn(4)), net.constant(net.drawn(4)), epsilon=1e-5)
    net.end(net.node("Flatten", net.node("Relu", x)), 36, 2)


@fixture("op-group-norm", "GroupNorm as PyTorch writes it: Reshape, InstanceNormalization, Reshape, Mul, Add")
def group_norm(net):
    x = net.conv(net.input("x", "n", 3, 8, 8), 3, 4, strides=[2, 2])
    grouped = net.node("Reshape", x, net.ints(0, 2, -1))
    grouped = net.node("InstanceNormalization", grouped, net.floats(1, 1), net.floats(0, 0), epsilon=1e-5)
    x = net.node("Reshape", grouped, net.node("Shape", x))
    x = net.node("Mul", x, net.constant(net.drawn(4, 1, 1)))
    x = net.node("Add", x, net.constant(net.drawn(4, 1, 1)))
    net.end(net.node("Flatten", net.node("Relu", x)), 36, 2)


@fixture("op-squeeze-excite", "channels times a gate of their means")
def squeeze_excite(net):
    x = net.node("Relu", net.conv(net.input("x", "n", 3, 8, 8), 3, 8, strides=[2, 2]))
    gate = net.node("Relu", net.conv(net.node("GlobalAveragePool", x), 8, 4, kernel=1))
    gate = net.node("Sigmoid", net.conv(gate, 4, 8, kernel=1))
    net.pooled(net.node("Mul", x, gate), 8, 2)


@fixture("op-flat-to-image", "Reshape of a row to an image, then Conv")
def flat_to_image(net):
    samples = net.image(1, 8, 8).reshape(-1, 64)
    x = net.node("Reshape", net.input("x", "n", 64, samples=samples), net.ints(-1, 1, 8, 8))
    x = net.node("Relu", net.conv(x, 1, 4, strides=[2, 2]))
    net.end(net.node("Flatten", x), 36, 2)


@fixture("op-view-size0", "Reshape to a shape that Shape, Gather, Unsqueeze and Concat compute")
def view_size0(net):
    x = net.node("Relu", net.conv(net.input("x", "n", 3, 8, 8), 3, 4, strides=[2, 2]))
    size = net.node("Gather", net.node("Shape", x), net.constant(np.array(0, dtype=np.int64)), axis=0)
    shape = net.node("Concat", net.node("Unsqueeze", size, net.ints(0)), net.ints(-1), axis=0)
    net.end(net.node("Reshape", x, shape), 36, 2)


@fixture("op-transpose", "Transpose that puts channels last before Flatten")
def transpose(net):
    x = net.node("Relu", net.conv(net.input("x", "n", 3, 8, 8), 3, 4, strides=[2, 2]))
    net.end(net.node("Flatten", net.node("Transpose", x, perm=[0, 2, 3, 1])), 36, 2)


@fixture("output-order-flatten", "Flatten of channels as the end: the output's entries are by channel")
def order_flatten(net):
    net.node("Flatten", net.conv(net.input("x", "n", 3, 8, 8), 3, 2), out="y")
    net.output("y", "n", 72)


@fixture("output-order-image", "an image as the output")
def order_image(net):
    net.conv(net.input("x", "n", 3, 8, 8), 3, 2, out="y")
    net.output("y", "n", 2, 6, 6)


@fixture("input-symbolic-image", "an image whose height and width are names; the samples have 8×8")
def symbolic(net):
    x = net.input("x", "batch", 3, "height", "width")
    net.node("Flatten", net.node("GlobalAveragePool", net.conv(x, 3, 5)), out="y")
    net.output("y", "batch", 5)


def channels_last(net, side, channels):
    """An input with channels last, as Keras takes it, and its Transpose."""
    x = net.input("x", "unk__1", side, side, channels, samples=net.image(channels, side, side).transpose(0, 2, 3, 1))
    return net.node("Transpose", x, perm=[0, 3, 1, 2])


@fixture("op-keras-nhwc", "channels last, back from Conv and MaxPool, then Reshape, MatMul and Softmax", 15)
def keras_nhwc(net):
    x = net.node("Relu", net.conv(channels_last(net, 8, 1), 1, 4, pads=[1, 1, 1, 1]))
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("Reshape", net.node("Transpose", x, perm=[0, 2, 3, 1]), net.ints(-1, 64))
    x = net.node("MatMul", x, net.constant(net.drawn(64, 5, scale=0.2)))
    net.node("Softmax", net.node("Add", x, net.constant(net.drawn(5))), axis=-1, out="y")
    net.output("y", "unk__2", 5)


@fixture("keras-cnn-rgb", "tf2onnx's form of Conv2D, GlobalAveragePooling2D and Dense on RGB", 15)
def keras_cnn(net):
    x = net.node("Relu", net.conv(channels_last(net, 8, 3), 3, 8, pads=[1, 1, 1, 1]))
    x = net.node("Squeeze", net.node("GlobalAveragePool", x), net.ints(2, 3))
    x = net.node("MatMul", x, net.constant(net.drawn(8, 3, scale=0.5)))
    net.node("Add", x, net.constant(net.drawn(3)), out="y")
    net.output("y", "unk__2", 3)


@fixture("keras-flatten-mlp", "tf2onnx's form of Flatten and Dense on a grey image", 15)
def keras_flatten(net):
    x = net.node("Reshape", net.input("x", "unk__1", 8, 8), net.ints(-1, 64))
    x = net.node("MatMul", x, net.constant(net.drawn(64, 16, scale=0.15)))
    x = net.node("Relu", net.node("Add", x, net.constant(net.drawn(16, scale=0.2))))
    x = net.node("MatMul", x, net.constant(net.drawn(16, 5, scale=0.35)))
    net.node("Add", x, net.constant(net.drawn(5)), out="y")
    net.output("y", "unk__2", 5)
