#!/usr/bin/env python3
"""Compiles poai-cuda/kernels/*.cu to the PTX that poai-cuda embeds.

    pip install --no-deps -r scripts/requirements-kernels.txt
    scripts/build-kernels.py

Needs neither a GPU nor a CUDA toolkit. The comments of a source say for which
architectures it is compiled: see kernels/sources.py. Writes poai-cuda/ptx: one
PTX for each file and architecture, and the table of them for Rust. `--check`
writes nothing and fails if poai-cuda/ptx differs from what the sources give.

Exit status: 1 if a check fails, 3 if a tool is not installed.
"""

import argparse
import sys

from kernels.nvrtc import Compiler
from kernels.sources import ARCHITECTURE, PTX, ROOT, Missing, Wrong, entries, sources

TABLE = """\
// Made by scripts/build-kernels.py. Do not edit.
&[
{rows}]
"""

ROW = """\
    Ptx {{
        file: "{file}",
        architecture: Architecture {{
            capability: Version {{ major: {major}, minor: {minor} }},
            only_this: {only_this},
        }},
        text: include_str!("{ptx}"),
        entries: &[{entries}],
    }},
"""


def row(source, architecture, ptx):
    major, minor, only_this = ARCHITECTURE.fullmatch(architecture).groups()
    return ROW.format(
        file=source.name,
        major=major,
        minor=minor,
        only_this="true" if only_this else "false",
        ptx=source.ptx(architecture).name,
        entries=", ".join(f'"{name}"' for name in entries(ptx)),
    )


def build():
    """The files of poai-cuda/ptx, by path."""
    compiler = Compiler()
    files = {}
    rows = []
    for source in sources():
        for architecture in source.architectures:
            ptx = compiler.ptx(source, architecture)
            files[source.ptx(architecture)] = ptx
            rows.append(row(source, architecture, ptx))
    files[PTX / "table.rs"] = TABLE.format(rows="".join(rows))
    return files


def difference(path, wanted):
    """What is wrong with a file, or None."""
    if not path.exists():
        return "does not exist"
    found = path.read_text().splitlines()
    wanted = wanted.splitlines()
    for number, (is_, should) in enumerate(zip(found, wanted), 1):
        if is_ != should:
            return f"expected line {number} to be\n    {should}\ngot\n    {is_}"
    if len(found) != len(wanted):
        return f"expected {len(wanted)} lines, got {len(found)}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    check = parser.parse_args().check
    files = build()
    stray = sorted(set(PTX.glob("*")) - set(files))
    if check:
        wrong = [f"{path.relative_to(ROOT)}: no source makes it" for path in stray]
        for path, wanted in files.items():
            if (what := difference(path, wanted)) is not None:
                wrong.append(f"{path.relative_to(ROOT)}: {what}")
        if wrong:
            raise Wrong("\n".join(wrong) + "\nrun scripts/build-kernels.py and commit poai-cuda/ptx")
    else:
        for path in stray:
            path.unlink()
        PTX.mkdir(exist_ok=True)
        for path, text in files.items():
            path.write_text(text)
    done = "match the sources" if check else "written"
    print(f"{len(files) - 1} PTX files in {PTX.relative_to(ROOT)}: {done}")


if __name__ == "__main__":
    try:
        main()
    except Wrong as error:
        sys.exit(str(error))
    except Missing as error:
        print(error, file=sys.stderr)
        sys.exit(3)
