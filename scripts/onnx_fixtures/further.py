"""Further operators: places, pools, sums, fused and classic ones, and integers."""

import numpy as np
from onnx import TensorProto, helper

from .builder import FLOAT, INT64, SAMPLES, UINT8, fixture, perceptron


def ms(net):
    net.opsets["com.microsoft"] = 1
    return {"domain": "com.microsoft"}


def ml(net, size):
    net.opsets["ai.onnx.ml"] = 1
    return net.input("X", None, size, samples=net.drawn(SAMPLES, size))


@fixture("op-einsum-ellipsis", "Einsum with `...`, with three operands, and with one")
def einsum(net):
    x = net.input("x", "n", 2, 3, 4)
    x = net.node("Einsum", x, net.constant(net.drawn(4, 5)), equation="...i,ij->...j")
    x = net.node("Einsum", x, net.constant(net.drawn(3)), net.constant(net.drawn(5, 4)), equation="b...kc,k,cd->b...kd")
    net.node("Einsum", x, equation="bhkd->bdh", out="y")
    net.output("y", "n", 4, 2)


@fixture("op-maxpool-dilated", "MaxPool with gaps, strides and pads")
def maxpool(net):
    x = net.conv(net.input("x", "n", 2, 9, 9), 2, 4)
    x = net.node("MaxPool", x, kernel_shape=[2, 3], dilations=[2, 1], strides=[2, 1], pads=[1, 1, 0, 1])
    net.pooled(x, 4, 3)


@fixture("op-avgpool-dilated", "AveragePool with gaps, whose pads do not count", 20)
def avgpool(net):
    x = net.conv(net.input("x", "n", 2, 8, 8), 2, 4)
    x = net.node("AveragePool", x, kernel_shape=[2, 2], dilations=[2, 3], pads=[1, 0, 1, 1])
    net.pooled(net.node("Relu", x), 4, 3)


@fixture("op-lp-pool", "LpPool of the power 2, and GlobalLpPool of the power 3")
def lp_pool(net):
    x = net.node("LpPool", net.input("x", "n", 2, 6, 6), kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 0, 1], p=2)
    net.end(net.node("Flatten", net.node("GlobalLpPool", x, p=3)), 2, 3)


@fixture("op-lrn", "LRN over five channels")
def lrn(net):
    x = net.conv(net.input("x", "n", 2, 6, 6), 2, 8)
    net.pooled(net.node("LRN", x, size=5, alpha=0.3, beta=0.75, bias=1.0), 8, 3)


@fixture("op-argmin-end", "ArgMin as the last operator")
def argmin(net):
    x = net.gemm(net.input("x", "n", 8), 8, 5)
    net.node("ArgMin", x, axis=1, keepdims=0, out="y")
    net.output("y", "n", kind=INT64)


@fixture("op-reduce-prod", "ReduceProd, ReduceLogSum and ReduceLogSumExp")
def prod(net):
    x = net.node("Reshape", net.node("Sigmoid", net.gemm(net.input("x", "n", 8), 8, 15)), net.ints(-1, 3, 5))
    parts = [
        net.node("ReduceProd", x, axes=[1], keepdims=0),
        net.node("ReduceLogSum", x, axes=[1], keepdims=0),
        net.node("ReduceLogSumExp", x, axes=[1], keepdims=0),
    ]
    net.end(net.node("Concat", *parts, axis=1), 15, 3)


@fixture("op-cumsum", "CumSum of a value, without each entry itself, from the end")
def cumsum(net):
    perceptron(net, lambda x: net.node("CumSum", x, net.constant(np.array(1, dtype=np.int64)), exclusive=1, reverse=1))


@fixture("op-one-hot", "OneHot of ids")
def one_hot(net):
    ids = net.numbers.integers(0, 6, size=(SAMPLES, 3)).astype(np.int64)
    x = net.input("ids", "n", 3, kind=INT64, samples=ids)
    depth = net.constant(np.array(6, dtype=np.int64))
    x = net.node("OneHot", x, depth, net.floats(0.25, 1.0), axis=-1)
    net.end(net.node("Reshape", x, net.ints(-1, 18)), 18, 3)


