#!/usr/bin/env python3
"""Checks steps and traces against an implementation in Python.

The implementation in `programs/` was written from docs/spec.md (§11 to §14) and
not from the Rust code. The test `emit_cases` of poai-engine writes the file
`cases`:

    POAI_CASES=$PWD/target/cases.json cargo test -p poai-engine --test it -- --ignored steps::
    pip install -r scripts/requirements-programs.txt
    scripts/check-programs.py target/cases.json --known test_vectors/steps.txt

For every case the script decodes and runs the program. It compares the ids, the
entries and the commitment root of every value, the trace root, a receipt and
the tiles that an audit of it opens (§11 to §14) with Rust's. The first
difference ends the check. `--write` stores this implementation's answers;
`poai-engine/tests/it/steps.rs` compares Rust with them. `--known` compares them
with stored ones.
"""

import argparse
import json
import sys

from blake3 import blake3

from programs.audit import Rules, opened_tiles, receipt_digest
from programs.execute import run
from programs.numbers import NoOutput
from programs.program import decode
from programs.trace import Tensor, trace_header, trace_root


class Differs(Exception):
    pass


def tensor(entries):
    return Tensor(entries["type"], entries["rows"])


def same(what, ours, theirs):
    if ours != theirs:
        raise Differs(f"{what}: {ours} here, {theirs} in Rust")


def check(case):
    """Compares a case and returns the lines of its known answers: the trace
    root, which commits to everything else, and the steps' roots if there are
    several."""
    program = decode(bytes.fromhex(case["program"]))
    same("architecture id", program.architecture_id.hex(), case["architecture_id"])
    same("program id", program.program_id.hex(), case["program_id"])
    batch, sequence, answers = case["batch"], case["sequence"], case["answers"]
    constants = [tensor(entries) for entries in case["constants"]]
    inputs = [tensor(entries) for entries in case["inputs"]]
    try:
        values = run(program, constants, inputs, batch, sequence, answers)
    except NoOutput:
        same("the run", "no output", "an output" if case["trace_root"] else "no output")
        return [f"{case['name']}: no output"]
    if not case["trace_root"]:
        raise Differs("expected an error, as in Rust, got an output")

    lines = []
    steps = [None] * len(inputs) + program.steps
    for index, (value, step, theirs) in enumerate(zip(values, steps, case["values"], strict=True)):
        what = f"value {index}, {f'{step.kind} ({step.name})' if step else 'an input'}"
        same(f"type of {what}", value.type, theirs["type"])
        for row, (ours, their) in enumerate(zip(value.rows, theirs["rows"], strict=True)):
            same(f"row {row} of {what}", ours, their)
        same(f"root of {what}", value.root.hex(), theirs["root"])
        if step and len(program.steps) > 1:
            lines.append(f"{case['name']}: {index} {step.name} {value.root.hex()}")
    header = trace_header(program, batch, sequence, values, answers)
    root = trace_root(header)
    same("trace root", root.hex(), case["trace_root"])
    audit = check_audit(case, program, header, root, list(zip(values, steps, strict=True)))
    return lines + [f"{case['name']}: trace {root.hex()}", f"{case['name']}: {audit}"]


def check_audit(case, program, header, root, values):
    """Compares a receipt's digest and the tiles of an audit of it. Returns the
    line of their known answers."""
    theirs = case["audit"]
    rules = Rules(**theirs["rules"])
    job, prover, beacon = (bytes.fromhex(theirs[name]) for name in ("job", "prover", "beacon"))
    receipt = receipt_digest(program, header, root, values, job, prover, rules)
    same("receipt's digest", receipt.hex(), theirs["receipt"])
    tiles = opened_tiles(rules, values, program.outputs, root, receipt, beacon)
    same("tiles of the audit", tiles, [tuple(tile) for tile in theirs["tiles"]])
    named = " ".join(f"{value}/{tile}" for value, tile in tiles)
    return f"audit {receipt.hex()} {blake3(named.encode()).hexdigest()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", help="the file that the test emit_cases wrote")
    parser.add_argument("--write", help="where to keep the known answers")
    parser.add_argument("--known", help="known answers to compare with")
    args = parser.parse_args()
    with open(args.cases, encoding="utf-8") as file:
        cases = json.load(file)

    lines = []
    for case in cases:
        try:
            lines += check(case)
        except Exception as error:
            sys.exit(f"case {case['name']} ({case['about']}): {error or repr(error)}")
    known = "".join(f"{line}\n" for line in lines)
    if args.write:
        with open(args.write, "w", encoding="utf-8") as file:
            file.write(known)
    if args.known:
        with open(args.known, encoding="utf-8") as file:
            if file.read() != known:
                sys.exit(f"expected the answers of {args.known}, got others; see --write")
    print(f"{len(cases)} cases, {len(lines)} answers: the same")


if __name__ == "__main__":
    main()
