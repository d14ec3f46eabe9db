"""Products of blocks of items and heads, and what attention needs beside them."""

from ...numbers import clip, rdiv, rsh, sat, shift
from ...trace import Tensor
from ..args import dot, step
from .exponents import shifts


def heads_of(a, tensor):
    """The columns of each head."""
    assert a.heads > 0 and tensor.columns % a.heads == 0, "heads that do not divide the columns"
    width = tensor.columns // a.heads
    return [slice(head * width, (head + 1) * width) for head in range(a.heads)]


def finished(a, rows, b):
    """The output of a block step, from its sums before the multiplier."""
    assert len(a.inputs) == 2 + len(a.signs), "inputs of a block step"
    ps = shifts(a, 2, len(rows))
    output = a.clamped([[shift(a.m * x, p) for x in row] for row, p in zip(rows, ps)])
    length = len(b.rows) // a.batch
    output.macs = a.batch * length**2 * b.columns
    return output


@step("block scores")
def block_scores(a):
    left, right = a.inputs[:2]
    assert left.type == right.type == 1
    assert (len(left.rows), left.columns) == (len(right.rows), right.columns)
    rows = [[dot((x + a.offset for x in query[head]), key[head]) for key in keys]
            for queries, keys in zip(a.items(left), a.items(right))
            for head in heads_of(a, left) for query in queries]
    return finished(a, rows, right)


def mixed(a):
    """For each item: the rows of each head of a, with the offset, and the
    columns of b with their head."""
    left, right = a.inputs[:2]
    length = len(right.rows) // a.batch
    assert left.type == right.type == 1 and left.columns == length
    assert len(left.rows) == a.batch * a.heads * length, "rows of a"
    width = right.columns // len(heads_of(a, right))
    for weights, values in zip(a.items(left), a.items(right)):
        moved = [[x + a.offset for x in row] for row in weights]
        heads = [moved[head * length : (head + 1) * length] for head in range(a.heads)]
        yield length, heads, [(c // width, column) for c, column in enumerate(zip(*values))]


@step("block mix")
def block_mix(a):
    rows = [[dot(heads[head][i], column) for head, column in columns]
            for length, heads, columns in mixed(a) for i in range(length)]
    return finished(a, rows, a.inputs[1])


@step("block mix back")
def block_mix_back(a):
    rows = [[dot((row[j] for row in heads[head]), column) for head, column in columns]
            for length, heads, columns in mixed(a) for j in range(length)]
    return finished(a, rows, a.inputs[1])


@step("exponentials")
def exponentials(a):
    assert a.m >= 0
    table = a.exponentials()
    length = a.x.columns
    assert all(len(item) % length == 0 for item in a.items(a.x)), "blocks of other rows"

    def row(x, seen):
        top = max(x[:seen])
        e = [table[clip(rsh((top - entry) * a.m, a.shift), 0, 255)] for entry in x[:seen]]
        return [entry - 64 for entry in e] + [-64] * (length - seen)

    return Tensor(1, [row(x, i % length + 1 if a.causal else length)
                      for item in a.items(a.x) for i, x in enumerate(item)])


@step("divide by sums")
def divide_by_sums(a):
    x, w = a.inputs
    length = w.columns
    assert w.type == 1 and len(x.rows) == a.batch * length
    heads, rest = divmod(len(w.rows), len(x.rows))
    assert rest == 0 and x.columns % heads == 0, "heads that do not divide the columns"
    width = x.columns // heads

    rows = []
    for item, weights in zip(a.items(x), a.items(w)):
        sums = [max(1, sum(row) + 64 * length) for row in weights]
        rows += [[rdiv(entry << a.shift, sums[c // width * length + i]) for c, entry in enumerate(row)]
                 for i, row in enumerate(item)]
    return a.clamped(rows)


@step("softmax gradient")
def softmax_gradient(a):
    w, d = a.inputs
    assert w.type == 1

    def row(weights, gradients):
        e = [x + 64 for x in weights]
        total = max(1, sum(e))
        mean = rdiv(dot(e, gradients), total)
        return [sat(rdiv(x * (g - mean), total)) for x, g in zip(e, gradients)]

    assert len(w.rows) == len(d.rows) and w.columns == d.columns, "other shapes"
    return Tensor(4, [row(*rows) for rows in zip(w.rows, d.rows)])