@fixture("op-places", "GatherND, GatherElements and ScatterND by constants")
def places(net):
    x = net.node("Reshape", net.input("x", 1, 4, 6), net.ints(4, 6))
    rows = net.node("GatherND", x, net.constant(np.array([[0, 1], [3, 5], [2, -1]])))
    columns = net.node("GatherElements", x, net.constant(np.array([[3, 0, 1], [2, 1, 1]])), axis=0)
    changed = net.node("ScatterND", net.node("Slice", x, net.ints(0), net.ints(2)), net.constant(np.array([[1, 2], [0, 4]])),
                       net.node("Slice", rows, net.ints(0), net.ints(2)))
    parts = [net.node("Reshape", part, net.ints(1, -1)) for part in (rows, columns, changed)]
    net.end(net.node("Concat", *parts, axis=1), 3 + 6 + 12, 3)


@fixture("op-pow-columns", "Pow with an exponent, and Greater with a bound, of each column")
def pow_columns(net):
    x = net.node("Sigmoid", net.gemm(net.input("x", "n", 8), 8, 4))
    powers = net.node("Pow", x, net.floats(0.5, 0.5, 2.0, 1.5))
    above = net.node("Cast", net.node("Greater", x, net.floats(0.5, 0.4, 0.6, 0.5)), to=FLOAT)
    net.end(net.node("Add", powers, net.node("Mul", above, net.scalar(0.1))), 4, 3)


