"""Serves timed runs of ONNX Runtime's MatMulInteger, u8 by constant i8, square.

Usage: onnxruntime_matmul.py SIZE THREADS
Prints "ready VERSION". Then, for each line of its input, runs once and prints
the seconds. Exits at the end of its input.
Needs the packages onnx, onnxruntime and numpy.
"""

import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def session(weights, threads):
    size = weights.shape[0]
    node = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [size, size])],
        [numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def main():
    size, threads = int(sys.argv[1]), int(sys.argv[2])
    weights = np.random.default_rng(1).integers(-128, 128, (size, size), dtype=np.int8)
    a = np.random.default_rng(2).integers(0, 256, (size, size), dtype=np.uint8)
    run = session(weights, threads)
    product = run.run(None, {"a": a})[0]
    # A known answer: two entries, computed in another way.
    for row, column in [(0, 0), (size - 1, size // 2)]:
        expected = int(a[row].astype(np.int64) @ weights[:, column].astype(np.int64))
        if int(product[row, column]) != expected:
            sys.exit(f"MatMulInteger gave {product[row, column]} instead of {expected}")
    print("ready", onnxruntime.__version__, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run.run(None, {"a": a})
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
