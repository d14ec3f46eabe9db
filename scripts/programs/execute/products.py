"""Products of §12: linear, group linear and product."""

from ..numbers import rsh, sat
from .args import dot, step


@step("linear")
def linear(a):
    return product_with_weights(a, 1)


@step("group linear")
def group_linear(a):
    return product_with_weights(a, a.groups)


def product_with_weights(a, groups):
    weights, channels = a.constants["weights"], a.constants["requantise"]
    n, k = len(weights), len(weights[0])
    assert a.x.type == 1 and len(channels) == n and all(len(row) == 3 for row in channels)
    assert groups > 0 and a.x.columns == groups * k and n % groups == 0
    scales = a.one_a_row(1, len(a.x.rows)) if len(a.inputs) > 1 else None

    def entry(row, channel, index):
        group = channel * groups // n
        before, multiplier, after = channels[channel]
        acc = dot(row[group * k : (group + 1) * k], weights[channel])
        v = sat(rsh(sat(acc + before) * multiplier, a.s0))
        if scales:
            v = sat(rsh(v * scales[index], a.s1))
        return rsh(sat(v + after), a.s2)

    output = a.clamped([[entry(row, channel, index) for channel in range(len(weights))]
                        for index, row in enumerate(a.x.rows)])
    output.macs = len(a.x.rows) * n * k
    return output


@step("product")
def product(a):
    left, right = a.inputs
    assert left.type == right.type == 1 and left.columns == right.columns and a.blocks > 0

    def blocks(item):
        each = len(item) // a.blocks
        assert each * a.blocks == len(item), "blocks that do not divide the rows"
        return [item[i * each : (i + 1) * each] for i in range(a.blocks)]

    output = a.clamped([[rsh(dot(x, y), a.shift) for y in b]
                        for items in zip(a.items(left), a.items(right))
                        for x_block, b in zip(*map(blocks, items)) for x in x_block])
    output.macs = len(output.rows) * output.columns * left.columns
    return output
