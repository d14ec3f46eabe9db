#!/usr/bin/env python3
"""Time ONNX Runtime on a text encoder of all-MiniLM-L6-v2's shape.

The model has pseudo-random weights: the time of a run does not depend on them.
It runs in float32, and in 8 bits as `quantize_dynamic` makes it: each product
with weights quantises its input anew.

Install what this needs with --no-deps, in a virtual environment:

    python3 -m pip install --no-deps -r scripts/requirements-onnx-runtime.txt
    python3 scripts/measure-onnx-runtime.py --threads 2

Prints the least time of each in milliseconds, as JSON. With --serve it prints
one line, `ready` and the version, and then answers each line `float32` or
`int8` of its input with the seconds of one run. Exits with 2 if a package is
missing.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import quantize_dynamic
except ImportError as error:
    print(f"measure-onnx-runtime: {error}; install the packages that the script's docstring names", file=sys.stderr)
    sys.exit(2)

HEAD = 32
VOCABULARY = 1000


class Graph:
    """The nodes and weights of a model under construction."""

    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0
        self.random = np.random.default_rng(1)

    def node(self, kind, *inputs, **attributes):
        self.count += 1
        name = f"{kind}_{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def constant(self, array):
        self.count += 1
        name = f"constant_{self.count}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def drawn(self, *shape, centre=0.0):
        return self.constant((centre + self.random.uniform(-0.1, 0.1, shape)).astype(np.float32))

    def dense(self, x, rows, columns):
        product = self.node("MatMul", x, self.drawn(rows, columns))
        return self.node("Add", product, self.drawn(columns))

    def norm(self, x, columns):
        inputs = (x, self.drawn(columns, centre=1.0), self.drawn(columns))
        return self.node("LayerNormalization", *inputs, axis=-1, epsilon=1e-12)


def attention(graph, x, sizes):
    """Self-attention of all heads."""
    hidden = sizes.hidden
    split = graph.constant(np.array([0, 0, hidden // HEAD, HEAD], np.int64))
    joined = graph.constant(np.array([0, 0, hidden], np.int64))

    def heads(order):
        return graph.node("Transpose", graph.node("Reshape", graph.dense(x, hidden, hidden), split), perm=order)

    query, key, value = heads([0, 2, 1, 3]), heads([0, 2, 3, 1]), heads([0, 2, 1, 3])
    root = graph.constant(np.array(HEAD**0.5, np.float32))
    scores = graph.node("Div", graph.node("MatMul", query, key), root)
    means = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
    means = graph.node("Reshape", graph.node("Transpose", means, perm=[0, 2, 1, 3]), joined)
    return graph.dense(means, hidden, hidden)


def encoder(sizes):
    """The model: token ids to normalised means of hidden states."""
    graph, hidden = Graph(), sizes.hidden
    words = graph.node("Gather", graph.drawn(VOCABULARY, hidden), "ids")
    x = graph.norm(graph.node("Add", words, graph.drawn(sizes.sequence, hidden)), hidden)
    for _ in range(sizes.layers):
        x = graph.norm(graph.node("Add", attention(graph, x, sizes), x), hidden)
        wide = graph.node("Gelu", graph.dense(x, hidden, sizes.intermediate))
        x = graph.norm(graph.node("Add", graph.dense(wide, sizes.intermediate, hidden), x), hidden)
    mean = graph.node("ReduceMean", x, graph.constant(np.array([1], np.int64)), keepdims=0)
    graph.nodes.append(helper.make_node("LpNormalization", [mean], ["embedding"], axis=-1, p=2))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, [sizes.batch, sizes.sequence])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [sizes.batch, hidden])
    body = helper.make_graph(graph.nodes, "encoder", [ids], [embedding], graph.weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def runners(sizes):
    """A function for each kind of arithmetic, which runs the encoder once."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = sizes.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    rows, columns = np.indices((sizes.batch, sizes.sequence))
    ids = (rows * 131 + columns * 17) % VOCABULARY
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder, f"{kind}.onnx") for kind in ("float32", "int8")}
        onnx.save(encoder(sizes), paths["float32"])
        quantize_dynamic(paths["float32"], paths["int8"])
        for kind, path in paths.items():
            session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
            found[kind] = lambda session=session: session.run(None, {"ids": ids.astype(np.int64)})
            found[kind]()
    return found


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description="Time ONNX Runtime on a text encoder.")
    sizes = {"layers": 6, "hidden": 384, "intermediate": 1536, "batch": 32, "sequence": 128}
    for name, value in {**sizes, "threads": os.cpu_count(), "runs": 10}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--serve", action="store_true")
    sizes = parser.parse_args()
    found = runners(sizes)
    if sizes.serve:
        print(f"ready {onnxruntime.__version__}", flush=True)
        for line in sys.stdin:
            print(timed(found[line.strip()]), flush=True)
        return
    # In turns, so that other load meets both alike.
    turns = [{kind: timed(run) for kind, run in found.items()} for _ in range(sizes.runs)]
    best = {kind: round(1000 * min(turn[kind] for turn in turns), 1) for kind in found}
    print(json.dumps({"version": onnxruntime.__version__, "threads": sizes.threads, "milliseconds": best}))


if __name__ == "__main__":
    main()
