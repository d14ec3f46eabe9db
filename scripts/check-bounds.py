#!/usr/bin/env python3
"""Checks the memory of tiles against an implementation in Python.

    scripts/check-bounds.py test_vectors/trace-bounds.txt

The memory of a tile decides which runs a chain admits (docs/spec.md, §14). This
implementation was written from that section. Each line of the file names a
program of one step, by its kind and four numbers, as the test
`bounds_are_what_they_were` of poai-verify makes it, and the memory that Rust
computes for it.
"""

import re
import sys
from dataclasses import dataclass, field
from math import gcd

LINE = re.compile(r"(.*) \[(\d+), (\d+), (\d+), (\d+)\] (\d+)x(\d+): \d+ (\d+) \d+ \d+")


@dataclass
class Step:
    """A step in a run: what §14 needs to know of it."""

    kind: str
    input_columns: int
    input_type: int
    item_rows: int  # of the input
    rows: int
    columns: int
    type: int
    tile_rows: int = 32
    tile_columns: int = 0  # 0: all
    heads: int = 1
    constants: list = field(default_factory=list)  # rows and columns
    lengths: bool = False
    others: list = field(default_factory=list)  # rows of an item and columns, of further inputs
    window: tuple = ()  # output height and width, image height and width, stride, kernel


def touched(n, start, period, most):
    return min((period - gcd(start, period) + n - 1) // period + 1, most)


def window_lines(step, r, t, batch):
    height, width, image, _, stride, kernel = step.window

    def lines(n, items):
        return min(max(n - items, 0) * stride + items * kernel, items * image)

    period = height * width
    most = lines(min((min(r, period) + width - 2) // width + 1, height), 1)
    for j in range(2, touched(r, t, period, batch) + 1):
        edges = r - (j - 2) * period
        if edges < 0:
            break
        edges = min(max((edges + 2 * (width - 1)) // width, 2), 2 * height)
        most = max(most, (j - 2) * lines(height, 1) + lines(edges, 2))
    return most


def memory(step, batch, sequence):
    tile_columns = step.tile_columns or step.columns
    r, c = min(step.tile_rows, step.rows), min(tile_columns, step.columns)
    t = step.tile_rows if step.rows > step.tile_rows else 0
    u = tile_columns if step.columns > tile_columns else 0
    q, x, pieces = step.rows // batch, step.input_columns, 0
    match step.kind:
        case "linear" | "group linear":
            entries = [r * x, r] + [c * columns for _, columns in step.constants]
        case "unfold" | "group unfold" | "max pool" | "average pool":
            pieces = r
            entries = [step.window[3] * window_lines(step, r, t, batch) * x]
        case "add" | "mul":
            entries = [r * x, r * x]
        case "curve":
            entries = [r * x, 257]
        case "arrange":
            items = touched(r, t, q, batch)
            inputs = [(step.item_rows, x), *step.others]
            named = [(min(r * c, items * rows), columns) for rows, columns in inputs]
            pieces = items + sum(rows for rows, _ in named)
            entries = [rows * columns for rows, columns in named]
            entries += [min(r, q) * columns for _, columns in step.constants]
        case "product":
            pieces = touched(r, t, q // step.heads, batch * step.heads)
            entries = [r * x, pieces * c * x]
        case "embed":
            pieces = 2 * r
            entries = [r * x] + [min(r, rows) * columns for rows, columns in step.constants]
        case "add rows":
            pieces = touched(r, t, q, batch)
            entries = [r * x, min(r, q) * x]
        case "attention weights":
            items = touched(r, t, sequence * step.heads, batch)
            blocks = touched(r, t, sequence, batch * step.heads)
            pieces = 4 * blocks
            entries = [r * x, items * sequence * x, min(blocks, step.heads), 256]
            entries += [items] if step.lengths else []
        case "attention context":
            items = touched(r, t, sequence, batch)
            heads = touched(c, u, step.columns // step.heads, step.heads)
            pieces = items * (heads + 1)
            entries = [r * heads * x, items * c * sequence, c]
        case "transpose":
            pieces = touched(r, t, q, batch)
            entries = [pieces * step.item_rows * x]
        case "reshape":
            start = x - gcd(t * step.columns, x)
            rows = min(-(-(r * step.columns + start) // x), step.item_rows * batch)
            entries = [rows * x]
        case "mean pool":
            pieces = r
            entries = [r * step.item_rows * x, r]
        case kind:
            raise ValueError(f"expected a kind of step, got {kind}")

    def padded(columns, type):
        return -(-columns // 128) * 128 if type == 1 else columns

    rows = padded(x, step.input_type) + padded(step.columns, step.type)
    return 4 * sum(entries) + 4 * r * c + 16 * rows + 256 * (pieces + 8) + 4096


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
            raise ValueError(f"expected a kind of step, got {kind}")


def main():
    seen = set()
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            kind, *numbers = LINE.fullmatch(line.strip()).groups()
            *sizes, batch, sequence, known = map(int, numbers)
            key = (kind, *sizes, batch, sequence)
            # Attention weights come twice, the second time with lengths, and
            # products, the second time of rows for every token.
            again = key in seen or (kind == "product" and sequence > 1)
            step = step_of(kind, sizes, batch, sequence, again)
            seen.add(key)
            got = memory(step, batch, sequence)
            if got != known:
                sys.exit(f"{line.strip()}: {got} here, {known} in Rust")
    if len(seen) < 500:
        sys.exit(f"expected 500 programs or more, got {len(seen)}")
    print(f"{len(seen)} programs of one step: the same memory")


if __name__ == "__main__":
    main()
