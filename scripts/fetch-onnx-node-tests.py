#!/usr/bin/env python3
"""Fetch ONNX's own tests of operators, those that a network of floats can have.

    python3 scripts/fetch-onnx-node-tests.py DIR

Downloads the wheel of the package onnx that scripts/requirements-onnx-node-tests.txt
pins by version and SHA-256. Unpacks the tests whose operators are all in scope,
and which have a first input of float and one output of float. DIR must not exist
yet. It gets a folder a test, under the name of the collection in the wheel:

    model.onnx    the network
    input.npy     its first input
    expected.npy  its output

The tests hand weights, shapes and bounds over as further inputs. Here these are
constants of the network, as in exported files; DIR/INDEX.tsv names them. The
tests are ONNX's, under Apache-2.0; DIR/LICENSE is its text. Needs pip, and no
further package.
"""

import argparse
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
PIN = SCRIPTS / "requirements-onnx-node-tests.txt"
# The one wheel that is pinned, whichever Python runs this script.
WHEEL = ["--platform=manylinux_2_27_x86_64", "--python-version=311", "--implementation=cp", "--abi=cp311"]
COLLECTIONS = ["node", "pytorch-converted", "pytorch-operator"]
SCOPE = set(
    """
    Abs Acosh Add And Asinh Atanh Attention AveragePool BatchNormalization BitShift Cast CastLike Ceil Celu Clip
    Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout
    DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND
    Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid
    HardSwish Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log
    LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool Mean Min Mish Mod Mul Neg Not OneHot Or
    PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
    Resize Round Scan ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus
    Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile Transpose Trilu Unsqueeze
    Upsample Where Xor ai.onnx.ml.Binarizer ai.onnx.ml.Imputer ai.onnx.ml.LinearClassifier ai.onnx.ml.LinearRegressor
    ai.onnx.ml.Normalizer ai.onnx.ml.Scaler
    """.split()
)
# Their outputs are random.
RANDOM = re.compile(r"test_training_dropout")
FLOAT = 1
# Field numbers of onnx.proto.
MODEL_VERSION, MODEL_GRAPH, MODEL_OPSETS = 1, 7, 8
GRAPH_NODE, GRAPH_CONSTANT, GRAPH_INPUT, GRAPH_OUTPUT = 1, 5, 11, 12
NODE_KIND, NODE_DOMAIN = 4, 7
TENSOR_SIZES, TENSOR_TYPE, TENSOR_FLOATS, TENSOR_NAME, TENSOR_BYTES = 1, 2, 4, 8, 9


class Failure(Exception):
    """An error that the caller can fix: a path, a network, a wheel."""


def number(data, at):
    """A variable-length number and the place after it."""
    value, shift = 0, 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 128:
            return value, at


def fields(data):
    """The fields of a message of protobuf: number, value, and the bytes of both."""
    at = 0
    while at < len(data):
        start = at
        key, at = number(data, at)
        if key & 7 == 0:
            value, at = number(data, at)
        else:
            size, at = number(data, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            value, at = data[at : at + size], at + size
        yield key >> 3, value, data[start:at]


def values(data, field):
    return [value for number, value, _ in fields(data) if number == field]


def message(field, value):
    """A field whose value is bytes."""
    size, head = len(value), bytearray()
    for rest in (field << 3 | 2, size):
        while rest > 127:
            head.append(rest & 127 | 128)
            rest >>= 7
        head.append(rest)
    return bytes(head) + value


def first(data, *path, default=b""):
    """The value at the end of a path of field numbers."""
    for field in path:
        found = values(data, field)
        if not found:
            return default
        data = found[0]
    return data


def operator(node):
    """The operator's name, with its domain unless that is ONNX's own."""
    domain, name = first(node, NODE_DOMAIN).decode(), first(node, NODE_KIND).decode()
    return name if domain in ("", "ai.onnx") else f"{domain}.{name}"


def kind(value):
    """The type of a graph's input or output; 0 if it is no tensor."""
    return first(value, 2, 1, 1, default=0)


def sizes(tensor):
    found = []
    for field, value, _ in fields(tensor):
        if field == TENSOR_SIZES and isinstance(value, bytes):  # all in one field
            at = 0
            while at < len(value):
                size, at = number(value, at)
                found.append(size)
        elif field == TENSOR_SIZES:
            found.append(value)
    return found


def npy(tensor):
    """A tensor of floats as a .npy file."""
    shape = sizes(tensor)
    data = first(tensor, TENSOR_BYTES) or b"".join(values(tensor, TENSOR_FLOATS))
    count = 1
    for size in shape:
        count *= size
    if first(tensor, TENSOR_TYPE, default=0) != FLOAT or len(data) != 4 * count:
        raise Failure(f"expected {count} floats, got {len(data)} bytes")
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({''.join(f'{size}, ' for size in shape)}), }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def freeze(model, constants):
    """The model with further inputs as constants: their tensors by name."""
    # Before version 4 of the format, constants are among the inputs, too.
    listed = first(model, MODEL_VERSION, default=0) < 4
    graph = b""
    for field, value, raw in fields(first(model, MODEL_GRAPH)):
        if listed or field != GRAPH_INPUT or first(value, 1) not in constants:
            graph += raw
    for name, tensor in constants.items():
        rest = b"".join(raw for field, _, raw in fields(tensor) if field != TENSOR_NAME)
        graph += message(GRAPH_CONSTANT, rest + message(TENSOR_NAME, name))
    return b"".join(message(MODEL_GRAPH, graph) if field == MODEL_GRAPH else raw for field, _, raw in fields(model))


