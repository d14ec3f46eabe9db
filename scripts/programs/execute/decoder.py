"""Steps of decoders (§12): norms, turns, attention, and the choice of words."""

import struct
from itertools import accumulate
from math import isqrt

from blake3 import blake3

from ..numbers import NoOutput, clip, rdiv, rsh, sat, sat16
from ..program import digest
from ..trace import Tensor
from .args import dot, step


def start_of(entry):
    if entry < 0:
        raise NoOutput("a start below 0")
    return entry


@step("wide rms norm")
def wide_rms_norm(a):
    affine = a.constants["affine"]
    n = a.x.columns
    assert a.x.type in (2, 4) and a.epsilon >= 0 and a.types["affine"] == 4
    assert len(affine) == n and len(affine[0]) == 2

    def row(x):
        v = rdiv(sum(entry * entry for entry in x), n) + a.epsilon
        inverse = (1 << 50) // max(1, isqrt(v << 8))
        z = [sat(entry * inverse >> 32) for entry in x]
        return [sat16(rsh(z * gamma, a.shift) + beta) for z, (gamma, beta) in zip(z, affine)]

    return Tensor(2, [row(x) for x in a.x.rows])


@step("rotary")
def rotary(a):
    turns = a.constants["turns"]
    r, d = len(turns[0]), a.x.columns // a.heads
    assert a.x.type == a.types["turns"] == 2 and r % 2 == 0 and r <= d and d * a.heads == a.x.columns
    assert len(a.x.rows) == a.batch * a.sequence
    if a.sequence > len(turns):
        raise ValueError("a sequence longer than the table of turns")

    def row(x, turn):
        half = r // 2
        out = list(x)
        for c in range(half):
            left, right, cosine, sine = x[c], x[c + half], turn[c], turn[half + c]
            out[c] = sat16(rsh(left * cosine - right * sine, a.shift))
            out[c + half] = sat16(rsh(right * cosine + left * sine, a.shift))
        return out

    return Tensor(2, [row(x[h * d : (h + 1) * d], turn)
                      for item in a.items(a.x) for h in range(a.heads)
                      for x, turn in zip(item, turns)])


@step("mix")
def mix(a):
    n, block = a.x.columns, a.block
    assert block > 0 and block & (block - 1) == 0 and n % block == 0
    assert a.types["scale"] == 4
    # One scale for each column, or for each column of each head, whose rows
    # are those of (head, i).
    heads, rest = divmod(len(a.constants["scale"]), n)
    scale = a.column("scale", n * heads)
    own = heads == 1 or len(a.x.rows) == a.batch * heads * a.sequence
    assert heads >= 1 and rest == 0 and own, "scales of other columns"
    signs = [[(-1) ** (i & j).bit_count() for j in range(block)] for i in range(block)]

    def row(index, x):
        head = index // a.sequence % heads
        mixed = [dot(line, x[first : first + block]) for first in range(0, n, block) for line in signs]
        return [rsh(sat(y) * c, a.shift) for y, c in zip(mixed, scale[head * n :])]

    return a.clamped([row(index, x) for index, x in enumerate(a.x.rows)])


def octave(table, most):
    """The weight at a distance."""
    table = [clip(entry, 0, most) for entry in table]

    def weight(distance):
        distance = max(0, distance)
        return rsh(table[distance % 256], min(distance // 256, 62))

    return weight


@step("grouped attention")
def grouped_attention(a):
    q, mq, k, mk, v = a.inputs[:5]
    heads, groups, d = a.heads, a.key_heads, q.columns
    assert 1 <= groups <= heads and q.type == k.type == v.type == 1 and k.columns == d
    assert len(q.rows) == a.batch * heads * a.sequence and len(k.rows) == a.batch * groups * a.sequence
    assert len(v.rows) == a.batch * groups * d and v.columns == a.sequence
    assert a.types["alpha"] == a.types["scale"] == 4 and a.types["table"] == 2
    alpha, scale = a.column("alpha", heads), a.column("scale", heads * d)
    weight = octave(a.column("table", 256), 16256)
    mq, mk = a.one_a_row(1, len(q.rows)), a.one_a_row(3, len(k.rows))
    lengths = a.lengths(5, a.sequence)

    def row(item, i):
        first = max(0, i - a.window + 1) if a.window else 0
        seen = range(first, min(i + 1, lengths[item]))
        for h in range(heads):
            g = h * groups // heads
            query, keys = (item * heads + h) * a.sequence + i, (item * groups + g) * a.sequence
            if not seen:
                yield from [0] * d
                continue
            scores = [sat(rsh(dot(q.rows[query], k.rows[keys + j]) * mk[keys + j], a.s0)) for j in seen]
            c = sat(rsh(mq[query] * alpha[h], a.s1))
            top = max(scores)
            e = [weight(rsh((top - score) * c, a.s2)) for score in scores]
            for column in range(d):
                values = v.rows[(item * groups + g) * d + column]
                mean = sat(rdiv(dot(e, [values[j] for j in seen]) << 16, max(1, sum(e))))
                yield sat16(rsh(mean * scale[h * d + column], a.s3))

    output = Tensor(2, [list(row(item, i)) for item in range(a.batch) for i in range(a.sequence)])
    output.macs = 2 * a.batch * a.sequence**2 * heads * d
    return output


@step("tail")
def tail(a):
    assert len(a.x.rows) == a.batch * a.sequence
    starts = [start_of(start) for start in a.one_a_row(1, a.batch)]
    return Tensor(a.x.type, [item[min(start + answer, a.sequence - 1)]
                             for item, start in zip(a.items(a.x), starts)
                             for answer in range(a.answers)])


def choice(x, place, m, kept, seed, shift, table):
    """The index that a row of logits chooses."""
    order = sorted(range(len(x)), key=lambda index: (-x[index], index))
    if 1 <= kept <= len(x):
        order = order[:kept]
    weight, top = octave(table, 1 << 30), max(x)
    e = {index: weight(rsh((top - x[index]) * m, shift)) for index in order}
    key = digest("sample", seed)
    r = int.from_bytes(blake3(struct.pack("<I", place), key=key).digest()[:8], "little")
    target = r * sum(e.values()) >> 64
    indices = sorted(order)
    for index, total in zip(indices, accumulate(e[index] for index in indices)):
        if total > target:
            return index
    # All weights are 0.
    return order[0]


@step("sample")
def sample(a):
    request = a.inputs[1]
    assert request.type == 4 and request.columns == 11 and len(request.rows) == a.batch
    assert a.types["table"] == 4
    table = a.column("table", 256)

    def row(x, answer, request):
        start, m, kept, *words = request
        seed = struct.pack("<8i", *words)
        return [choice(x, start_of(start) + answer, m, kept, seed, a.shift, table)]

    return Tensor(4, [row(x, answer, request)
                      for item, request in zip(a.items(a.x), request.rows)
                      for answer, x in enumerate(item)])


@step("limb")
def limb(a):
    scales = a.one_a_row(1, len(a.x.rows))

    def entry(x, m):
        m = max(1, m)
        w = rsh(clip(x, -m, m) * (((8127 << 40) + m // 2) // m), 40)
        w = clip(w, -8127, 8127)
        high = (w + 64) // 128
        return w - 128 * high if a.low else high

    return Tensor(1, [[entry(x, m) for x in row] for row, m in zip(a.x.rows, scales)])
