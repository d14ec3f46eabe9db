"""Median seconds of ONNX Runtime's MatMulInteger, u8 by constant i8, square.

Usage: onnxruntime_matmul.py SIZE THREADS
Needs the packages onnx, onnxruntime and numpy.
"""

import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def session(size, threads):
    rng = np.random.default_rng(1)
    weights = rng.integers(-128, 128, (size, size), dtype=np.int8)
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
    run = session(size, threads)
    a = np.random.default_rng(2).integers(0, 256, (size, size), dtype=np.uint8)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        run.run(None, {"a": a})
        times.append(time.perf_counter() - start)
    print(sorted(times)[len(times) // 2])


if __name__ == "__main__":
    main()
