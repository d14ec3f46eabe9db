"""Steps that compute each row, or each item, from all its entries."""

from math import isqrt

from ..numbers import rdiv, rsh, sat, sat16
from ..trace import Tensor
from .args import step


@step("softmax")
def softmax(a):
    entries = a.exponentials()

    def row(x):
        top = max(x)
        e = [entries[min(rsh((top - entry) * a.m, a.shift), 255)] for entry in x]
        return [rdiv(entry * a.one, max(1, sum(e))) for entry in e]

    assert a.m >= 0 and a.one > 0
    return a.clamped([row(x) for x in a.x.rows])


def normalised(x, centre):
    """The entries z of a normalised row, and its σ."""
    n = len(x)
    mean = rdiv(sum(x), n) if centre else 0
    variance = rdiv(sum((entry - mean) ** 2 for entry in x), n)
    sigma = max(1, isqrt(variance << 8))
    return [sat((entry - mean) * ((1 << 26) // sigma) >> 8) for entry in x], sigma


@step("normalise")
def normalise(a):
    affine = a.constants["affine"]
    n = a.x.columns
    assert a.x.type == 2 and len(affine) == n and len(affine[0]) == 2

    def row(x):
        z, _ = normalised(x, a.centre)
        return [sat16(rsh(z * gamma, a.shift) + beta) for z, (gamma, beta) in zip(z, affine)]

    return Tensor(2, [row(x) for x in a.x.rows])


@step("row scale")
def row_scale(a):
    return Tensor(4, [[sat(max(1, max(map(abs, row))))] for row in a.x.rows])


@step("mean pool")
def mean_pool(a):
    assert a.x.type in (1, 2)
    return Tensor(4, [[sat(rdiv(sum(column) << 8, length)) for column in zip(*item[:length])]
                      for item, length in zip(a.items(a.x), a.token_lengths(1))])


@step("L2 normalise")
def l2_normalise(a):
    def row(x):
        # Exact: 2^16 squares of 2^62 leave 64 bits, and do not saturate.
        norm = max(1, isqrt(sum(entry * entry for entry in x)))
        return [sat16(rdiv(entry << 14, norm)) for entry in x]

    return Tensor(2, [row(x) for x in a.x.rows])