def read(wheel, folder):
    """The files and the line of the index of one test, or None if it is out of scope."""
    model = wheel.read(f"{folder}/model.onnx")
    graph = first(model, MODEL_GRAPH)
    operators = [operator(node) for node in values(graph, GRAPH_NODE)]
    initial = {first(tensor, TENSOR_NAME) for tensor in values(graph, GRAPH_CONSTANT)}
    inputs = [value for value in values(graph, GRAPH_INPUT) if first(value, 1) not in initial]
    outputs = values(graph, GRAPH_OUTPUT)
    if not operators or not set(operators) <= SCOPE or not inputs or len(outputs) != 1:
        return None
    if kind(inputs[0]) != FLOAT or kind(outputs[0]) != FLOAT:
        return None
    data = f"{folder}/test_data_set_0"
    try:
        tensors = [wheel.read(f"{data}/input_{index}.pb") for index in range(len(inputs))]
        expected = wheel.read(f"{data}/output_0.pb")
    except KeyError:
        return None
    constants = {first(value, 1): tensor for value, tensor in zip(inputs[1:], tensors[1:])}
    files = {"model.onnx": freeze(model, constants), "input.npy": npy(tensors[0]), "expected.npy": npy(expected)}
    opset = next((first(each, 2, default=0) for each in values(model, MODEL_OPSETS) if not first(each, 1)), "")
    shapes = ["×".join(map(str, sizes(tensor))) or "scalar" for tensor in (tensors[0], expected)]
    names = " ".join(name.decode() for name in constants)
    return files, [" ".join(dict.fromkeys(operators)), str(opset), *shapes, names]


def download(folder):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", *WHEEL, "--dest", str(folder), "--requirement", str(PIN)]
    try:
        subprocess.run(command, check=True, stdout=sys.stderr)
    except subprocess.CalledProcessError as error:
        raise Failure(f"pip exited with {error.returncode}; check the network and {PIN.name}") from error
    found = list(folder.glob("*.whl"))
    if len(found) != 1:
        raise Failure(f"expected one wheel, got {len(found)}; check {PIN.name}")
    return found[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", type=Path, metavar="DIR", help="the folder to write; it must not exist yet")
    out = parser.parse_args().out
    if out.exists():
        parser.error(f"expected a new folder, got {out}; choose another or remove it")
    lines, total, counts = [], 0, Counter()
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(download(Path(scratch))) as wheel:
        of = "|".join(map(re.escape, COLLECTIONS))
        tests = re.compile(rf"onnx/backend/test/data/({of})/(test_\w+)/model\.onnx")
        matches = [match for match in map(tests.fullmatch, sorted(wheel.namelist())) if match]
        matches = [match for match in matches if not RANDOM.match(match[2])]
        for match in matches:
            found = read(wheel, match.group().removesuffix("/model.onnx"))
            if found is None:
                continue
            files, line = found
            folder = out / match[1] / match[2]
            folder.mkdir(parents=True)
            for name, content in files.items():
                (folder / name).write_bytes(content)
                total += len(content)
            lines.append([match[1], match[2], *line])
            counts[line[0] if " " not in line[0] else "several operators"] += 1
        licence = next((name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")), None)
        if licence is None or not lines:
            raise Failure(f"expected node tests and a licence in the wheel, got neither; check {PIN.name}")
        (out / "LICENSE").write_bytes(wheel.read(licence))
    titles = ["collection", "test", "operators", "opset", "input", "output", "constants"]
    text = "".join("\t".join(line) + "\n" for line in [titles, *lines])
    (out / "INDEX.tsv").write_text(text, encoding="utf-8")
    single = sum(1 for line in lines if not line[-1])
    print(f"{len(lines)} of {len(matches)} tests, {total} bytes; {single} have one input without any change")
    print(", ".join(f"{name} {count}" for name, count in counts.most_common()))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"fetch-onnx-node-tests: {failure}", file=sys.stderr)
        sys.exit(2)
