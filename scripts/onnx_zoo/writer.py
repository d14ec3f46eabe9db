"""Folders of the zoo: a network, its samples, what ONNX Runtime computes, and a line in the index."""

import shutil
import zlib
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime

CALIBRATION, SAMPLES = 16, 8


class Failure(Exception):
    """An error that the caller can fix: a package, a path."""


@dataclass
class Case:
    """One network of a set: `export` writes the file that it is given."""

    set: str
    name: str
    exporter: str
    export: object
    samples: object  # a function of a generator and a number of samples, to a list of inputs
    notes: list = field(default_factory=list)
    network: str = ""  # what is exported, if other cases export it, too: they get the same samples


def generator(text):
    """The random numbers that `text` seeds."""
    return np.random.default_rng(zlib.crc32(text.encode()))


def image(numbers, count, channels, side, last=False):
    """Smooth images with noise, so that samples differ after a mean over pixels, too."""
    coarse = numbers.normal(size=(count, channels, side // 4, side // 4)) + numbers.normal(size=(count, channels, 1, 1))
    fine = np.kron(coarse, np.ones((1, 1, 4, 4))) + 0.3 * numbers.normal(size=(count, channels, side, side))
    return (fine.transpose(0, 2, 3, 1) if last else fine).astype(np.float32)


def rows(numbers, *sizes):
    return numbers.normal(size=sizes).astype(np.float32)


def described(value):
    """The shape and the type of a graph's input or output."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return kind
    tensor = value.type.tensor_type
    sizes = [each.dim_param or str(each.dim_value if each.HasField("dim_value") else "?") for each in tensor.shape.dim]
    return f"{','.join(sizes)}:{onnx.TensorProto.DataType.Name(tensor.elem_type).lower()}"


def dense(value):
    """An output as an array; a ZipMap makes one dictionary a sample."""
    if isinstance(value, list):
        return np.array([list(each.values()) for each in value], dtype=np.float32)
    return value


def run(path, inputs):
    """The outputs of ONNX Runtime. A batch that the file fixes at 1 runs sample by sample."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # The file's own arithmetic is wanted, so no fusion may change it.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    graph = session.get_inputs()
    if len(graph) != len(inputs):
        raise Failure(f"{path}: expected {len(graph)} inputs, got {len(inputs)}; draw samples for each")
    first = graph[0].shape
    one = len(first) < inputs[0].ndim  # the file has no batch at all
    step = 1 if one or first[0] == 1 else len(inputs[0])
    parts = []
    for at in range(0, len(inputs[0]), step):
        batch = {each.name: array[at] if one else array[at : at + step] for each, array in zip(graph, inputs)}
        outputs = [dense(value) for value in session.run(None, batch)]
        parts.append([value[None] for value in outputs] if one else outputs)
    return [np.concatenate(each) for each in zip(*parts)]


def save(folder, stem, arrays):
    """Saves `stem.npy`, or `stem-0.npy` and so on if there are several."""
    for index, array in enumerate(arrays):
        name = f"{stem}.npy" if len(arrays) == 1 else f"{stem}-{index}.npy"
        np.save(folder / name, array)


class Zoo:
    """The folder of all networks. `lines` has the lines of the index."""

    def __init__(self, root):
        self.root = root
        self.lines = []
        self.failed = []

    def add(self, case):
        folder = self.root / case.set / case.name
        folder.mkdir(parents=True)
        try:
            self.write(folder, case)
        except Exception as error:  # the exporters raise errors of many kinds
            shutil.rmtree(folder)
            reason = (str(error).strip().splitlines() or [""])[0]
            self.failed.append(f"{case.set}/{case.name}: {type(error).__name__}: {reason}")

    def write(self, folder, case):
        path = folder / "model.onnx"
        case.export(path)
        numbers = generator(case.network or case.name)
        calibration, inputs = case.samples(numbers, CALIBRATION), case.samples(numbers, SAMPLES)
        outputs = run(path, inputs)
        for array in outputs:
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise Failure("expected finite outputs, got another; choose other weights")
            if len(np.unique(array.reshape(len(array), -1), axis=0)) == 1 and array.dtype.kind == "f":
                raise Failure("expected outputs that depend on the input, got equal ones; choose other weights")
        save(folder, "calibration", calibration)
        save(folder, "input", inputs)
        save(folder, "expected", outputs)
        model = onnx.load(path, load_external_data=False)
        constants = {each.name for each in model.graph.initializer}
        graph_inputs = [each for each in model.graph.input if each.name not in constants]
        opsets = [(f"{each.domain}=" if each.domain else "") + str(each.version) for each in model.opset_import]
        notes = list(case.notes)
        if (folder / "model.onnx.data").exists():
            notes.append("weights beside it")
        shapes = [" ".join(map(described, each)) for each in (graph_inputs, model.graph.output)]
        self.lines.append([case.set, case.name, case.exporter, " ".join(opsets), *shapes, "; ".join(notes)])
