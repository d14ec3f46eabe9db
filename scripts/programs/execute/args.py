"""What a step is computed from, and what several families of steps use."""

from dataclasses import dataclass
from operator import mul

from ..numbers import NoOutput, RANGES, clip
from ..program import ANSWERS, FIXED, TOKENS
from ..trace import Tensor

FUNCTIONS = {}


def step(kind):
    return lambda function: FUNCTIONS.setdefault(kind, function)


@dataclass
class Args:
    """The arguments that a step is computed from."""

    fields: dict
    constants: dict  # entries of the constants among the fields, as rows
    types: dict  # and their types
    inputs: list
    batch: int
    sequence: int
    answers: int = 0

    def __getattr__(self, name):
        return self.fields[name]

    @property
    def x(self):
        return self.inputs[0]

    def items(self, tensor):
        """The rows of each item of the batch."""
        each = len(tensor.rows) // self.batch
        assert each * self.batch == len(tensor.rows)
        return [tensor.rows[i * each : (i + 1) * each] for i in range(self.batch)]

    def column(self, name, length):
        """A constant of one column."""
        rows = self.constants[name]
        assert len(rows) == length and all(len(row) == 1 for row in rows), f"shape of {name}"
        return [row[0] for row in rows]

    def exponentials(self):
        """The table of exponentials, i16, with entries clipped to 0..=127."""
        assert self.types["table"] == 2
        return [clip(entry, 0, 127) for entry in self.column("table", 256)]

    def lengths(self, index, rows):
        """Each item's length of at most `rows`: the input's, or all rows."""
        if len(self.inputs) <= index:
            return [rows] * self.batch
        lengths = self.one_a_row(index, self.batch)
        if not all(1 <= length <= rows for length in lengths):
            raise NoOutput("a length outside the rows of an item")
        return lengths

    def token_lengths(self, index):
        """The same for x with a row for each token."""
        tokens = len(self.inputs) <= index or len(self.x.rows) == self.batch * self.sequence
        assert tokens, "lengths without tokens"
        return self.lengths(index, len(self.x.rows) // self.batch)

    def one_a_row(self, index, rows):
        tensor = self.inputs[index]
        assert tensor.type == 4 and tensor.columns == 1 and len(tensor.rows) == rows
        return [row[0] for row in tensor.rows]

    def clamped(self, rows):
        """The output of a step with a clamp, from its unclamped entries."""
        type, low, high = self.fields["clamp"]
        assert RANGES[type][0] <= low <= high <= RANGES[type][1]
        return Tensor(type, [[clip(x, low, high) for x in row] for row in rows])


def dot(a, b):
    return sum(map(mul, a, b))


def each(tensor, function):
    return [[function(x) for x in row] for row in tensor.rows]


def paired(left, right, function):
    """A function of the entries at each place of two tensors of one shape."""
    assert len(left.rows) == len(right.rows) and left.columns == right.columns, "other shapes"
    return [[function(x, y) for x, y in zip(*rows)] for rows in zip(left.rows, right.rows)]


def extent(dim, sequence, answers=0):
    units, per = dim
    return units * {FIXED: 1, TOKENS: sequence, ANSWERS: answers}[per]
