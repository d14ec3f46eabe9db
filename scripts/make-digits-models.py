#!/usr/bin/env python3
"""Make poai-cli/data/digits/: the handwritten digits and two classifiers.

Writes digits.csv: the digits that scikit-learn ships, in a shuffled order whose
last 500 rows are the test set. Trains an MLP and a CNN on the other rows and
writes them as mlp.onnx and cnn.onnx. Reads both files back with onnx's
reference evaluator and prints their accuracies.

Install what this needs in a virtual environment:

    python3 -m pip install -r scripts/requirements-digits.txt
    python3 scripts/make-digits-models.py
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

# The products are too small for more threads to help. numpy reads this setting
# when it is imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator
    from sklearn.datasets import load_digits
except ImportError as error:
    print(f"make-digits-models: {error}; install the packages that the script's docstring names", file=sys.stderr)
    sys.exit(2)

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY / "poai-cli" / "data" / "digits"

# The SHA-256 of pixels and labels as bytes, in scikit-learn's order.
DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"

SHUFFLE_SEED = 1
TRAIN_SEED = 2
TEST_ROWS = 500
PIXEL_MAX = 16
SIDE = 8
CLASSES = 10

BATCH = 32
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-2
NORM_EPSILON = 1e-5

# Training runs in float64, and the parameters are then rounded to multiples of
# this. Processors differ in the order of the sums in a product; the rounding
# makes it unlikely that this changes the files.
GRID = 2.0**-16

OPSET = 17
IR_VERSION = 8


class Failure(Exception):
    """An error that the caller can fix: a package, a path."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# The data


def load():
    """Pixels (0 to 16) and labels, shuffled: training rows, then test rows."""
    digits = load_digits()
    pixels = digits.data.astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    actual = sha256(pixels.tobytes() + labels.tobytes())
    if actual != DIGITS_SHA256:
        raise Failure(f"expected scikit-learn's digits with sha256 {DIGITS_SHA256}, got {actual}")
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(labels))
    return pixels[order], labels[order]


def csv(pixels, labels):
    lines = [",".join([*(f"p{i}" for i in range(pixels.shape[1])), "label"])]
    lines += [",".join(map(str, [*row, label])) for row, label in zip(pixels, labels)]
    return ("\n".join(lines) + "\n").encode("ascii")


# The layers. Each stores what its backward pass needs. There it takes the
# gradient of its output, leaves those of its parameters in `grads` and returns
# that of its input. `node` describes the layer in the ONNX file: the operator,
# its attributes, and `params` in the operator's order.


class Layer:
    def __init__(self, **params):
        self.params = params
        self.grads = {}

    # The parameters that Adam changes; the others are set after training.
    def trained(self):
        return self.params


class Gemm(Layer):
    def __init__(self, rng, inputs, outputs):
        weight = rng.normal(0, np.sqrt(2 / inputs), (outputs, inputs))
        super().__init__(weight=weight, bias=np.zeros(outputs))

    def forward(self, x, training):
        self.x = x
        return x @ self.params["weight"].T + self.params["bias"]

    def backward(self, grad):
        self.grads = {"weight": grad.T @ self.x, "bias": grad.sum(axis=0)}
        return grad @ self.params["weight"]

    def node(self):
        return "Gemm", {"transB": 1}


class Relu(Layer):
    def forward(self, x, training):
        self.mask = x > 0
        return x * self.mask

    def backward(self, grad):
        return grad * self.mask

    def node(self):
        return "Relu", {}


class Conv(Layer):
    """3×3, padded by 1, without a bias: a batch normalisation follows."""

    def __init__(self, rng, inputs, outputs):
        weight = rng.normal(0, np.sqrt(2 / (9 * inputs)), (outputs, inputs, 3, 3))
        super().__init__(weight=weight)

    def forward(self, x, training):
        n, c, h, w = self.shape = x.shape
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        # One row per position, one column per weight of an output channel.
        self.columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)
        weight = self.params["weight"]
        y = self.columns @ weight.reshape(len(weight), -1).T
        return y.reshape(n, h, w, -1).transpose(0, 3, 1, 2)

    def backward(self, grad):
        n, c, h, w = self.shape
        weight = self.params["weight"]
        rows = grad.transpose(0, 2, 3, 1).reshape(n * h * w, -1)
        self.grads = {"weight": (rows.T @ self.columns).reshape(weight.shape)}
        columns = (rows @ weight.reshape(len(weight), -1)).reshape(n, h, w, c, 3, 3)
        padded = np.zeros((n, c, h + 2, w + 2))
        for i in range(3):
            for j in range(3):
                padded[:, :, i : i + h, j : j + w] += columns[..., i, j].transpose(0, 3, 1, 2)
        return padded[:, :, 1:-1, 1:-1]

    def node(self):
        return "Conv", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}


