#!/usr/bin/env python3
"""Checks the steps of decoders against another implementation's answers.

    pip install -r scripts/requirements-programs.txt
    scripts/check-decoder.py [STEPS]

Without arguments it reads the files of test_vectors/decoder, and with a file of
steps only that. Another implementation made these files:

- steps.json: every step on explicit entries, with two tables of weights;
- tiny.txt: a tiny decoder made of integers alone, value by value.

The implementation in `programs/` was written from docs/spec.md (§11, §12). The
script lists every case that differs, and then fails.
"""

import argparse
import json
import struct
import sys
from pathlib import Path

from programs.execute import computed
from programs.program import Step
from programs.tiny import Tiny, column, value_line
from programs.trace import Tensor

FOLDER = Path(__file__).parent.parent / "test_vectors/decoder"
TYPES = {(-64, 63): 1, (-(1 << 15), (1 << 15) - 1): 2, (-(1 << 31), (1 << 31) - 1): 4}


def one(kind, inputs, fields, constants=None, sequence=1, answers=0):
    """A step's output in a run of one item."""
    constants = constants or {}
    fields = {**fields, **{name: index for index, name in enumerate(constants)}}
    step = Step(kind, fields, [], kind, list(constants))
    return computed(step, list(constants.values()), inputs, 1, sequence, answers).rows


def clamp(case):
    low, high = case["clamp"]
    return (TYPES[low, high], low, high)


def attention(case):
    """The row of a place, of one head. Rows of q that the case leaves out are 0."""
    keys, place, d = len(case["keys"]), case["place"], len(case["q"])
    q = [case["q"] if i == place else [0] * d for i in range(keys)]
    mq = [[case["mq"]] for _ in range(keys)]
    values = [list(row) for row in zip(*case["values"])]
    inputs = [Tensor(1, q), Tensor(4, mq), Tensor(1, case["keys"]), column(4, case["mk"]), Tensor(1, values)]
    if case["length"] is not None:
        inputs.append(column(4, [case["length"]]))
    fields = {"heads": 1, "key_heads": 1, "window": case["window"],
              **{f"s{at}": shift for at, shift in enumerate(case["shifts"])}}
    constants = {"alpha": column(4, [case["alpha"]]), "table": column(2, case["table"]),
                 "scale": column(4, case["scale"])}
    return one("grouped attention", inputs, fields, constants, keys)[place]


def output(case):
    """What this implementation computes for a case."""
    kind = case["step"]
    x = case.get("x")
    match kind:
        case "rms norm":
            fields = {"epsilon": case["epsilon"], "shift": case["shift"]}
            return one("wide rms norm", [Tensor(4, [x])], fields, {"affine": Tensor(4, case["affine"])})[0]
        case "rotary":
            fields = {"heads": case["heads"], "shift": case["shift"]}
            rows = one(kind, [Tensor(2, [x])], fields, {"turns": Tensor(2, [case["turn"]])})
            return sum(rows, [])
        case "mix":
            fields = {"block": case["block"], "shift": case["shift"], "clamp": clamp(case)}
            return one(kind, [Tensor(4, [x])], fields, {"scale": column(4, case["scale"])})[0]
        case "curve":
            fields = {"shift": case["shift"], "pass_above": case["pass_above"]}
            return one(kind, [Tensor(4, [x])], fields, {"table": column(2, case["table"])})[0]
        case "mul":
            fields = {"shift": case["shift"], "clamp": clamp(case)}
            return one(kind, [Tensor(4, [case["a"]]), Tensor(4, [case["b"]])], fields)[0]
        case "attention":
            return attention(case)
        case "tail":
            return one(kind, [Tensor(4, x), column(4, [case["start"]])], {}, {}, len(x), case["answers"])
        case "sample":
            words = struct.unpack("<8i", bytes.fromhex(case["seed"]))
            request = Tensor(4, [[case["place"], case["multiplier"], case["k"], *words]])
            table = {"table": column(4, case["sampling"])}
            return one(kind, [Tensor(4, [x]), request], {"shift": case["shift"]}, table)[0][0]
        case "limb":
            inputs = [Tensor(4, [[x]]), Tensor(4, [[case["m"]]])]
            return [one(kind, inputs, {"low": low})[0][0] for low in (False, True)]
    raise ValueError(f"expected the name of a step, got {kind}")


def check_steps(path):
    """The cases that differ, and how many there are."""
    known = json.loads(Path(path).read_text(encoding="utf-8"))
    different = []
    for index, case in enumerate(known["cases"]):
        case = {**case, "sampling": known["sampling"]}
        # A table may be named.
        if isinstance(case.get("table"), str):
            case["table"] = known[case["table"]]
        got = output(case)
        if got != case["output"]:
            different.append(f"case {index} ({case['step']}): expected {case['output']}, got {got}")
    return different, len(known["cases"])


def check_tiny():
    """The lines of the tiny decoder that differ, and how many there are."""
    steps = json.loads((FOLDER / "steps.json").read_text(encoding="utf-8"))
    known = (FOLDER / "tiny.txt").read_text(encoding="utf-8").splitlines()
    tiny = Tiny(steps["octave"], steps["sampling"])
    logits = tiny.run()
    lines = [value_line(name, value) for name, value in tiny.values.items()]
    lines += [f"argmax {tiny.choices(logits, 1)}", f"sample {tiny.choices(logits, 10)}"]
    pairs = zip(lines, known, strict=True)
    return [f"expected {their}, got {our}" for our, their in pairs if our != their], len(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="?", help="a file of steps")
    args = parser.parse_args()
    different, cases = check_steps(args.steps or FOLDER / "steps.json")
    lines = 0
    if not args.steps:
        more, lines = check_tiny()
        different += more
    if different:
        sys.exit("\n".join(different))
    print(f"{cases} steps and {lines} lines of the tiny decoder: the same")


if __name__ == "__main__":
    main()
