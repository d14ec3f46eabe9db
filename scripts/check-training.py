#!/usr/bin/env python3
"""Checks the steps of training against another implementation's answers.

    pip install -r scripts/requirements-programs.txt
    scripts/check-training.py [STEPS]

Without arguments it reads the files of test_vectors/training, and with a
file of steps only that. Another implementation made these files:

- steps.json: every step on explicit inputs, with its rows and its root;
- runs.json: five short runs, with the root of every value of every iteration;
- digests.txt: of these runs the rates, samples, states and logits;
- tables.json: the tables of the exponential function.

The implementation in `programs/` was written from docs/spec.md (§11 to §14, §19).
This script computes all of these values with it, those of runs twice: as the
files list them, and as programs with state that draw their batches. The file
programs.json has these programs, and what this implementation made of them:
ids, constants, and for every iteration the trace root, a receipt and an audit.
The file commitments.json has what training runs of them commit to (§19). The
script lists every case that differs, and then fails.

Digests of programs, traces, chains and runs in digests.txt are not compared:
they are of another encoding.
"""

import argparse
import json
import sys
from pathlib import Path

from programs.execute import computed
from programs.program import Step
from programs.runs import ABOVE, SIGN, check_run, read_digests, read_run, same
from programs.states import check_program
from programs.trace import Tensor
from programs.vectors import BLOCKS, compute, parse, window

FOLDER = Path(__file__).parent.parent / "test_vectors/training"


def batch_of(line, inputs):
    """The batch of a case, which the shapes imply."""
    rows = len(inputs[-1].rows)
    match line.kind:
        case "mean pool gradient":
            return rows
        case "fold" | "max pool gradient":
            down, right = window(*line.arguments[0]).size()
            return rows // (down * right)
        case kind if kind in BLOCKS:
            return rows // line.arguments[1]
        case "divide by sums":
            return len(inputs[0].rows) // inputs[1].columns
        case "exponentials":
            return rows // inputs[0].columns
    return 1


def check_step(case):
    line = parse(case["step"])
    given = [Tensor(entries["type"], entries["rows"]) for entries in case["inputs"]]
    # The numbers of a line's inputs are places in the case's list.
    inputs = [given[at] for at in line.inputs]
    output, theirs = compute(line, inputs, batch_of(line, inputs)), case["output"]
    same("type", output.type, theirs["type"])
    for row, (our, their) in enumerate(zip(output.rows, theirs["rows"], strict=True)):
        same(f"row {row}", our, their)
    same("root", output.root.hex(), theirs["root"])


def check_next_exponent(case):
    inputs = [Tensor(4, [[case["e"]]]), Tensor(4, [[case["max"]]])]
    step = Step("next exponent", {}, [0, 1], "next exponent")
    same("next exponent", computed(step, [], inputs, 1, 1).rows, [[case["next"]]])


def checked(name, failures, check, *arguments):
    """The result of a check, or None with a line in `failures`."""
    try:
        return check(*arguments)
    except Exception as error:
        failures.append(f"{name}: {error or repr(error)}")


def check_steps(path, failures):
    with open(path, encoding="utf-8") as file:
        steps = json.load(file)
    for case in steps["cases"]:
        checked(f"step {case['name']}", failures, check_step, case)
    for case in steps["next exponent"]:
        checked(f"next exponent of {case['e']}, {case['max']}", failures, check_next_exponent, case)
    count = len(steps["cases"]) + len(steps["next exponent"])
    if count == 0:
        failures.append("expected cases, got none")
    return count


def check_table(entries, root):
    same("root", Tensor(2, [[entry] for entry in entries]).root.hex(), root)


def check_runs(folder, failures):
    """Checks tables and runs. Returns how many values they have, the runs as
    programs, and what they commit to."""
    digests, known = read_digests(folder / "digests.txt")
    with open(folder / "tables.json", encoding="utf-8") as file:
        tables = json.load(file)
    with open(folder / "runs.json", encoding="utf-8") as file:
        runs = json.load(file)
    if sorted(tables) != sorted(digests) or [run["name"] for run in runs] != list(known) or not runs:
        failures.append("expected the tables and runs of digests.txt, got others")
    for name, entries in tables.items():
        checked(f"table {name}", failures, check_table, entries, digests.get(name))
    whole = list(tables.values()) + [ABOVE, SIGN]
    count, programs, commitments = 0, {}, {}
    for run in runs:
        what, of_run = f"run {run['name']}", known.get(run["name"])
        read = checked(what, failures, read_run, run, whole)
        if read:
            checked(what, failures, check_run, read[0], of_run, *read[1:])
            made = checked(what, failures, check_program, read[0], of_run, *read[1:])
            programs[run["name"]], committed = made or (None, None)
            if committed:
                commitments[run["name"]] = committed
            count += sum(map(len, read[0].roots))
    return count, programs, commitments


def check_programs(path, programs, failures, write):
    """Compares what was made of runs with what is known, or stores it."""
    if write:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(programs, file)
            file.write("\n")
    with open(path, encoding="utf-8") as file:
        known = json.load(file)
    for name in sorted(known.keys() | programs.keys()):
        if known.get(name) != programs.get(name):
            failures.append(f"run {name}: expected what {path.name} has, got another; see --write")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="?", help="a file of steps, in place of the whole folder")
    parser.add_argument("--write", action="store_true", help="store programs.json and commitments.json")
    args = parser.parse_args()
    failures = []
    cases, values = check_steps(args.steps or FOLDER / "steps.json", failures), 0
    if not args.steps:
        values, programs, commitments = check_runs(FOLDER, failures)
        for name, made in {"programs.json": programs, "commitments.json": commitments}.items():
            check_programs(FOLDER / name, made, failures, args.write and not failures)
    if failures:
        sys.exit("\n".join(failures) + f"\n{len(failures)} differences")
    print(f"{cases} cases of steps, {values} values of runs: the same")


if __name__ == "__main__":
    main()
