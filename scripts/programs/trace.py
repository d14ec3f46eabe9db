"""Tensors, their commitments, records and trace roots (§11, §13)."""

import struct
from dataclasses import dataclass

from blake3 import blake3

from .numbers import RANGES
from .program import digest

VERSION = struct.pack("<I", 2)
# The version of a header of a run with answers.
ANSWERS_VERSION = struct.pack("<I", 2 + (1 << 31))
CODES = {1: "b", 2: "h", 4: "i"}


@dataclass
class Tensor:
    """Rows of entries, each in the range of the type."""

    type: int
    rows: list
    macs: int = 0

    def __post_init__(self):
        low, high = RANGES[self.type]
        assert self.rows and len({len(row) for row in self.rows}) == 1, "ragged rows"
        assert all(low <= min(row) and max(row) <= high for row in self.rows), "out of range"
        assert 1 <= self.columns <= ((1 << 17) - 1 if self.type == 1 else 1 << 20)
        assert (len(self.rows) + 32) * (self.columns + 128) * self.type <= 1 << 38
        self.root = blake3(self.encode()).digest()

    @property
    def columns(self):
        return len(self.rows[0])

    def encode(self):
        """The committed bytes: rows padded to 32, columns of i8 to 128."""
        columns = -(-self.columns // 128) * 128 if self.type == 1 else self.columns
        padding = bytes((columns - self.columns) * self.type)
        layout = struct.Struct(f"<{self.columns}{CODES[self.type]}")
        rows = b"".join(layout.pack(*row) + padding for row in self.rows)
        return rows + bytes(-len(self.rows) % 32 * columns * self.type)

    def record(self, value, inputs):
        shape = struct.pack("<IIBQB", len(self.rows), self.columns, self.type,
                            self.macs, len(inputs))
        return struct.pack("<I", value) + self.root + shape + b"".join(t.root for t in inputs)


def tree(leaves):
    """The root of a tree of BLAKE3's shape."""
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return digest("trace node", tree(leaves[:left]) + tree(leaves[left:]))


def output_digest(program, values):
    """What a header names as the output: the last value's root, or a digest of
    the roots of a list of outputs."""
    if program.outputs is None:
        return values[-1].root
    return digest("train outputs", b"".join(values[value].root for value in program.outputs))


def trace_root(header):
    """The root of a header."""
    return digest("trace" if header.startswith(VERSION) else "trace answers", header)


def trace_header(program, batch, sequence, values, answers=0):
    """The header of all values of a run, inputs first."""
    run = struct.pack("<II", batch, sequence) + (struct.pack("<I", answers) if answers else b"")
    count = len(program.inputs)
    wiring = [[]] * count + [[values[i] for i in step.inputs] for step in program.steps]
    records = [value.record(index, inputs)
               for index, (value, inputs) in enumerate(zip(values, wiring, strict=True))]
    header = (
        (ANSWERS_VERSION if answers else VERSION)
        + program.program_id
        + run
        + digest("trace answers inputs" if answers else "trace inputs",
                 run + b"".join(value.root for value in values[:count]))
        + output_digest(program, values)
        + struct.pack("<Q", sum(value.macs for value in values))
        + tree([digest("trace record", record) for record in records])
    )
    assert len(header) == (152 if answers else 148)
    return header
