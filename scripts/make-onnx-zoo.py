#!/usr/bin/env python3
"""Make a zoo of exported networks, with samples and ONNX Runtime's outputs.

    python3 -m venv target/onnx-zoo
    target/onnx-zoo/bin/pip install -r scripts/requirements-onnx-zoo.txt
    target/onnx-zoo/bin/python scripts/make-onnx-zoo.py OUT [--sets NAME,...]

Each network has a folder OUT/SET/NAME with these files:

    model.onnx       as its exporter writes it, with model.onnx.data if it makes one
    calibration.npy  16 samples
    input.npy        8 other samples
    expected.npy     ONNX Runtime's output for input.npy, without its fusions

If a network has several inputs or outputs, the files are input-0.npy,
input-1.npy and so on. OUT/INDEX.tsv has a line a network. The sets:

    torch      usual networks, each by both exporters of PyTorch
    keras      networks of Keras on TensorFlow
    sklearn    pipelines of scikit-learn
    opsets     three networks at six versions of ONNX's operators
    quantised  two networks in the integer forms of ONNX Runtime's tools

Weights and samples are random with fixed seeds. Three networks are trained for
a moment. Other versions of the packages may draw other numbers. Exits with 1
if an exporter fails, and names each network that it fails on.
"""

import argparse
import importlib
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

SETS = {
    "torch": ("torch_set", "torch_cases"),
    "keras": ("keras_set", "keras_cases"),
    "sklearn": ("sklearn_set", "sklearn_cases"),
    "opsets": ("torch_set", "opset_cases"),
    "quantised": ("torch_set", "quantised_cases"),
}
FIELDS = ["set", "name", "exporter", "opset", "input shape", "output shape", "notes"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write; it must not exist yet")
    parser.add_argument("--sets", default=",".join(SETS), help=f"which sets to write ({','.join(SETS)})")
    parser.add_argument("--only", default="", help="write only networks whose name contains this text")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets.split(",")
    for name in arguments.sets:
        if name not in SETS:
            parser.error(f"expected a set of {', '.join(SETS)}, got {name!r}")
    if arguments.out.exists():
        parser.error(f"expected a new folder, got {arguments.out}; choose another or remove it")
    return arguments


def make(name, out, only):
    """Writes one set; returns its lines of the index, and what failed."""
    module, function = SETS[name]
    cases = getattr(importlib.import_module(f"onnx_zoo.{module}"), function)
    from onnx_zoo.writer import Zoo

    zoo = Zoo(out)
    for case in cases():
        if only in case.name:
            zoo.add(case)
    return zoo.lines, zoo.failed


def main():
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True)
    lines, failed = [], []
    # Each set has its own process, because PyTorch and TensorFlow abort in one.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as executor:
        for name in arguments.sets:
            try:
                made, wrong = executor.submit(make, name, arguments.out, arguments.only).result()
            except ImportError as error:
                print(f"make-onnx-zoo: {error}; install the packages that the docstring names", file=sys.stderr)
                return 2
            print(f"{name}: {len(made)} networks", flush=True)
            lines += made
            failed += wrong
    text = "".join("\t".join(line) + "\n" for line in [FIELDS, *lines])
    (arguments.out / "INDEX.tsv").write_text(text, encoding="utf-8")
    print(f"{len(lines)} networks in {arguments.out}")
    for failure in failed:
        print(f"make-onnx-zoo: {failure}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
