"""The set `keras`: networks of Keras 3 on TensorFlow, exported by `Model.export`."""

import os
import zlib

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from keras import layers

from .writer import Case, generator, image, rows


def features(numbers, count):
    return [rows(numbers, count, 16)]


def items(numbers, count):
    return [rows(numbers, count, 12, 8)]


def images(channels, side):
    return lambda numbers, count: [image(numbers, count, channels, side, last=True)]


def grey(numbers, count):
    return [image(numbers, count, 1, 16, last=True)[..., 0]]


def mlp():
    hidden = [layers.Dense(32, "relu"), layers.Dropout(0.2), layers.Dense(32, "relu")]
    return keras.Sequential([keras.Input((16,)), *hidden, layers.Dense(5, "softmax")])


def cnn():
    first = [layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(2)]
    second = [layers.Conv2D(16, 3, padding="same", activation="relu"), layers.AveragePooling2D(2)]
    return keras.Sequential([keras.Input((28, 28, 1)), *first, *second, layers.Flatten(), layers.Dense(10)])


def flatten_mlp():
    return keras.Sequential([keras.Input((16, 16)), layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(10)])


def depthwise():
    body = [layers.Conv2D(8, 3, 2, "same", use_bias=False), layers.BatchNormalization(), layers.ReLU(6.0)]
    body += [layers.DepthwiseConv2D(3, 1, "same", use_bias=False), layers.BatchNormalization(), layers.ReLU(6.0)]
    body += [layers.Conv2D(16, 1, use_bias=False), layers.BatchNormalization(), layers.ReLU(6.0)]
    return keras.Sequential([keras.Input((16, 16, 3)), *body, layers.GlobalAveragePooling2D(), layers.Dense(10)])


def lstm():
    return keras.Sequential([keras.Input((12, 8)), layers.LSTM(16, return_sequences=True), layers.Dense(6)])


def gru():
    return keras.Sequential([keras.Input((12, 8)), layers.GRU(16), layers.Dense(6)])


def functional():
    inputs = keras.Input((16, 16, 3))
    left = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    right = layers.Conv2D(8, 5, padding="same", activation="swish")(inputs)
    joined = layers.Concatenate()([left, right])
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(joined)))


NETWORKS = {
    "mlp": (mlp, features, True),
    "cnn": (cnn, images(1, 28), True),
    "flatten-mlp": (flatten_mlp, grey, True),
    "depthwise": (depthwise, images(3, 16), True),
    "lstm": (lstm, items, False),
    "gru": (gru, items, True),
    "functional": (functional, images(3, 16), True),
}


def randomise(model):
    """Statistics and offsets other than the first ones, which are 0 and 1."""
    for seed, variable in enumerate(model.variables):
        ends = variable.path.rsplit("/", 1)[-1]
        if ends in ("bias", "beta", "moving_mean"):
            variable.assign(0.2 * keras.random.normal(variable.shape, seed=seed))
        elif ends in ("gamma", "moving_variance"):
            variable.assign(keras.random.uniform(variable.shape, 0.6, 1.4, seed=seed))


def keras_cases():
    for name, (make, samples, classes) in NETWORKS.items():

        def write(path, name=name, make=make, samples=samples):
            keras.utils.set_random_seed(zlib.crc32(name.encode()) % 2**31)
            model = make()
            model(samples(generator(f"{name} weights"), 1)[0])  # a model that was never called cannot be exported
            randomise(model)
            model.export(str(path), format="onnx", verbose=False)

        notes = ["classifier"] if classes else []
        yield Case("keras", name, f"keras {keras.__version__} tf2onnx", write, samples, notes)
