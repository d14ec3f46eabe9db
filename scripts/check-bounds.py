#!/usr/bin/env python3
"""Checks the memory of tiles against an implementation in Python.

    scripts/check-bounds.py test_vectors/trace-bounds.txt

The memory of a tile decides which runs a chain admits (docs/spec.md, §14). This
implementation was written from that section. Each line of the file names a
program of one step, by its kind and four numbers, as the test
`bounds_are_what_they_were` of poai-verify makes it, and the memory that Rust
computes for it. Of those steps of training whose tiles read rows of several
items, heads or lines, the script also visits all tiles of random steps, and
compares the rows that they open with the bound.
"""

import re
import sys

from programs.bounds import Step, memory
from programs.reach import check_tiles

LINE = re.compile(r"(.*) \[(\d+), (\d+), (\d+), (\d+)\] (\d+)x(\d+): \d+ (\d+) \d+ \d+")


def step_of(kind, sizes, batch, sequence, again):
    a, b, c, d = sizes
    hidden = c * d
    match kind:
        case "linear":
            constants = [(hidden, 8 * b), (hidden, 3)]
            return Step(kind, 8 * b, 1, a, batch * a, hidden, 1, tile_columns=32, constants=constants)
        case "unfold" | "group unfold" | "max pool" | "average pool":
            kernel, stride = (1 + c % 4, 1 + d % 4), (1 + c % 3, 1 + d % 3)
            area = kernel[0] * kernel[1] if kind.endswith("unfold") else 1
            pads = [min(pad, c % 4, d % 4) for pad in (c % 2, d % 2, c % 3 % 2, d % 3 % 2)]
            if kind == "group unfold":
                dilation = (1 + d % 2, 1 + c % 3)
                kernel = [each * (side - 1) + 1 for each, side in zip(dilation, kernel)]
            height = (pads[0] + a + pads[2] - kernel[0]) // stride[0] + 1
            width = (pads[1] + b + pads[3] - kernel[1]) // stride[1] + 1
            columns = hidden * area
            window = (height, width, a, b, stride[0], kernel[0])
            return Step(kind, hidden, 1, a * b, batch * height * width, columns, 1, window=window)
        case "reshape":
            return Step(kind, b * d, 2, a, batch * a * d, b, 2)
        case "transpose":
            return Step(kind, a * b, 1, sequence, batch * a * b, sequence, 1)
        case "attention weights":
            rows = batch * c * sequence
            return Step(kind, hidden, 1, sequence, rows, sequence, 1, heads=c, lengths=again)
        case "relative attention weights":
            rows, biases = batch * c * sequence, [(c, 2 * a - 1)]
            return Step(kind, hidden, 1, sequence, rows, sequence, 1, heads=c, constants=biases, lengths=again)
        case "attention context":
            item = c * sequence
            return Step(kind, sequence, 1, item, batch * sequence, hidden, 2, tile_columns=32, heads=c)
        case "mean pool":
            return Step(kind, a * b, 2, sequence, batch, a * b, 4, tile_rows=1)
        case "embed":
            constants = [(b * hidden, a), (b * hidden, 1)]
            return Step(kind, 1, 4, a, batch * a, a, 2, constants=constants)
        case "add rows":
            return Step(kind, a, 2, sequence, batch * sequence, a, 2)
        case "add" | "mul" | "curve":
            return Step(kind, b * c, 2, a, batch * a, b * c, 2)
        case "arrange":
            constants, others = [(hidden, a)], [(c, d)]
            return Step(kind, b, 1, a, batch * hidden, a, 1, constants=constants, others=others)
        case "group linear":
            constants = [(hidden, b), (hidden, 3)]
            return Step(kind, b * c, 1, a, batch * a, hidden, 1, tile_columns=32, constants=constants)
        case "product":
            rows, columns = (c * sequence, sequence) if again else (a * c, d)
            return Step(kind, 8 * b, 1, rows, batch * rows, columns, 2, tile_columns=32, heads=c)
        case _:
            of_decoders = step_of_decoders(kind, sizes, batch, sequence, again)
            return of_decoders or step_of_training(kind, sizes, batch, again)


