"""Steps that compute each entry by itself."""

from ..numbers import RANGES, clip, fits, rsh, sat16, sat64
from ..trace import Tensor
from .args import each, paired, step


@step("add")
def add(a):
    def entry(x, y):
        return rsh(sat64(fits(x * a.m0) + fits(y * a.m1)), a.shift)

    return a.clamped(paired(*a.inputs, entry))


@step("mul")
def multiply(a):
    return a.clamped(paired(*a.inputs, lambda x, y: rsh(x * y, a.shift)))


@step("requantise")
def requantise(a):
    return a.clamped(each(a.x, lambda x: rsh(x * a.m, a.shift)))


@step("relu")
def relu(a):
    return Tensor(a.x.type, each(a.x, lambda x: max(x, 0)))


@step("table")
def table(a):
    entries, type = a.column("table", 256), a.types["table"]

    def entry(x):
        index = (x >> a.shift) + 128
        if a.pass_above and index > 255:
            return clip(x, *RANGES[type])
        return entries[clip(index, 0, 255)]

    return Tensor(type, each(a.x, entry))


@step("curve")
def curve(a):
    points = a.column("table", 257)
    assert a.types["table"] == 2 and a.shift <= 23

    def entry(x):
        j, f = divmod(max(x + (128 << a.shift), 0), 1 << a.shift)
        if j < 256:
            return points[j] + rsh((points[j + 1] - points[j]) * f, a.shift)
        return sat16(x) if a.pass_above else points[256]

    return Tensor(2, each(a.x, entry))


@step("quantise")
def quantise(a):
    def entry(x, m):
        m = max(1, m)
        return clip(rsh(x * (((63 << 20) + m // 2) // m), 20), -64, 63)

    scales = a.one_a_row(1, len(a.x.rows))
    return Tensor(1, [[entry(x, m) for x in row] for row, m in zip(a.x.rows, scales)])


@step("scale columns")
def scale_columns(a):
    scale = a.column("scale", a.x.columns)
    return a.clamped([[rsh(x * c, a.shift) for x, c in zip(row, scale)] for row in a.x.rows])
