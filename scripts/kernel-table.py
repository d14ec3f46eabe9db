#!/usr/bin/env python3
"""Prints the resources and the instructions of every kernel.

    pip install --no-deps -r scripts/requirements-kernels.txt
    scripts/kernel-table.py

Assembles every PTX in poai-cuda/ptx for the kinds of GPUs that would run it,
which needs no GPU, and writes docs/kernels.md. Fails if a kernel spills
registers, if the assembler warns, or if the machine code lacks an instruction
that the source's comments require (see kernels/sources.py). `--check` writes
nothing and fails if docs/kernels.md differs from the printed table. With the
environment variable POAI_TURN, 0 to 3, it does so for one in four sources.

A driver assembles the PTX itself. So a kernel that must be fast with old
drivers needs a test with their assemblers, too: `--ptxas PATH` takes another
assembler, of any toolkit since 12.0, and writes nothing. GPUs that the
assembler does not know are left out.

Exit status: 1 if a check fails, 3 if a tool is not installed.
"""

import argparse
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kernels.assembled import GPUS, DISASSEMBLED, Tools
from kernels.sources import ARCHITECTURE, ROOT, Missing, Wrong, sources

TABLE = ROOT / "docs/kernels.md"

TEXT = """\
# The kernels on GPUs

Do not edit: `scripts/kernel-table.py` writes this file, and CI runs it with `--check`. The table has every kernel that the
crate embeds. For each GPU that would run the kernel, it gives the registers of a thread and any bytes of stack. No kernel
spills. "Threads" is the largest number in a block; "shared" is the bytes of shared memory that are fixed at compilation. The
instructions are those of the machine code that multiply or move blocks. They are listed from sm_{disassembled} on, where there is a
disassembler. The table was assembled by ptxas {release}; a driver brings its own assembler.

"""

# Instructions to list: products of matrices, dot products, loads of matrices,
# and asynchronous copies from global to shared memory.
MATRIX = re.compile(r"[A-Z]*MMA")
NOTED = {"IDP", "LDSM", "LDGSTS", "UTMALDG", "UBLKCP", "REDUX"}


def gpus(source):
    """Pairs of an architecture of a source and a GPU that runs that one rather
    than another: `kernels::find` makes the same choice."""
    parsed = []
    for name in source.architectures:
        major, minor, only_this = ARCHITECTURE.fullmatch(name).groups()
        parsed.append((int(major + minor), bool(only_this), name))
    for gpu in GPUS:
        runs = [one for one in parsed if gpu == one[0] or (gpu > one[0] and not one[1])]
        if runs:
            _, only_this, name = max(runs)
            yield name, gpu, only_this
    for capability, _, name in parsed:
        if capability not in GPUS:
            raise Wrong(f"{source.path.name}: expected a GPU to try for {name}, got none; add one to GPUS")


def noted(opcodes):
    """The instructions to list, shortened."""
    short = set()
    for opcode in opcodes:
        base, *parts = opcode.split(".")
        if MATRIX.fullmatch(base):
            short.add(".".join([base, *parts[:1]]))
        elif base in NOTED:
            short.add(base)
    return short


def threads(ptx, entry):
    """The most threads in a block, if the kernel declares it."""
    head = ptx[ptx.index(f".visible .entry {entry}(") :].split("\n{", 1)[0]
    found = re.search(r"\.(?:maxntid|reqntid) (\d+), (\d+), (\d+)", head)
    return str(int(found[1]) * int(found[2]) * int(found[3])) if found else "–"


def complaints(source, architecture, entry, on):
    """The failures of a kernel; `on` holds its assembled forms by GPU."""
    for gpu, kernel in on.items():
        where = f"{source.path.name}, {entry} on sm_{gpu}"
        if kernel.spilled:
            yield f"{where}: expected no spills, got {kernel.spilled} bytes"
        if kernel.opcodes is not None:
            for instruction in source.instructions(architecture, entry):
                if not kernel.has(instruction):
                    yield f"{where}: expected the instruction {instruction}, got none"