class BatchNormalization(Layer):
    """Its mean and variance are those of the last batch of a training pass."""

    def __init__(self, channels):
        super().__init__(
            scale=np.ones(channels),
            bias=np.zeros(channels),
            mean=np.zeros(channels),
            var=np.ones(channels),
        )

    def trained(self):
        return {name: self.params[name] for name in ("scale", "bias")}

    def forward(self, x, training):
        p = self.params
        if training:
            p["mean"], p["var"] = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        self.deviation = np.sqrt(p["var"] + NORM_EPSILON)[:, None, None]
        self.normal = (x - p["mean"][:, None, None]) / self.deviation
        return self.normal * p["scale"][:, None, None] + p["bias"][:, None, None]

    def backward(self, grad):
        axes = (0, 2, 3)
        self.grads = {"scale": (grad * self.normal).sum(axis=axes), "bias": grad.sum(axis=axes)}
        grad = grad * self.params["scale"][:, None, None]
        mean = grad.mean(axis=axes, keepdims=True)
        along = (grad * self.normal).mean(axis=axes, keepdims=True)
        return (grad - mean - self.normal * along) / self.deviation

    def node(self):
        return "BatchNormalization", {"epsilon": NORM_EPSILON}


def blocks(x):
    """Each 2×2 block of x as the last axis."""
    n, c, h, w = x.shape
    split = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    return split.reshape(n, c, h // 2, w // 2, 4)


def unblocks(x):
    n, c, h, w, _ = x.shape
    return x.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


class MaxPool(Layer):
    def forward(self, x, training):
        parts = blocks(x)
        self.first = parts.argmax(axis=-1)[..., None] == np.arange(4)
        return parts.max(axis=-1)

    def backward(self, grad):
        return unblocks(grad[..., None] * self.first)

    def node(self):
        return "MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}


class AveragePool(Layer):
    def forward(self, x, training):
        return blocks(x).mean(axis=-1)

    def backward(self, grad):
        return unblocks(np.repeat(grad[..., None] / 4, 4, axis=-1))

    def node(self):
        return "AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}


class Flatten(Layer):
    def forward(self, x, training):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, grad):
        return grad.reshape(self.shape)

    def node(self):
        return "Flatten", {"axis": 1}


def mlp(rng):
    pixels = SIDE * SIDE
    return [Gemm(rng, pixels, 128), Relu(), Gemm(rng, 128, 64), Relu(), Gemm(rng, 64, CLASSES)]


