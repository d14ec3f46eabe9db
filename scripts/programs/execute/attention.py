"""Attention weights and attention context."""

from ..numbers import fits, rdiv, rsh, sat, sat16
from ..trace import Tensor
from .args import dot, step


def head_columns(a, tensor):
    width = tensor.columns // a.heads
    assert width * a.heads == tensor.columns
    return [slice(head * width, (head + 1) * width) for head in range(a.heads)]


@step("attention weights")
def attention_weights(a):
    query, key = a.inputs[:2]
    entries, alpha = a.exponentials(), a.column("alpha", a.heads)
    assert query.type == key.type == 1 and query.columns == key.columns
    assert len(query.rows) == len(key.rows) == a.batch * a.sequence

    def row(q, keys, alpha, seen):
        scores = [sat(rsh(dot(q, k) * alpha, a.shift)) for k in keys[:seen]]
        top = max(scores)
        weights = [entries[min(top - score, 255)] - 64 for score in scores]
        return weights + [-64] * (a.sequence - seen)

    output = Tensor(1, [
        row(q[columns], [k[columns] for k in keys], alpha[head],
            min(length, i + 1) if a.causal else length)
        for queries, keys, length in zip(a.items(query), a.items(key), a.token_lengths(2))
        for head, columns in enumerate(head_columns(a, query))
        for i, q in enumerate(queries)])
    output.macs = a.batch * a.sequence**2 * query.columns
    return output


@step("attention context")
def attention_context(a):
    weights, values = a.inputs
    n = len(values.rows) // a.batch
    scale = a.column("scale", n)
    assert weights.type == values.type == 1
    assert weights.columns == values.columns == a.sequence and n % a.heads == 0
    assert len(weights.rows) == a.batch * a.heads * a.sequence

    def entry(w, v, scale):
        w = [x + 64 for x in w]
        normal = rdiv(1 << 22, max(1, sum(w)))
        return sat16(rsh(sat(rsh(fits(dot(w, v) * normal), a.s0)) * scale, a.s1))

    output = Tensor(2, [
        [entry(item[c // (n // a.heads) * a.sequence + i], v, scale[c])
         for c, v in enumerate(values)]
        for item, values in zip(a.items(weights), a.items(values))
        for i in range(a.sequence)])
    output.macs = a.batch * a.sequence**2 * n
    return output
