#!/usr/bin/env python3
"""Make small ONNX files with samples, and what ONNX Runtime computes from them.

    python3 -m venv target/onnx-fixtures
    target/onnx-fixtures/bin/pip install -r scripts/requirements-onnx-fixtures.txt
    target/onnx-fixtures/bin/python scripts/make-onnx-fixtures.py

Writes test_vectors/onnx/, a folder a network, and its README. Each folder has
model.onnx, input.npy and expected.npy: ONNX Runtime's output, without its
fusions. If a network has several inputs or outputs, the files are input-0.npy,
input-1.npy and so on. Some folders have further files, which the README names.

The networks are written node by node in scripts/onnx_fixtures/. Weights and
samples are random with a fixed seed. Other versions of the packages may draw
other numbers, so the script writes everything anew or nothing.
"""

import shutil
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import onnx
    import onnxruntime

    from onnx_fixtures import basic, further, images, masks, others, rounds  # noqa: F401, because they fill the list
    from onnx_fixtures.builder import FIXTURES, SAMPLES, Net
    from onnx_zoo.writer import run, save
except ImportError as error:
    print(f"make-onnx-fixtures: {error}; install the packages that the script's docstring names", file=sys.stderr)
    sys.exit(2)

FOLDER = Path(__file__).resolve().parent.parent / "test_vectors" / "onnx"
MODEL_MAX, TOTAL_MAX = 20_000, 1_000_000

README = """# Small ONNX files

Each folder has one network for one thing that a reader of ONNX files can get wrong. Do not edit the files or this page by
hand: `scripts/make-onnx-fixtures.py` makes all of them.

| file | content |
| --- | --- |
| `model.onnx` | the network, of at most {model} bytes |
| `input.npy` | {samples} samples; they are also the calibration if there is no `calibration.npy` |
| `expected.npy` | the output of ONNX Runtime for them, without its fusions |

If a network has several inputs or outputs, the files are `input-0.npy`, `input-1.npy` and so on. A map of classes is an
array with one column a class. A network without a batch, or with a batch of 1, ran once a sample.

The networks are written node by node with `onnx.helper`, from fixed seeds. Versions: {versions}.
`scripts/fetch-onnx-node-tests.py` fetches ONNX's own tests of single operators, in the same form.

| folder | what it has |
| --- | --- |
{lines}
"""


class Failure(Exception):
    """A fixture that is too large, or that two fixtures share a name."""


def make(folder, case):
    """Writes one folder."""
    folder.mkdir()
    net = Net(case.name, case.opset)
    case.build(net)
    path = folder / "model.onnx"
    beside = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 0}
    onnx.save_model(net.model(), path, **(beside if net.external else {}))
    outputs = run(path, net.samples)
    for array in outputs:
        if len(np.unique(array.reshape(len(array), -1), axis=0)) == 1:
            raise Failure(f"{case.name}: expected outputs that depend on the input, got equal ones; change its weights")
    save(folder, "input", net.samples)
    save(folder, "expected", outputs)
    for name, array in net.arrays.items():
        np.save(folder / name, array)
    for name, content in net.files.items():
        (folder / name).write_bytes(content)
    if path.stat().st_size > MODEL_MAX:
        raise Failure(f"{case.name}: expected at most {MODEL_MAX} bytes, got {path.stat().st_size}; make it smaller")


def main():
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in (np, onnx, onnxruntime))
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch) / "onnx"
        scratch.mkdir()
        for case in sorted(FIXTURES, key=lambda case: case.name):
            make(scratch / case.name, case)
        lines = [f"| `{case.name}` | {case.what} |" for case in sorted(FIXTURES, key=lambda case: case.name)]
        text = README.format(model=MODEL_MAX, samples=SAMPLES, versions=versions, lines="\n".join(lines))
        (scratch / "README.md").write_text(text, encoding="utf-8")
        total = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file())
        if total > TOTAL_MAX:
            raise Failure(f"expected at most {TOTAL_MAX} bytes in all, got {total}; make the fixtures smaller")
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.copytree(scratch, FOLDER)
    print(f"{len(FIXTURES)} fixtures, {total} bytes")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"make-onnx-fixtures: {failure}", file=sys.stderr)
        sys.exit(2)