@fixture("op-resize-nearest-fraction", "Resize to the nearest pixel by scales whose places lie between two")
def resize(net):
    x = net.input("x", "n", 2, 5, 6)
    scales = net.floats(1, 1, 2.6, 1.7)
    x = net.node("Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    x = net.node("Resize", x, "", net.floats(1, 1, 0.6, 0.7), mode="nearest", nearest_mode="round_prefer_ceil")
    net.node("Relu", x, out="y")
    net.output("y", "n", 2, None, None)


@fixture("op-integer-constants", "integers of constants that wrap around: Cast, Add, Mul, Mod, BitShift, And, Or, Not")
def integers(net):
    bytes_ = net.constant(np.array([250, 3, 7, 200], dtype=np.uint8))
    sums = net.node("Add", bytes_, net.constant(np.array([10, 1, 2, 100], dtype=np.uint8)))
    shifted = net.node("BitShift", sums, net.constant(np.array([1, 2, 1, 3], dtype=np.uint8)), direction="LEFT")
    rest = net.node("Mod", net.node("Cast", shifted, to=INT64), net.ints(5, 7, 3, 11))
    small = net.node("Cast", net.constant(np.array([300, -5, 130, 7])), to=TensorProto.INT8)
    small = net.node("Mul", small, net.constant(np.array([3, 50, 2, 1], dtype=np.int8)))
    one = net.node("Cast", net.node("Less", rest, net.ints(2)), to=TensorProto.BOOL)
    other = net.node("Or", one, net.node("Not", net.node("And", one, one)))
    parts = [net.node("Cast", part, to=FLOAT) for part in (rest, small, one, other)]
    weights = net.node("Mul", net.node("Concat", *parts, axis=0), net.scalar(0.05))
    net.end(net.node("Mul", net.input("x", "n", 16), weights), 16, 3)


@fixture("op-dequantize-input", "DequantizeLinear of an input of bytes")
def dequantize(net):
    samples = net.numbers.integers(0, 256, size=(SAMPLES, 8)).astype(np.uint8)
    x = net.input("x", "n", 8, kind=UINT8, samples=samples)
    x = net.node("DequantizeLinear", x, net.scalar(0.02), net.constant(np.array(120, dtype=np.uint8)))
    net.end(net.node("Relu", net.gemm(x, 8, 12)), 12, 3)


@fixture("op-int4-blocked", "weights of four bits with a scale and a zero for each block of rows", 21)
def blocked(net):
    numbers = net.numbers.integers(0, 16, size=(8, 6))
    packed = helper.make_tensor("w", TensorProto.UINT4, [8, 6], numbers.flatten().tolist())
    net.constants.append(packed)
    scales = net.constant(np.abs(net.drawn(2, 6, scale=0.1)) + np.float32(0.02))
    net.constants.append(helper.make_tensor("z", TensorProto.UINT4, [2, 6], [8, 7, 9, 6, 8, 5] * 2))
    weights = net.node("DequantizeLinear", "w", scales, "z", axis=0, block_size=4)
    x = net.node("MatMul", net.input("x", "n", 8), weights)
    net.end(net.node("Relu", x), 6, 3)


@fixture("ms-fused", "FusedMatMul, BiasGelu, FastGelu, QuickGelu and FusedGemm of com.microsoft")
def fused(net):
    of = ms(net)
    x = net.node("FusedMatMul", net.input("x", "n", 8), net.constant(net.weights(12, 8)), **of, transB=1, alpha=0.7)
    x = net.node("BiasGelu", x, net.constant(net.drawn(12)), **of)
    x = net.node("FastGelu", net.gemm(x, 12, 12), net.constant(net.drawn(12)), **of)
    x = net.node("QuickGelu", net.gemm(x, 12, 10), **of, alpha=1.3)
    constants = [net.constant(net.weights(3, 10)), net.constant(net.drawn(3))]
    attributes = {"transB": 1, "activation": "LeakyRelu", "activation_alpha": 0.3}
    net.node("FusedGemm", x, *constants, **of, **attributes, out="y")
    net.output("y", "n", 3)


@fixture("ms-fused-conv", "FusedConv of com.microsoft with a sum and a clip")
def fused_conv(net):
    of = ms(net)
    x = net.input("x", "n", 2, 6, 6)
    weights = [net.constant(net.weights(2, 2, 3, 3)), net.constant(net.drawn(2))]
    attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    x = net.node("FusedConv", x, *weights, x, **of, **attributes, activation="Relu")
    attributes |= {"activation": "Clip", "activation_params": [-0.5, 0.8]}
    x = net.node("FusedConv", x, net.constant(net.weights(4, 2, 3, 3)), **of, **attributes)
    net.pooled(x, 4, 3)


@fixture("ms-skip-norm", "SkipLayerNormalization with a bias and its sum, and SkipSimplifiedLayerNormalization")
def skip_norm(net):
    of = ms(net)
    x = net.input("x", "n", 4, 8)
    skip = net.node("Tanh", net.node("MatMul", x, net.constant(net.weights(8, 8))))
    norm = [net.constant(net.drawn(8)) for _ in range(3)]
    parts = net.node("SkipLayerNormalization", x, skip, *norm, outputs=4, **of, epsilon=1e-5)
    # Its second and third output are not made.
    net.nodes[-1].output[1] = net.nodes[-1].output[2] = ""
    x = net.node("SkipSimplifiedLayerNormalization", parts[0], parts[3], net.constant(net.drawn(8)), **of, epsilon=1e-5)
    net.node("Relu", x, out="y")
    net.output("y", "n", 4, 8)


@fixture("ms-dynamic-quantize-matmul", "DynamicQuantizeMatMul of com.microsoft, with a scale of each column")
def dynamic(net):
    of = ms(net)
    weights = net.weights(6, 8).T
    # Seven bits: some processors saturate the sums of products of eight.
    scales = (np.abs(weights).max(axis=0) / 63).astype(np.float32)
    integers = np.rint(weights / scales).astype(np.int8)
    constants = [net.constant(each) for each in (integers, scales, np.zeros(6, dtype=np.int8), net.drawn(6))]
    net.node("DynamicQuantizeMatMul", net.input("x", "n", 8), *constants, **of, out="y")
    net.output("y", "n", 6)


@fixture("ml-svm-regressor", "SVMRegressor of ai.onnx.ml: a linear kernel, and one of radial functions")
def svm(net):
    x = ml(net, 4)
    parts = []
    for kernel in ("LINEAR", "RBF"):
        attributes = {
            "kernel_type": kernel,
            "kernel_params": [0.3, 0.0, 3.0],
            "n_supports": 6,
            "support_vectors": net.drawn(24).tolist(),
            "coefficients": net.drawn(6).tolist(),
            "rho": [0.4],
        }
        parts.append(net.node("SVMRegressor", x, domain="ai.onnx.ml", **attributes))
    net.node("Concat", *parts, axis=1, out="y")
    net.output("y", None, 2)


@fixture("ml-preprocessing", "Imputer of NaN and of a number, Binarizer, OneHotEncoder and Scaler of ai.onnx.ml")
def preprocessing(net):
    net.opsets["ai.onnx.ml"] = 1
    of = {"domain": "ai.onnx.ml"}
    samples = net.numbers.integers(0, 4, size=(SAMPLES, 3)).astype(np.float32)
    x = net.input("X", None, 3, samples=samples)
    x = net.node("Imputer", x, **of, imputed_value_floats=[1.0, 2.0, 3.0], replaced_value_float=float("nan"))
    filled = net.node("Imputer", x, **of, imputed_value_floats=[1.5, 2.5, 3.5], replaced_value_float=2.0)
    marked = net.node("Binarizer", x, **of, threshold=1.5)
    each = net.node("OneHotEncoder", x, **of, cats_int64s=[0, 1, 2, 3], zeros=1)
    each = net.node("Reshape", each, net.ints(-1, 12))
    scaled = net.node("Scaler", filled, **of, offset=[1.0, 2.0, 0.5], scale=[0.5, 2.0, 1.0])
    net.end(net.node("Concat", scaled, marked, each, axis=1), 18, 3)


@fixture("sklearn-polynomial", "PolynomialFeatures as skl2onnx writes it: ArrayFeatureExtractor, ReduceProd, Concat")
def polynomial(net):
    x = ml(net, 3)
    parts = []
    for columns in ([0, 0], [0, 1], [1, 2], [2, 2]):
        chosen = net.node("ArrayFeatureExtractor", x, net.constant(np.array(columns)), domain="ai.onnx.ml")
        parts.append(net.node("ReduceProd", chosen, axes=[1]))
    net.end(net.node("Concat", x, *parts, axis=1), 7, 2)


@fixture("sklearn-mlp-classifier", "skl2onnx's form of a MLPClassifier of two classes: 1 − p, Concat, ArgMax, labels")
def classifier(net):
    x = net.node("Cast", ml(net, 5), to=FLOAT)
    x = net.node("Relu", net.node("Add", net.node("MatMul", x, net.constant(net.drawn(5, 8))), net.constant(net.drawn(8))))
    x = net.node("Add", net.node("MatMul", x, net.constant(net.drawn(8, 1))), net.constant(net.drawn(1)))
    p = net.node("Sigmoid", x)
    both = net.node("Concat", net.node("Sub", net.scalar(1), p), p, axis=1, out="probabilities")
    label = net.node("ArgMax", both, axis=1)
    label = net.node("ArrayFeatureExtractor", net.ints(3, 7), label, domain="ai.onnx.ml")
    label = net.node("Cast", net.node("Cast", label, to=TensorProto.INT32), to=INT64)
    net.node("Reshape", label, net.ints(-1), out="label")
    net.output("label", None, kind=INT64)
    net.output("probabilities", None, 2)


@fixture("op-where-partial", "Where of two sides with powers that some numbers do not have")
def power(net):
    x = ml(net, 3)
    up, down = net.floats(0.6, 1.4, 0.5), net.floats(1.4, 0.6, 1.5)
    above = net.node("Div", net.node("Sub", net.node("Pow", net.node("Add", x, net.scalar(1)), up), net.scalar(1)), up)
    low = net.node("Pow", net.node("Sub", net.scalar(1), x), down)
    below = net.node("Neg", net.node("Div", net.node("Sub", low, net.scalar(1)), down))
    net.end(net.node("Where", net.node("Less", x, net.scalar(0)), below, above), 3, 2)


@fixture("op-reverse-sequence", "ReverseSequence by constant lengths, which are all of the axis or less")
def reverse(net):
    x = net.node("Reshape", net.input("x", 1, 24), net.ints(4, 2, 3))
    whole = net.node("ReverseSequence", x, net.ints(4, 4), batch_axis=1, time_axis=0)
    part = net.node("ReverseSequence", x, net.ints(3, 2), batch_axis=1, time_axis=0)
    both = net.node("Sub", whole, net.node("Tanh", part))
    net.end(net.node("Reshape", both, net.ints(1, 24)), 24, 3)
