"""The sets `torch`, `opsets` and `quantised`: networks of PyTorch, exported."""

import copy
import logging
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import torch
from torch import nn

from . import convolutions, perceptrons, sequences
from .quantised_set import quantise
from .training import TRAINED
from .writer import Case, generator, image, rows

OPSETS = [7, 9, 11, 13, 15, 17]


@dataclass
class Network:
    """A network, its samples, and whether its output is a row of classes."""

    make: object
    samples: object
    inputs: tuple = ("x",)
    outputs: tuple = ("y",)
    classes: bool = False
    fixed: bool = False  # the file says a batch of 1, as exporters write without further arguments


def features(numbers, count):
    return [rows(numbers, count, perceptrons.FEATURES)]


def pairs(numbers, count):
    return [rows(numbers, count, perceptrons.FEATURES), rows(numbers, count, perceptrons.FEATURES)]


def ids(numbers, count):
    return [numbers.integers(0, perceptrons.Embedding.SIZES, size=(count, len(perceptrons.Embedding.SIZES)))]


def items(numbers, count):
    return [rows(numbers, count, sequences.LENGTH, sequences.WIDTH)]


def wave(numbers, count):
    return [rows(numbers, count, 1, 256)]


def images(channels, side):
    return lambda numbers, count: [image(numbers, count, channels, side)]


def networks():
    """All networks by name."""
    found = {}
    for index, (name, activation) in enumerate(perceptrons.ACTIVATIONS.items()):
        make = lambda activation=activation: perceptrons.perceptron(activation)
        found[f"mlp-{name}"] = Network(make, features, classes=True, fixed=index % 3 == 2)
    found |= {
        "mlp-batch-norm": Network(perceptrons.batch_norm, features, classes=True),
        "mlp-layer-norm-dropout": Network(perceptrons.layer_norm_dropout, features, classes=True),
        "mlp-log-softmax": Network(perceptrons.log_softmax, features, classes=True, fixed=True),
        "mlp-residual": Network(perceptrons.Residual, features, classes=True),
        "regression": Network(lambda: perceptrons.perceptron(outputs=1), features, fixed=True),
        "tabular-embedding": Network(perceptrons.Embedding, ids, inputs=("ids",), classes=True),
        "siamese": Network(perceptrons.Siamese, pairs, inputs=("left", "right")),
        "two-outputs": Network(perceptrons.TwoOutputs, features, outputs=("classes", "value")),
        "lenet": Network(convolutions.lenet, images(1, 28), classes=True),
        "vgg": Network(convolutions.vgg, images(3, 32), classes=True),
        "resnet18": Network(convolutions.resnet18, images(3, 32), classes=True),
        "mobilenet-v2": Network(convolutions.mobilenet_v2, images(3, 32), classes=True),
        "squeeze-excite": Network(convolutions.squeeze_excite, images(3, 16), classes=True, fixed=True),
        "densenet": Network(convolutions.densenet, images(3, 16), classes=True),
        "shufflenet": Network(convolutions.shufflenet, images(3, 16), classes=True),
        "inception": Network(convolutions.inception, images(3, 16), classes=True),
        "depthwise-separable": Network(convolutions.separable, images(3, 32), classes=True, fixed=True),
        "dilated": Network(convolutions.dilated, images(3, 16), classes=True),
        "audio": Network(convolutions.audio, wave, classes=True),
        "instance-norm": Network(convolutions.instance_norm, images(3, 32), classes=True),
        "group-norm": Network(convolutions.group_norm, images(3, 16), classes=True, fixed=True),
        "unet-transposed": Network(lambda: convolutions.UNet(True), images(1, 16)),
        "unet-bilinear": Network(lambda: convolutions.UNet(False), images(1, 16)),
        "yolo-head": Network(convolutions.Yolo, images(3, 32)),
        "autoencoder": Network(convolutions.autoencoder, images(1, 16), fixed=True),
        "convnext": Network(convolutions.convnext, images(3, 32), classes=True),
        "fcn": Network(convolutions.Fcn, images(3, 16)),
        "lstm-tagger": Network(lambda: sequences.Recurrent(nn.LSTM, True), items),
        "gru-classifier": Network(lambda: sequences.Recurrent(nn.GRU, False), items, classes=True),
        "lstm-both-ways": Network(lambda: sequences.Recurrent(nn.LSTM, True, True), items, fixed=True),
        "transformer-encoder": Network(sequences.Encoder, items, classes=True),
        "vit": Network(sequences.VisionTransformer, images(3, 16), classes=True),
        "mlp-mixer": Network(sequences.Mixer, images(3, 16), classes=True, fixed=True),
        "tcn": Network(sequences.Temporal, items, classes=True),
        "attention-pooling": Network(sequences.AttentionPooling, items, classes=True),
    }
    return found