def row(source, architecture, entry, on):
    read = {gpu: noted(kernel.opcodes) for gpu, kernel in on.items() if kernel.opcodes}
    words = []
    for instruction in sorted(set().union(*read.values())):
        has = [gpu for gpu in read if instruction in read[gpu]]
        where = "" if len(has) == len(read) else f" ({', '.join(f'sm_{gpu}' for gpu in has)})"
        words.append(instruction + where)
    ptx = source.ptx(architecture).read_text()
    cells = [source.name, f"`{entry}`", architecture, threads(ptx, entry)]
    cells.append("/".join(map(str, sorted({kernel.shared for kernel in on.values()}))))
    for gpu in GPUS:
        cell = ""
        if gpu in on:
            cell = str(on[gpu].registers)
            if on[gpu].stack:
                cell += f" + {on[gpu].stack} B"
        cells.append(cell)
    return cells + [", ".join(words)]


def measure(tools, chosen):
    """The table's text for these sources, and the kernels' failures."""
    known = {gpu for gpu in GPUS if tools.knows(gpu)}
    jobs = [(source, *which) for source in chosen for which in gpus(source)]
    jobs = [job for job in jobs if job[2] in known]
    for source, architecture, *_ in jobs:
        if not source.ptx(architecture).exists():
            raise Wrong(f"{source.ptx(architecture).name} does not exist; run build-kernels.py first")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(lambda job: tools.assemble(job[0].ptx(job[1]), *job[2:]), jobs))
    wrong = []
    kernels = {}
    for (source, architecture, gpu, _), (assembled, advice) in zip(jobs, done):
        wrong += advice
        for entry, kernel in assembled.items():
            kernels.setdefault((source, architecture, entry), {})[gpu] = kernel
    for source in {job[0] for job in jobs}:
        there = {entry for which, _, entry in kernels if which is source}
        unknown = {entry for _, entry, _ in source.needed if entry} - there
        if unknown:
            raise Wrong(f"{source.path.name}: instructions are required of unknown kernels: {', '.join(unknown)}")

    head = ["file", "kernel", "PTX", "threads", "shared"]
    head += [f"sm_{gpu}" for gpu in GPUS] + ["instructions"]
    lines = [head, ["---"] * 3 + ["---:"] * (len(head) - 4) + ["---"]]
    for which, on in kernels.items():
        lines.append(row(*which, on))
        wrong += complaints(*which, on)
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return TEXT.format(disassembled=DISASSEMBLED, release=tools.assembler()) + table, wrong


def of(chosen, known, table):
    """The table without the rows of other sources that exist."""
    others = {source.name for source in known} - {source.name for source in chosen}
    rows = table.splitlines(keepends=True)
    return "".join(row for row in rows if row.split(" | ")[0].removeprefix("| ") not in others)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--check", action="store_true", help="compare, and write nothing")
    one.add_argument("--ptxas", type=Path, help="an assembler other than the pinned one")
    arguments = parser.parse_args()
    check = arguments.check
    known, turn = list(sources()), os.environ.get("POAI_TURN")
    chosen = known[int(turn) % 4 :: 4] if check and turn else known
    text, wrong = measure(Tools(arguments.ptxas), chosen)
    print(text)
    if check and (not TABLE.exists() or of(chosen, known, TABLE.read_text()) != text):
        wrong.append(f"{TABLE.relative_to(ROOT)} differs from this table; run scripts/kernel-table.py")
    if wrong:
        raise Wrong("\n".join(wrong))
    if not check and not arguments.ptxas:
        TABLE.write_text(text)


if __name__ == "__main__":
    try:
        main()
    except Wrong as error:
        sys.exit(str(error))
    except Missing as error:
        print(error, file=sys.stderr)
        sys.exit(3)