def cnn(rng):
    return [
        Conv(rng, 1, 16),
        BatchNormalization(16),
        Relu(),
        MaxPool(),
        Conv(rng, 16, 32),
        BatchNormalization(32),
        Relu(),
        AveragePool(),
        Flatten(),
        Gemm(rng, 32 * (SIDE // 4) ** 2, CLASSES),
    ]


# name: (layers, shape of one input, epochs, least accuracy on the test set)
MODELS = {
    "mlp": (mlp, [SIDE * SIDE], 40, 0.96),
    "cnn": (cnn, [1, SIDE, SIDE], 30, 0.975),
}


# Training


def forward(layers, x, training=False):
    for layer in layers:
        x = layer.forward(x, training)
    return x


def loss_gradient(logits, labels):
    """The gradient of the mean cross-entropy of the softmax."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    grad = e / e.sum(axis=1, keepdims=True)
    grad[np.arange(len(labels)), labels] -= 1
    return grad / len(labels)


class Adam:
    """Adam with the weight decay separate from the gradient, as in AdamW."""

    def __init__(self, layers):
        self.layers = layers
        self.moments = {}
        self.step = 0

    def update(self, rate):
        self.step += 1
        for index, layer in enumerate(self.layers):
            for name, value in layer.trained().items():
                grad = layer.grads[name]
                m, v = self.moments.get((index, name), (0, 0))
                m = 0.9 * m + 0.1 * grad
                v = 0.999 * v + 0.001 * grad**2
                self.moments[index, name] = m, v
                # In place, so that the layer uses the new values.
                if name == "weight":
                    value *= 1 - rate * WEIGHT_DECAY
                m, v = m / (1 - 0.9**self.step), v / (1 - 0.999**self.step)
                value -= rate * m / (np.sqrt(v) + 1e-8)


def train(layers, x, labels, epochs, rng):
    adam = Adam(layers)
    starts = range(0, len(x), BATCH)
    for epoch in range(epochs):
        order = rng.permutation(len(x))
        for index, start in enumerate(starts):
            done = (epoch + index / len(starts)) / epochs
            rows = order[start : start + BATCH]
            grad = loss_gradient(forward(layers, x[rows], training=True), labels[rows])
            for layer in reversed(layers):
                grad = layer.backward(grad)
            adam.update(LEARNING_RATE * (1 + np.cos(np.pi * done)) / 2)
    # Leaves the statistics of the whole training set in the batch
    # normalisations.
    forward(layers, x, training=True)
    for layer in layers:
        for name, value in layer.params.items():
            layer.params[name] = np.rint(value / GRID) * GRID


# The ONNX files


def to_onnx(name, layers, shape):
    nodes, initialisers, counts, last = [], [], {}, "input"
    for index, layer in enumerate(layers):
        operator, attributes = layer.node()
        counts[operator] = counts.get(operator, 0) + 1
        title = f"{operator.lower()}{counts[operator]}"
        inputs = [last]
        for param, value in layer.params.items():
            inputs.append(f"{title}.{param}")
            initialisers.append(numpy_helper.from_array(value.astype(np.float32), inputs[-1]))
        last = "logits" if index + 1 == len(layers) else f"{title}.out"
        nodes.append(helper.make_node(operator, inputs, [last], name=title, **attributes))
    graph = helper.make_graph(
        nodes,
        f"digits-{name}",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        initialisers,
    )
    model = helper.make_model(
        graph,
        producer_name="make-digits-models",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return model.SerializeToString(deterministic=True)


def accuracy(logits, labels):
    return float((logits.argmax(axis=1) == labels).mean())


def make_model(name, x, labels, out):
    build, shape, epochs, least = MODELS[name]
    rng = np.random.default_rng(TRAIN_SEED)
    x = x.reshape(-1, *shape)
    split = len(x) - TEST_ROWS
    layers = build(rng)
    train(layers, x[:split], labels[:split], epochs, rng)
    path = out / f"{name}.onnx"
    path.write_bytes(to_onnx(name, layers, shape))

    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    (logits,) = ReferenceEvaluator(model).run(None, {"input": x.astype(np.float32)})
    ours = forward(layers, x)
    print(f"{path.name}: {path.stat().st_size} bytes, sha256 {sha256(path.read_bytes())}")
    print(f"  accuracy on the training set: {accuracy(logits[:split], labels[:split]):.2%}")
    print(f"  accuracy on the test set: {accuracy(logits[split:], labels[split:]):.2%}")
    print(f"  largest difference of a logit from float64: {np.abs(logits - ours).max():.1e}")
    if accuracy(logits[split:], labels[split:]) < least:
        raise Failure(f"expected an accuracy of {path.name} of at least {least:.1%}, got less")


def make(out):
    out.mkdir(parents=True, exist_ok=True)
    pixels, labels = load()
    data = csv(pixels, labels)
    (out / "digits.csv").write_bytes(data)
    print(f"digits.csv: {len(labels)} rows, {len(data)} bytes, sha256 {sha256(data)}")
    for name in MODELS:
        make_model(name, pixels / PIXEL_MAX, labels, out)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=DATA,
        help="directory to write; default: poai-cli/data/digits",
    )
    return parser.parse_args()


def main():
    args = arguments()
    try:
        make(args.out)
    except (Failure, OSError) as error:
        print(f"make-digits-models: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
