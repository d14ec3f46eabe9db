"""Attention weights and attention context."""

from ..numbers import clip, fits, rdiv, rsh, sat, sat16
from ..trace import Tensor
from .args import dot, step


def head_columns(a, tensor):
    width = tensor.columns // a.heads
    assert width * a.heads == tensor.columns
    return [slice(head * width, (head + 1) * width) for head in range(a.heads)]


@step("attention weights")
def attention_weights(a):
    return weights_of_scores(a, lambda head, distance, score: score)


@step("relative attention weights")
def relative_attention_weights(a):
    beta, columns = a.constants["beta"], len(a.constants["beta"][0])
    assert a.types["beta"] == 4 and len(beta) == a.heads and columns % 2 == 1
    last = (columns + 1) // 2 - 1
    return weights_of_scores(
        a, lambda head, distance, score: sat(score + beta[head][clip(distance, -last, last) + last]))


def weights_of_scores(a, biased):
    """Attention weights. `biased` makes the score of a head, the distance from
    the query to the key, and their score without a bias."""
    query, key = a.inputs[:2]
    entries, alpha = a.exponentials(), a.column("alpha", a.heads)
    assert query.type == key.type == 1 and query.columns == key.columns
    assert len(query.rows) == len(key.rows) == a.batch * a.sequence

    def row(q, keys, head, i, seen):
        scores = [biased(head, j - i, sat(rsh(dot(q, k) * alpha[head], a.shift)))
                  for j, k in enumerate(keys[:seen])]
        top = max(scores)
        weights = [entries[min(top - score, 255)] - 64 for score in scores]
        return weights + [-64] * (a.sequence - seen)

    output = Tensor(1, [
        row(q[columns], [k[columns] for k in keys], head, i,
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
