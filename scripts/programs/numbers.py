"""The arithmetic of §12 on Python's unbounded integers."""

RANGES = {1: (-64, 63), 2: (-(1 << 15), (1 << 15) - 1), 4: (-(1 << 31), (1 << 31) - 1)}


class NoOutput(Exception):
    """The step has no output: the run ends with an error."""


def clip(x, low, high):
    return low if x < low else high if x > high else x


def sat(x):
    return clip(x, *RANGES[4])


def sat16(x):
    return clip(x, *RANGES[2])


def sat64(x):
    return clip(x, -(1 << 63), (1 << 63) - 1)


def fits(x):
    """A product, which must fit 64 bits in every step."""
    assert x == sat64(x), "a product leaves 64 bits"
    return x


def rsh(x, shift):
    """x·2^−shift to the nearest, ties up; the sum before the shift saturates to 64 bits."""
    assert 0 <= shift <= 62
    return x if shift == 0 else sat64(fits(x) + (1 << shift - 1)) >> shift


def rdiv(x, n):
    assert n > 0
    return (x + n // 2) // n


def shift(x, p, u=None):
    """x·2^−p to the nearest, ties up, with p clipped to ±62; with a byte u, to
    one of the two neighbours. No sum saturates."""
    p = clip(p, -62, 62)
    if p <= 0:
        return x << -p
    half = 1 << p - 1 if u is None else (2 * u + 1) * (1 << p) >> 9
    return x + half >> p


def bits(x):
    """The number of binary digits of x ≥ 0."""
    assert x >= 0
    return x.bit_length()
