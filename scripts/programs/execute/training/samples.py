"""Which samples an iteration takes, and rows by their numbers."""

import struct

from blake3 import blake3

from ...numbers import NoOutput, sat
from ...program import digest
from ...trace import Tensor
from ..args import step
from .exponents import iteration, seed_bytes


@step("gather")
def gather(a):
    if a.table is None:
        table, ids = a.inputs
        type, rows = table.type, table.rows
    else:
        type, rows = a.types["table"], a.constants["table"]
        assert len(a.inputs) == 1
    ids = a.one_a_row(len(a.inputs) - 1, len(a.inputs[-1].rows))
    if not all(0 <= id < len(rows) for id in ids):
        raise NoOutput("an id outside the table")
    return Tensor(type, [rows[id] for id in ids])


@step("scatter add")
def scatter_add(a):
    ids = a.one_a_row(1, len(a.x.rows))
    if not all(0 <= id < a.rows for id in ids):
        raise NoOutput("an id outside the output's rows")
    output = [[0] * a.x.columns for _ in range(a.rows)]
    for id, row in zip(ids, a.x.rows):
        output[id] = [x + y for x, y in zip(output[id], row)]
    return Tensor(4, [[sat(x) for x in row] for row in output])


def sample(seed, place, n):
    """The number of the sample at a place of the order that a seed gives n samples."""
    epoch, x = divmod(place, n)
    h = 0
    while 4**h < n:
        h += 1
    key = digest("draw", seed + struct.pack("<Q", epoch))
    while True:
        left, right = x >> h, x & (1 << h) - 1
        for number in range(4):
            drawn = blake3(struct.pack("<BI", number, right), key=key).digest(length=4)
            mixed = int.from_bytes(drawn, "little") & (1 << h) - 1
            left, right = right, left ^ mixed
        x = left << h | right
        if x < n:
            return x


@step("draw")
def draw(a):
    seed, t = seed_bytes(a.inputs[0]), iteration(a.inputs[1])
    assert 0 < a.n <= 1 << 31, "a number of samples outside 1..=2^31"
    return Tensor(4, [[sample(seed, t * a.batch + item, a.n)] for item in range(a.batch)])
