"""Masks before a softmax: constants, inputs, and what ids decide."""

import numpy as np
from onnx import TensorProto

from .builder import FLOAT, INT64, SAMPLES, fixture

BOOL = TensorProto.BOOL
LENGTH, WIDTH, WORDS = 5, 8, 12
LOW = np.finfo(np.float32).min


def ids(net, name="ids"):
    """Sentences of 2 to 5 words, with the id 0 behind them."""
    drawn = net.numbers.integers(1, WORDS, size=(SAMPLES, LENGTH))
    lengths = 2 + np.arange(SAMPLES) % (LENGTH - 1)
    drawn[np.arange(LENGTH)[None] >= lengths[:, None]] = 0
    return net.input(name, "n", LENGTH, kind=INT64, samples=drawn.astype(np.int64))


def seen(net, name="attention_mask", kind=INT64):
    """A mask of 0 and 1, of which the first entries are 1."""
    lengths = 2 + np.arange(SAMPLES) % (LENGTH - 1)
    mask = np.arange(LENGTH)[None] < lengths[:, None]
    return net.input(name, "n", LENGTH, kind=kind, samples=mask.astype(bool if kind == BOOL else np.int64))


def words(net, ids):
    return net.node("Gather", net.constant(net.drawn(WORDS, WIDTH)), ids)


def scores(net, x):
    query, key = (net.node("MatMul", x, net.constant(net.drawn(WIDTH, WIDTH, scale=0.3))) for _ in range(2))
    return net.node("MatMul", query, net.node("Transpose", key, perm=[0, 2, 1]))


def end(net, weights, x):
    """What the weights mix, as the output."""
    net.node("MatMul", weights, x, out="y")
    net.output("y", "n", LENGTH, WIDTH)


def real(array):
    return np.asarray(array, dtype=np.float32)


@fixture("mask-input", "a mask of 0 and 1 as an input: Cast, Sub, Mul by the least float, Add, Softmax")
def mask_input(net):
    x = words(net, ids(net))
    mask = net.node("Unsqueeze", seen(net), net.ints(1))
    hidden = net.node("Sub", net.scalar(1), net.node("Cast", mask, to=FLOAT))
    low = net.node("Mul", hidden, net.scalar(LOW))
    end(net, net.node("Softmax", net.node("Add", scores(net, x), low), axis=-1), x)


@fixture("mask-of-ids", "a mask of the ids that are padding: Equal, Where, Softmax")
def mask_of_ids(net):
    tokens = ids(net)
    x = words(net, tokens)
    padding = net.node("Equal", tokens, net.constant(np.array(0, dtype=np.int64)))
    padding = net.node("Unsqueeze", padding, net.ints(1))
    masked = net.node("Where", padding, net.scalar(LOW), scores(net, x))
    end(net, net.node("Softmax", masked, axis=-1), x)


@fixture("mask-bool-input", "a mask of booleans as an input, and a causal one: And, Where of −∞, Add, Softmax")
def mask_bool(net):
    x = words(net, ids(net))
    causal = net.constant(np.tril(np.ones((1, LENGTH, LENGTH), dtype=bool)))
    mask = net.node("And", causal, net.node("Unsqueeze", seen(net, kind=BOOL), net.ints(1)))
    added = net.node("Where", mask, net.scalar(0), net.scalar(-np.inf))
    end(net, net.node("Softmax", net.node("Add", scores(net, x), added), axis=-1), x)


@fixture("mask-hidden-row", "PyTorch's mask of booleans with a row that is hidden wholly: Softmax, IsNaN, Where")
def hidden_row(net):
    x = net.input("x", "n", LENGTH, WIDTH)
    mask = np.tril(np.ones((LENGTH, LENGTH), dtype=bool))
    mask[2] = False
    added = net.node("Where", net.constant(mask), net.scalar(0), net.scalar(-np.inf))
    weights = net.node("Softmax", net.node("Add", scores(net, x), added), axis=-1)
    weights = net.node("Where", net.node("IsNaN", weights), net.scalar(0), weights)
    end(net, weights, x)


@fixture("mask-low-row", "a row of −3.4e38 alone, whose entries then have equal shares")
def low_row(net):
    x = net.input("x", "n", LENGTH, WIDTH)
    mask = np.triu(np.full((LENGTH, LENGTH), LOW), 1)
    mask[1] = LOW
    masked = net.node("Add", scores(net, x), net.constant(real(mask)))
    end(net, net.node("Softmax", masked, axis=-1), x)


@fixture("mask-causal-range", "a causal mask of Range, Less, Not, Cast and Mul of constants")
def causal_range(net):
    x = net.input("x", "n", LENGTH, WIDTH)
    limits = [net.constant(np.array(value, dtype=np.int64)) for value in (0, LENGTH, 1)]
    places = net.node("Range", *limits)
    later = net.node("Less", net.node("Unsqueeze", places, net.ints(1)), places)
    later = net.node("Not", net.node("Not", later))
    low = net.node("Mul", net.node("Cast", later, to=FLOAT), net.scalar(-1e4))
    end(net, net.node("Softmax", net.node("Add", scores(net, x), low), axis=-1), x)


@fixture("ms-attention", "Attention of com.microsoft with a mask of 0 and 1, and SkipLayerNormalization", 17)
def ms_attention(net):
    net.opsets["com.microsoft"] = 1
    x = words(net, ids(net))
    mask = net.node("Cast", seen(net), to=TensorProto.INT32)
    weights = [net.constant(net.drawn(WIDTH, 3 * WIDTH, scale=0.4)), net.constant(net.drawn(3 * WIDTH))]
    mixed = net.node("Attention", x, *weights, mask, domain="com.microsoft", num_heads=2)
    norm = [net.constant(net.drawn(WIDTH)) for _ in range(3)]
    net.node("SkipLayerNormalization", mixed, x, *norm, domain="com.microsoft", out="y", epsilon=1e-5)
    net.output("y", "n", LENGTH, WIDTH)


@fixture("ms-embed-layer-norm", "EmbedLayerNormalization of com.microsoft without a mask")
def ms_embed(net):
    net.opsets["com.microsoft"] = 1
    tokens = net.node("Cast", ids(net), to=TensorProto.INT32)
    tables = [net.constant(net.drawn(size, WIDTH)) for size in (WORDS, LENGTH + 1)]
    norm = [net.constant(net.drawn(WIDTH)) for _ in range(2)]
    made = net.node(
        "EmbedLayerNormalization", tokens, "", *tables, "", *norm, outputs=2, domain="com.microsoft", epsilon=1e-5
    )
    net.node("Relu", made[0], out="y")
    net.output("y", "n", LENGTH, WIDTH)