def randomise(module):
    """Weights at which layers change their input, where the defaults fade with depth."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)


def randomise_statistics(module, inputs):
    """BatchNorm's statistics of `inputs`, then changed, so that it is no identity."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    for layer in layers:
        layer.momentum = None
    if layers:
        module.train()
        module(*inputs)
        module.eval()
    for layer in layers:
        layer.running_mean += 0.2 * torch.randn_like(layer.running_mean)
        layer.running_var *= torch.empty_like(layer.running_var).uniform_(0.6, 1.6)
        layer.weight.data.uniform_(0.6, 1.4)
        layer.bias.data.normal_(std=0.2)


def built(name, network):
    """The network with its weights, ready to be exported, and one input to trace it."""
    torch.manual_seed(zlib.crc32(name.encode()) % 2**31)
    module = network.make().eval()
    numbers = generator(f"{name} weights")
    with torch.no_grad():
        randomise(module)
        randomise_statistics(module, [torch.from_numpy(each) for each in network.samples(numbers, 64)])
    if name in TRAINED:
        TRAINED[name](module)
    # A batch of 1 would be taken for a constant if the batch is left open.
    example = [torch.from_numpy(each) for each in network.samples(numbers, 1 if network.fixed else 2)]
    return module, tuple(example)


def export(name, network, path, dynamo, opset=None):
    """Writes the network with one of PyTorch's two exporters."""
    module, example = built(name, network)
    arguments = {"input_names": list(network.inputs), "output_names": list(network.outputs), "opset_version": opset}
    if dynamo:
        batch = torch.export.Dim("batch")
        arguments["dynamic_shapes"] = None if network.fixed else tuple({0: batch} for _ in network.inputs)
    else:
        named = {each: {0: "batch"} for each in network.inputs + network.outputs}
        arguments["dynamic_axes"] = None if network.fixed else named
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, example, str(path), dynamo=dynamo, verbose=False, **arguments)


def notes(name, network):
    said = [("classifier", network.classes), ("batch 1", network.fixed), ("trained", name in TRAINED)]
    return [text for text, holds in said if holds]


def torch_cases():
    for name, network in networks().items():
        for dynamo, exporter in [(True, "dynamo"), (False, "legacy")]:
            write = lambda path, name=name, network=network, dynamo=dynamo: export(name, network, path, dynamo)
            kind = f"torch {torch.__version__.split('+')[0]} {exporter}"
            yield Case("torch", f"{name}-{exporter}", kind, write, network.samples, notes(name, network), name)


def opset_cases():
    all_networks = networks()
    for name in ["mlp-relu", "lenet", "mobilenet-v2"]:
        network = copy.copy(all_networks[name])
        for opset in OPSETS:
            write = lambda path, name=name, network=network, opset=opset: export(name, network, path, False, opset)
            kind = f"torch {torch.__version__.split('+')[0]} legacy"
            yield Case("opsets", f"{name}-{opset}", kind, write, network.samples, notes(name, network), name)


def quantised_cases():
    all_networks = networks()
    for name in ["mlp-relu", "lenet"]:
        network = all_networks[name]
        for form in ["qdq", "qoperator", "dynamic"]:

            def write(path, name=name, network=network, form=form):
                with tempfile.TemporaryDirectory() as scratch:
                    floats = Path(scratch) / "floats.onnx"
                    export(name, network, floats, False)
                    numbers = generator(f"{name} ranges")
                    quantise(floats, path, form, network.samples(numbers, 64)[0])

            kind = f"onnxruntime {onnxruntime.__version__}"
            yield Case("quantised", f"{name}-{form}", kind, write, network.samples, notes(name, network), name)
