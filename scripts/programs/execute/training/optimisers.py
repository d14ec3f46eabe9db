"""What makes the next state from a state and its gradient."""

from math import isqrt

from ...numbers import clip, rdiv, rsh, sat, shift
from ...trace import Tensor
from ..args import paired, step


@step("descend")
def descend(a):
    w, d, rate = a.inputs
    assert -62 <= a.shift <= 62, "a shift outside −62..=62"
    (rate,) = a.one_a_row(2, 1)

    def entry(x, direction):
        decay = rsh(x * rate, a.decay_shift) if a.decay_shift else 0
        return x + shift(-direction * rate, a.shift) - decay

    return a.clamped(paired(w, d, entry))


@step("second moment")
def second_moment(a):
    r, g = a.inputs
    assert r.type == g.type == 4 and 1 <= a.k <= 30

    def entry(root, gradient):
        square = clip(gradient << 8, -(1 << 30), 1 << 30) ** 2
        return sat(isqrt(root * root - (root * root >> a.k) + (square >> a.k)))

    return Tensor(4, paired(r, g, entry))


@step("ratio")
def ratio(a):
    top, root = a.inputs
    assert top.type == root.type == 4
    return a.clamped(paired(top, root, lambda x, r: rdiv(x << 24, max(0, r) + 256)))
