"""Exponents of values, and the steps that change a value's scale or its axis."""

import struct

from blake3 import blake3

from ...numbers import bits, rsh, sat, shift
from ...program import digest
from ...trace import Tensor
from ..args import dot, step
from .exponents import iteration, seed_bytes, shifts


@step("scaled product")
def scaled_product(a):
    left, right = a.inputs[:2]
    first = 3 if a.bias else 2
    assert len(a.inputs) == first + len(a.signs), "inputs of a scaled product"
    assert left.type == right.type == 1 and left.columns == right.columns
    n = len(right.rows)
    assert a.bias or a.bias_shift == 0, "the shift of a bias that is absent"
    bias = [rsh(x, a.bias_shift) for x in a.one_a_row(2, n)] if a.bias else [0] * n
    ps = shifts(a, first, len(left.rows))
    output = a.clamped([[shift(dot(x, y), p) + b for y, b in zip(right.rows, bias)]
                        for x, p in zip(left.rows, ps)])
    output.macs = len(left.rows) * n * left.columns
    return output


@step("transpose by tiles")
def transpose_by_tiles(a):
    return Tensor(a.x.type, [list(column) for column in zip(*a.x.rows)])


def exponent_of(m):
    return max(0, bits(max(0, m)) - 6)


@step("exponent")
def exponent(a):
    m = a.one_a_row(0, len(a.x.rows))
    return Tensor(4, [[exponent_of(x)] for x in m] if a.per_row else [[exponent_of(max(m))]])


@step("next exponent")
def next_exponent(a):
    (e,) = a.one_a_row(0, 1)
    q = max(a.one_a_row(1, len(a.inputs[1].rows)))
    if q >= 63:
        return Tensor(4, [[sat(e + 1)]])
    return Tensor(4, [[max(0, sat(e - (6 - bits(max(0, q))))) if q < 32 else e]])


@step("rescale")
def rescale(a):
    after = 1 + len(a.signs)
    assert len(a.inputs) == after + 2 * a.stochastic, "inputs of a rescale"
    ps = shifts(a, 1, len(a.x.rows))
    if not a.stochastic:
        assert a.stream == 0, "a stream of a step that is not stochastic"
        return a.clamped([[shift(x * a.m, p) for x in row] for row, p in zip(a.x.rows, ps)])

    seed, t = seed_bytes(a.inputs[after]), iteration(a.inputs[after + 1])
    key = digest("rounding", seed + struct.pack("<QI", t, a.stream))

    def row(i):
        random = blake3(struct.pack("<I", i), key=key).digest(length=a.x.columns)
        return [shift(x * a.m, ps[i], u) for x, u in zip(a.x.rows[i], random)]

    return a.clamped([row(i) for i in range(len(a.x.rows))])


@step("row sum")
def row_sum(a):
    return Tensor(4, [[sat(sum(row))] for row in a.x.rows])
