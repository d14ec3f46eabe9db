"""Reads test_vectors/training: the steps of another implementation's sketch.

A line of the sketch is `kind numbers [inputs] (rows, columns) type`. The
numbers stand in an order of its own, which `fields` translates. Long tables in
runs.json are cut in the middle and marked with an ellipsis.
"""

import re
from ast import literal_eval
from dataclasses import dataclass, field

from .execute import computed
from .program import Step, Window
from .trace import Tensor

LINE = re.compile(r"([a-z ]+?) (?=[^a-z ]|False|True| )(.*?) ?(\[[\d, ]*\]) (\(\d+, \d+\)) ([124])")
NAMES = {"product": "scaled product", "transpose": "transpose by tiles", "fold": "unfold gradient"}
BLOCKS = ("block scores", "block mix", "block mix back")


@dataclass
class Line:
    kind: str
    arguments: list
    inputs: list
    rows: int
    columns: int
    type: int
    constants: list = field(default_factory=list)


def whole(text, tables):
    """A line with the table whose middle is left out."""
    if "…" not in text:
        return text
    before, after = text.split(" … ")
    start, end = before.index("["), after.index("]") + 1
    fitting = [table for table in map(str, tables)
               if table.startswith(before[start:]) and table.endswith(after[:end])]
    assert len(fitting) == 1, f"expected one table for {text[:40]}, got {len(fitting)}"
    return before[:start] + fitting[0] + after[end:]


def tokens(text):
    """The values that spaces separate, at depth 0 of brackets."""
    found, depth, start = [], 0, 0
    for at, character in enumerate(text + " "):
        depth += (character in "([") - (character in ")]")
        if character == " " and depth == 0:
            if text[start:at]:
                found.append(literal_eval(text[start:at]))
            start = at + 1
    return found


def parse(text, tables=()):
    match = LINE.fullmatch(whole(text, tables))
    assert match, f"expected a line of the sketch, got {text[:60]}"
    kind, arguments, inputs, shape, type = match.groups()
    return Line(kind, tokens(arguments), literal_eval(inputs), *literal_eval(shape), int(type))


def window(height, width, kernel, stride, pad):
    return Window(height, width, kernel, kernel, stride, stride, pad, pad, pad, pad)


def fields(line, batch, columns):
    """The fields of a line's step under the names of `program.STEPS`, and its
    constants. `columns` are those of its first input."""
    kind, given = line.kind, line.arguments
    # Most kinds have one tuple of numbers.
    if len(given) == 1 and isinstance(given[0], tuple) and kind != "ratio":
        given = given[0]

    def table(entries, type=2):
        return {"table": 0}, [Tensor(type, [[entry] for entry in entries])]

    match kind:
        case "product":
            after, shift, signs, clamp, stochastic = given
            bias = len(line.inputs) - 2 - len(signs)
            # Without a bias, its shift stands there and means nothing.
            named = {"bias": bool(bias), "bias_shift": after if bias else 0, "shift": shift, "clamp": clamp}
        case "rescale":
            m, shift, signs, clamp, stochastic = given
            named = {"m": m, "shift": shift, "clamp": clamp, "stochastic": stochastic, "stream": 0}
        case kind if kind in BLOCKS:
            heads, length, offset, m, shift, signs, clamp, stochastic = given
            assert line.rows // (heads if kind == "block scores" else 1) == batch * length
            named = {"heads": heads, "offset": offset, "m": m, "shift": shift, "clamp": clamp}
        case "descend":
            decay, shift, signs, clamp, stochastic = given
            named = {"decay_shift": decay, "shift": shift, "clamp": clamp}
        case "exponent":
            return {"per_row": given[0]}, []
        case "gate":
            named, constants = table(given[2])
            return named | {"index_shift": given[0], "shift": given[1], "clamp": given[3]}, constants
        case "cross entropy":
            named, constants = table(given[3])
            return named | {"m": given[0], "shift": given[1], "fraction": given[2]}, constants
        case "exponentials":
            named, constants = table(given[3])
            return named | {"m": given[0], "shift": given[1], "causal": given[2]}, constants
        case "table":
            named, constants = table(given[1], line.type)
            return named | {"shift": given[0], "pass_above": given[2]}, constants
        case "normalise gradient":
            return {"shift": given[0], "clamp": given[1], "centre": given[2]}, []
        case "normalise":
            affine = Tensor(4, [[1, 0]] * columns)
            return {"affine": 0, "shift": given[0], "centre": given[1]}, [affine]
        case "add":
            return dict(zip(("m0", "m1", "shift", "clamp"), given, strict=True)), []
        case "divide by sums":
            return {"shift": given[0], "clamp": given[1]}, []
        case "second moment":
            return {"k": given[0]}, []
        case "ratio":
            return {"clamp": given[0]}, []
        case "scatter add":
            return {"rows": given[0]}, []
        case "fold" | "max pool gradient" | "unfold" | "max pool":
            return {"window": window(*given)}, []
        case "mean pool gradient" | "reshape":
            return {"rows": (line.rows // batch, False), "columns": (line.columns, False)}, []
        case "gather":
            return {"table": None}, []
        case "transpose" | "row sum" | "row scale" | "relu" | "softmax gradient":
            assert not given
            return {}, []
        case _:
            raise ValueError(f"expected a kind of the sketch, got {kind}")
    assert stochastic is False or kind == "rescale"
    exponents = line.inputs[len(line.inputs) - len(signs) :]
    named_there = [value for _, value in signs]
    assert kind == "descend" or named_there == exponents, "expected exponents last, got others"
    return named | {"signs": [sign for sign, _ in signs]}, []


def compute(line, inputs, batch, stream=0, seed=bytes(32), t=0):
    """The tensor that a line makes of its inputs."""
    named, constants = fields(line, batch, inputs[0].columns)
    if named.get("stochastic"):
        words = [int.from_bytes(seed[i : i + 4], "little", signed=True) for i in range(0, 32, 4)]
        inputs = inputs + [Tensor(4, [[word] for word in words]), Tensor(4, [[t]])]
        named["stream"] = stream
    kind = NAMES.get(line.kind, line.kind)
    names = [name for name in ("table", "affine") if name in named]
    step = Step(kind, named, line.inputs, line.kind, names)
    output = computed(step, constants, inputs, batch, 1)
    extent = (len(output.rows), output.columns, output.type)
    assert extent == (line.rows, line.columns, line.type), f"another extent: {extent}"
    return output