def step_of_decoders(kind, sizes, batch, sequence, again):
    """The same for steps of decoders. A run has d answers, if it has any."""
    a, b, c, d = sizes
    match kind:
        case "wide rms norm":
            return Step(kind, b * c, 4, a, batch * a, b * c, 2, constants=[(b * c, 2)])
        case "mix":  # i16 of c heads, with scales for each
            rows, constants = batch * c * sequence, [(8 * b * c, 1)]
            return Step(kind, 8 * b, 2, c * sequence, rows, 8 * b, 2, constants=constants)
        case "limb":  # of i16
            return Step(kind, b * c, 2, a, batch * a, b * c, 1)
        case "rotary":
            constants = [(150, d // 2 * 2)]
            return Step(kind, c * d, 2, sequence, batch * c * sequence, d, 2, heads=c, constants=constants)
        case "grouped attention":  # the second time with lengths and a window of b
            columns = max(size for size in range(1, 33) if d % size == 0)
            return Step(kind, d, 1, c * sequence, batch * sequence, c * d, 2, tile_columns=columns,
                        heads=c, lengths=again, sliding=b if again else 0)
        case "tail":
            return Step(kind, a * b, 2, sequence, batch * d, a * b, 2)
        case "sample":  # the second time of i16, a row an answer
            type, rows = (2, d) if again else (4, a)
            return Step(kind, b * c, type, rows, batch * rows, 1, 4, tile_rows=1)
    return None


def step_of_training(kind, sizes, batch, again):
    """The same for steps of training. Entries are i32 if no type is named, and
    of two exponents the first is 1×1 and the second has the output's rows."""
    a, b, c, d = sizes
    hidden, exponents, square = c * d, [False, True], {"tile_columns": 32}
    match kind:
        case "scaled product":  # i8, with a bias
            return Step(kind, 8 * b, 1, a, batch * a, hidden, 4, exponents=exponents, **square)
        case "transpose by tiles":  # of i8
            return Step(kind, b * c, 1, a, b * c, batch * a, 1, **square)
        case "exponent":  # the second time per row
            return Step(kind, 1, 4, a, batch * a if again else 1, 1, 4, per_row=again)
        case "next exponent":
            return Step(kind, 1, 4, 1, 1, 1, 4, others=[(a, 1)])
        case "rescale":  # stochastic, to i8
            return Step(kind, b * c, 4, a, batch * a, b * c, 1, exponents=exponents)
        case "descend":  # shared
            return Step(kind, b * c, 4, a, a, b * c, 4)
        case "row sum":
            return Step(kind, b * c, 4, a, batch * a, 1, 4)
        case "second moment" | "ratio" | "softmax gradient" | "normalise gradient":
            type = {"softmax gradient": 1, "normalise gradient": 2}.get(kind, 4)
            return Step(kind, b * c, type, a, batch * a, b * c, 4)
        case "gate" | "cross entropy":
            others = [(a, b * c if kind == "gate" else 1)]
            return Step(kind, b * c, 4, a, batch * a, b * c, 4, others=others)
        case "exponentials":  # of a heads and b places
            return Step(kind, b, 4, a * b, batch * a * b, b, 1)
        case "gather":  # d ids an item, of a shared i16 table of a rows
            return Step(kind, b, 2, a, batch * d, b, 2)
        case "scatter add":  # i16
            return Step(kind, b, 2, a, hidden, b, 4)
        case "unfold gradient" | "max pool gradient":  # windows as above, of i32
            positions = step_of("unfold" if kind == "unfold gradient" else "max pool", sizes, batch, 1, again)
            item = positions.rows // batch if kind == "unfold gradient" else a * b
            return Step(kind, positions.columns, 4, item, batch * a * b, hidden, 4, window=positions.window)
        case "block scores":  # i8, of a places and c heads
            return Step(kind, hidden, 1, a, batch * c * a, a, 4, heads=c, exponents=exponents)
        case "block mix" | "block mix back":
            return Step(kind, a, 1, c * a, batch * a, hidden, 4, heads=c, exponents=exponents, **square)
        case "divide by sums":
            return Step(kind, hidden, 4, a, batch * a, hidden, 4, heads=c, others=[(c * a, a)])
        case "mean pool gradient":  # the second time with lengths
            return Step(kind, b * c, 4, 1, batch * a, b * c, 4, lengths=again)
        case "draw":
            return Step(kind, 1, 4, 8, batch, 1, 4)
        case _:
            raise ValueError(f"expected a kind of step, got {kind}")


def main():
    seen = set()
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            kind, *numbers = LINE.fullmatch(line.strip()).groups()
            *sizes, batch, sequence, known = map(int, numbers)
            key = (kind, *sizes, batch, sequence)
            # Attention weights of either kind come twice, the second time with lengths, and
            # products, the second time of rows for every token.
            again = key in seen or (kind == "product" and sequence > 1)
            step = step_of(kind, sizes, batch, sequence, again)
            seen.add(key)
            got = memory(step, batch, sequence)
            if got != known:
                sys.exit(f"{line.strip()}: {got} here, {known} in Rust")
    if len(seen) < 500:
        sys.exit(f"expected 500 programs or more, got {len(seen)}")
    check_tiles(200)
    print(f"{len(seen)} programs of one step: the same memory")


if __name__ == "__main__":
    main()
