"""Receipts, and the tiles that an audit of one opens (§13, §14)."""

import struct
from dataclasses import dataclass, fields

from blake3 import blake3

from .program import digest
from .trace import VERSION


@dataclass
class Rules:
    batch_max: int
    sequence_max: int
    tile_memory_max: int
    product_samples: int
    step_samples: int
    output_tiles: int

    def digest(self):
        numbers = [getattr(self, each.name) for each in fields(self)]
        return digest("trace rules", struct.pack("<IIQIII", *numbers))


def receipt_digest(program, header, root, values, job, prover, rules):
    """The digest of a receipt of a header, given the header's bytes."""
    linear = sum(value.macs for value, step in values
                 if step and step.kind in ("linear", "group linear"))
    total = sum(value.macs for value, _ in values)
    # Input and output follow the run.
    at = 44 if header.startswith(VERSION) else 48
    receipt = (
        VERSION
        + program.program_id
        + header[at : at + 64]
        + root
        + struct.pack("<QQ", linear, total - linear)
        + job
        + prover
        + rules.digest()
    )
    assert len(receipt) == 244
    return digest("receipt", receipt)


class Stream:
    def __init__(self, material, label="audit"):
        self.hash = blake3(material, derive_key_context="poai-1 " + label)
        self.taken = 0

    def number(self):
        number = int.from_bytes(self.hash.digest(length=16, seek=self.taken), "little")
        self.taken += 16
        return number

    def stratum(self, index, count, units):
        """The index-th of `count` strata of some units."""
        start, end = (at * units * 2**32 // count for at in (index, index + 1))
        return start + self.number() % (end - start) >> 32


SQUARE = (
    "linear", "group linear", "attention context", "product", "scaled product",
    "transpose by tiles", "block mix", "block mix back",
)
# Row-local steps, and how many of their first inputs are always read at R.
ROW_LOCAL = {
    "add": 2, "requantise": 1, "relu": 1, "table": 1, "scale columns": 1, "row scale": 1,
    "quantise": 2, "softmax": 1, "normalise": 1, "L2 normalise": 1, "mul": 2, "curve": 1,
    "exponent": 1, "rescale": 1, "row sum": 1, "gate": 2, "cross entropy": 2,
    "normalise gradient": 2, "gather": 0, "exponentials": 1, "softmax gradient": 2,
    "descend": 2, "second moment": 2, "ratio": 2, "wide rms norm": 1, "mix": 1, "limb": 2,
}


def row_bytes(tensor):
    """The bytes of a padded row."""
    return len(tensor.encode()) // (-(-len(tensor.rows) // 32) * 32)


def tile_rows(value, step, inputs, listed):
    """The rows of a tile of a step, given the tensors that it reads, and
    whether its program has a list of outputs."""
    if step.kind in ("mean pool", "sample"):
        return 1
    local = step.kind in ROW_LOCAL and step.fields.get("per_row", True)
    if not (listed and local):
        return 32
    read = inputs[: ROW_LOCAL[step.kind]]
    if step.kind == "gather":
        read = inputs[-1:]
    if step.kind == "rescale":
        exponents = inputs[1 : 1 + len(step.fields["signs"])]
        read = read + [tensor for tensor in exponents if len(tensor.rows) > 1]
    widest = max(row_bytes(tensor) for tensor in [value] + read)
    return min(max(16384 // widest, 1), 32)


class Grid:
    """The division of a step's value into tiles."""

    def __init__(self, value, step, inputs, listed):
        self.rows, self.columns = len(value.rows), value.columns
        self.tile_rows = tile_rows(value, step, inputs, listed)
        self.tile_columns = 32 if step.kind in SQUARE else self.columns
        if step.kind == "grouped attention":
            width = inputs[0].columns
            self.tile_columns = max(size for size in range(1, 33) if width % size == 0)
        self.across = -(-self.columns // self.tile_columns)
        self.tiles = -(-self.rows // self.tile_rows) * self.across
        self.entries = self.rows * self.columns

    def tile(self, entry):
        row, column = divmod(entry, self.columns)
        return row // self.tile_rows * self.across + column // self.tile_columns


def opened_tiles(rules, values, outputs, root, receipt, beacon):
    """The tiles that an audit of a receipt opens."""
    return drawn_tiles(rules, values, outputs, Stream(root + receipt + beacon))


def drawn_tiles(rules, values, outputs, stream):
    """The tiles that an audit opens by the next numbers of a stream: pairs of a
    value's number and a tile. `values` are pairs of a tensor and its step; an
    input has no step. `outputs` are the numbers of the listed outputs, or None
    without a list."""
    listed = outputs is not None
    outputs = outputs if listed else [len(values) - 1]
    steps = [(number, value, Grid(value, step, [values[index][0] for index in step.inputs], listed))
             for number, (value, step) in enumerate(values) if step]
    opened = []

    grids = {number: grid for number, _, grid in steps}
    for output in outputs:
        grid = grids[output]
        if grid.tiles <= rules.output_tiles:
            opened += [(output, tile) for tile in range(grid.tiles)]
            continue
        for index in range(rules.output_tiles):
            entry = stream.stratum(index, rules.output_tiles, grid.entries)
            opened.append((output, grid.tile(entry)))

    total = sum(value.macs for _, value, _ in steps)
    for index in range(rules.product_samples if total else 0):
        at = stream.stratum(index, rules.product_samples, total)
        for number, value, grid in steps:
            if at < value.macs:
                opened.append((number, grid.tile(at * grid.entries // value.macs)))
                break
            at -= value.macs

    others = [step for step in steps if step[0] not in outputs]
    rounds, rest = divmod(rules.step_samples, len(others)) if others else (0, 0)
    for turn in range(rounds):
        for number, _, grid in others:
            unit = stream.stratum(turn, rounds, 1 << 56)
            opened.append((number, grid.tile(unit * grid.entries >> 56)))
    for index in range(rest):
        at = stream.stratum(index, rest, len(others) << 56)
        number, _, grid = others[at >> 56]
        opened.append((number, grid.tile(at % 2**56 * grid.entries >> 56)))
    return list(dict.fromkeys(opened))
