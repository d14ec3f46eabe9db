"""Losses, and gradients of activations, norms and windows."""

from ...numbers import clip, rdiv, rsh, sat
from ...trace import Tensor
from ..args import dot, extent, paired, step
from ..rows import normalised
from ..windows import under_windows


@step("gate")
def gate(a):
    g, x = a.inputs
    table = a.column("table", 256)
    assert a.types["table"] in (1, 2), "the type of a gate's table"

    def entry(gradient, input):
        index = clip((input >> a.index_shift) + 128, 0, 255)
        return rsh(gradient * table[index], a.shift)

    return a.clamped(paired(g, x, entry))


@step("cross entropy")
def cross_entropy(a):
    assert a.m >= 0 and a.fraction <= 30 and a.types["table"] == 2
    table = [max(0, entry) for entry in a.column("table", 256)]
    labels = a.one_a_row(1, len(a.x.rows))

    def row(x, label):
        if not 0 <= label < len(x):
            return [0] * len(x)
        top = max(x)
        e = [table[min(rsh((top - entry) * a.m, a.shift), 255)] for entry in x]
        total = max(1, sum(e))
        return [sat(rdiv(entry << a.fraction, total) - ((j == label) << a.fraction))
                for j, entry in enumerate(e)]

    return Tensor(4, [row(*pair) for pair in zip(a.x.rows, labels)])


@step("normalise gradient")
def normalise_gradient(a):
    x, dz = a.inputs
    n = x.columns
    assert x.type == 2 and dz.type == 4 and len(x.rows) == len(dz.rows) and dz.columns == n

    def row(x, dz):
        z, sigma = normalised(x, a.centre)
        c = sat(rdiv(dot(dz, z), n << 14))
        mean = rdiv(sum(dz), n) if a.centre else 0
        return [rdiv((d - mean - rsh(entry * c, 14)) << a.shift, sigma) for d, entry in zip(dz, z)]

    return a.clamped([row(*rows) for rows in zip(x.rows, dz.rows)])


def summed(a, rows, pixels, columns, places):
    """Rows of pixels, and in each the saturated sums of what `places` yields:
    triples of a pixel's row and column and a term."""
    output = [[0] * columns for _ in range(rows * pixels)]
    for row, column, term in places:
        output[row][column] += term
    return Tensor(4, [[sat(x) for x in row] for row in output])


@step("unfold gradient")
def unfold_gradient(a):
    pixels = a.window.height * a.window.width
    kernel = a.window.kernel_height * a.window.kernel_width
    assert a.x.columns % kernel == 0, "columns that are no kernel's"
    channels = a.x.columns // kernel

    def places():
        for index, item in enumerate(a.items(a.x)):
            positions = under_windows(a, range(pixels))
            assert len(positions) == len(item), "rows that are no positions"
            for dy, seen in zip(item, positions):
                for place, pixel in enumerate(seen):
                    for channel in range(channels if pixel is not None else 0):
                        yield index * pixels + pixel, channel, dy[place * channels + channel]

    return summed(a, a.batch, pixels, channels, places())


@step("max pool gradient")
def max_pool_gradient(a):
    x, dy = a.inputs
    assert dy.columns == x.columns, "gradients of another shape"
    pixels = a.window.height * a.window.width

    def places():
        for index, (item, gradients) in enumerate(zip(a.items(x), a.items(dy))):
            positions = under_windows(a, range(pixels))
            assert len(item) == pixels and len(positions) == len(gradients), "rows of dy"
            for terms, seen in zip(gradients, positions):
                inside = [pixel for pixel in seen if pixel is not None]
                for channel, term in enumerate(terms):
                    # The first of several largest: max keeps the first.
                    largest = max(inside, key=lambda pixel: item[pixel][channel])
                    yield index * pixels + largest, channel, term

    return summed(a, a.batch, pixels, x.columns, places())


@step("mean pool gradient")
def mean_pool_gradient(a):
    rows = extent(a.rows, a.sequence, a.answers)
    assert rows > 0 and len(a.x.rows) == a.batch, "expected a row an item"
    return Tensor(4, [[sat(rdiv(x, length)) if i < length else 0 for x in dy]
                      for dy, length in zip(a.x.rows, a.lengths(1, rows)) for i in range(rows)])
