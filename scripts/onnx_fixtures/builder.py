"""A network that is written node by node, and the list of all fixtures."""

import zlib
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

SAMPLES = 8
FLOAT, DOUBLE, UINT8, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.UINT8, TensorProto.INT64
# Readers of each opset know its version of the format.
IR_VERSIONS = {9: 4, 13: 7, 15: 8, 17: 8, 20: 9, 21: 10}


@dataclass
class Fixture:
    """One folder: `build` adds nodes to a `Net`."""

    name: str
    what: str
    opset: int
    build: object


FIXTURES = []


def fixture(name, what, opset=17):
    """Lists the function below it as the fixture `name`."""

    def add(build):
        FIXTURES.append(Fixture(name, what, opset, build))
        return build

    return add


class Net:
    """A graph under construction. Weights and samples are drawn from the name's seed."""

    def __init__(self, name, opset):
        self.name = name
        self.numbers = np.random.default_rng(zlib.crc32(name.encode()))
        self.opsets = {"": opset}
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []
        self.samples = []
        self.files, self.arrays = {}, {}  # further files of the folder, by name
        self.external = False  # whether weights lie beside the file

    def constant(self, array, name=None):
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, *values, name=None):
        return self.constant(np.array(values, dtype=np.float32), name)

    def ints(self, *values):
        return self.constant(np.array(values, dtype=np.int64))

    def scalar(self, value):
        return self.constant(np.array(value, dtype=np.float32))

    def drawn(self, *sizes, scale=1.0):
        return (scale * self.numbers.normal(size=sizes)).astype(np.float32)

    def weights(self, *sizes):
        """Weights at which a layer keeps the size of its input. The first axis is of outputs."""
        return self.drawn(*sizes, scale=np.sqrt(2 / np.prod(sizes[1:])))

    def node(self, op, *inputs, outputs=1, domain="", out=None, **attributes):
        """Adds a node; returns the name of its output, or a list of several."""
        names = [out] if out else [f"v{len(self.nodes)}_{index}" for index in range(outputs)]
        label = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), names, name=label, domain=domain, **attributes))
        return names[0] if len(names) == 1 else names

    def gemm(self, x, inputs, outputs, out=None):
        weights, bias = self.weights(outputs, inputs), self.drawn(outputs, scale=0.2)
        return self.node("Gemm", x, self.constant(weights), self.constant(bias), transB=1, out=out)

    def conv(self, x, inputs, outputs, kernel=3, group=1, out=None, **attributes):
        """A convolution over as many axes as `kernel` has sizes: two for a number."""
        sizes = (kernel, kernel) if isinstance(kernel, int) else kernel
        weights, bias = self.weights(outputs, inputs // group, *sizes), self.drawn(outputs, scale=0.2)
        attributes = {"kernel_shape": list(sizes), "group": group, **attributes}
        return self.node("Conv", x, self.constant(weights), self.constant(bias), out=out, **attributes)

    def pooled(self, x, channels, outputs):
        """The mean of each channel, and the network's last product."""
        return self.end(self.node("Flatten", self.node("GlobalAveragePool", x)), channels, outputs)

    def end(self, x, inputs, outputs):
        """The network's last product, as the output `y`."""
        self.gemm(x, inputs, outputs, out="y")
        self.output("y", "n", outputs)

    def input(self, name, *sizes, kind=FLOAT, samples=None):
        """Adds an input. Samples are drawn if none are given; a size that is a name is of 8."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, sizes))
        if samples is None:
            rest = [8 if isinstance(size, str) else size for size in sizes[1:]]
            samples = self.image(*rest) if len(rest) == 3 else self.drawn(SAMPLES, *rest)
        self.samples.append(samples)
        return name

    def image(self, *sizes):
        """Images of different brightness, so that a mean over pixels differs, too."""
        return self.drawn(SAMPLES, *sizes) + self.drawn(SAMPLES, sizes[0], 1, 1)

    def output(self, name, *sizes, kind=FLOAT):
        self.outputs.append(helper.make_tensor_value_info(name, kind, sizes))

    def output_map(self, name):
        """Adds an output that is a list of maps from a class to a number."""
        of = helper.make_map_type_proto(INT64, helper.make_tensor_type_proto(FLOAT, []))
        self.outputs.append(helper.make_value_info(name, helper.make_sequence_type_proto(of)))

    def model(self):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="poai")
        model.ir_version = IR_VERSIONS[self.opsets[""]]
        checker.check_model(model, full_check=True)
        return model


def perceptron(net, activation, inputs=8, hidden=16, outputs=3):
    """A product, what `activation` makes of its output, and a product."""
    x = net.gemm(net.input("x", "n", inputs), inputs, hidden)
    net.end(activation(x), hidden, outputs)
