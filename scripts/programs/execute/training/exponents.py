"""Exponents, seed and t: the inputs that several steps of training share."""

import struct

from ...numbers import NoOutput


def shifts(a, first, rows):
    """The shift p of every row of the output, from the exponents, which are
    the inputs from `first` on, one for each sign."""
    assert len(a.signs) <= 4, "more than four exponents"
    assert -62 <= a.shift <= 62, "a shift outside −62..=62"
    given = a.inputs[first : first + len(a.signs)]
    assert len(given) == len(a.signs), "an exponent is missing"
    for tensor in given:
        assert tensor.type == 4 and tensor.columns == 1, "an exponent's type or columns"
        assert len(tensor.rows) in (1, rows), "an exponent's rows"

    def entry(tensor, row):
        return tensor.rows[row if len(tensor.rows) > 1 else 0][0]

    signed = list(zip(a.signs, given))
    return [a.shift + sum(sign * entry(tensor, row) for sign, tensor in signed)
            for row in range(rows)]


def seed_bytes(tensor):
    assert tensor.type == 4 and len(tensor.rows) == 8 and tensor.columns == 1, "a seed's shape"
    return struct.pack("<8i", *(row[0] for row in tensor.rows))


def iteration(tensor):
    """The number t of an iteration."""
    assert tensor.type == 4 and len(tensor.rows) == tensor.columns == 1, "the shape of t"
    t = tensor.rows[0][0]
    if t < 0:
        raise NoOutput("a t below 0")
    return t
