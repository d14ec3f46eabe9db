"""Every step of §12, one function each, and the run of a program."""

from dataclasses import dataclass, replace
from math import isqrt
from operator import mul

from .numbers import NoOutput, RANGES, clip, fits, rdiv, rsh, sat, sat16, sat64
from .trace import Tensor

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

    def lengths(self, index):
        """Each item's length: the input's, or all its rows."""
        if len(self.inputs) <= index:
            return [len(self.x.rows) // self.batch] * self.batch
        assert len(self.x.rows) == self.batch * self.sequence, "lengths without tokens"
        lengths = self.one_a_row(index, self.batch)
        if not all(1 <= length <= self.sequence for length in lengths):
            raise NoOutput("a length outside the sequence")
        return lengths

    def one_a_row(self, index, rows):
        tensor = self.inputs[index]
        assert tensor.type == 4 and tensor.columns == 1 and len(tensor.rows) == rows
        return [row[0] for row in tensor.rows]

    def clamp(self, x):
        return clip(x, self.fields["clamp"][1], self.fields["clamp"][2])

    def clamped(self, rows):
        """The output of a step with a clamp, from its unclamped entries."""
        type, low, high = self.fields["clamp"]
        assert RANGES[type][0] <= low <= high <= RANGES[type][1]
        return Tensor(type, [[clip(x, low, high) for x in row] for row in rows])


def dot(a, b):
    return sum(map(mul, a, b))


def each(tensor, function):
    return [[function(x) for x in row] for row in tensor.rows]


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


def under_windows(a, item, window=None, dilation=(1, 1)):
    """For each position, the pixels of an item; None outside the image."""
    window = window or a.window
    assert len(item) == window.height * window.width
    assert max(window.top, window.bottom) < window.kernel_height
    assert max(window.left, window.right) < window.kernel_width
    assert window.kernel_height * window.kernel_width <= 1 << 16
    return [[None if pixel is None else item[pixel] for pixel in position]
            for position in window.positions(dilation)]


@step("group unfold")
def group_unfold(a):
    window, dilation = a.window, (a.dilation_down, a.dilation_right)
    assert a.x.type == 1 and a.groups > 0 and a.x.columns % a.groups == 0
    assert min(dilation) > 0 and min(window.kernel_height, window.kernel_width) > 0
    covered = replace(window, kernel_height=dilation[0] * (window.kernel_height - 1) + 1,
                      kernel_width=dilation[1] * (window.kernel_width - 1) + 1)
    assert -64 <= a.fill <= 63, f"expected a fill in −64..=63, got {a.fill}"
    each, outside = a.x.columns // a.groups, [a.fill] * a.x.columns
    return Tensor(1, [[x for group in range(a.groups) for pixel in position
                       for x in (pixel or outside)[group * each : (group + 1) * each]]
                      for item in a.items(a.x)
                      for position in under_windows(a, item, covered, dilation)])


@step("unfold")
def unfold(a):
    assert a.x.type == 1
    outside = [0] * a.x.columns
    return Tensor(1, [[x for pixel in position for x in (outside if pixel is None else pixel)]
                      for item in a.items(a.x) for position in under_windows(a, item)])


def pool(a, function):
    """A function of each channel's pixels inside the image."""
    positions = (position for item in a.items(a.x) for position in under_windows(a, item))
    inside = ([pixel for pixel in position if pixel is not None] for position in positions)
    return Tensor(a.x.type, [[function(channel) for channel in zip(*pixels)] for pixels in inside])


@step("max pool")
def max_pool(a):
    return pool(a, max)


@step("average pool")
def average_pool(a):
    return pool(a, lambda pixels: rdiv(sum(pixels), len(pixels)))


@step("add")
def add(a):
    left, right = a.inputs
    assert len(left.rows) == len(right.rows) and left.columns == right.columns
    return a.clamped([[rsh(sat64(fits(x * a.m0) + fits(y * a.m1)), a.shift) for x, y in zip(*rows)]
                      for rows in zip(left.rows, right.rows)])


@step("mul")
def multiply(a):
    left, right = a.inputs
    assert len(left.rows) == len(right.rows) and left.columns == right.columns
    return a.clamped([[rsh(x * y, a.shift) for x, y in zip(*rows)]
                      for rows in zip(left.rows, right.rows)])


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


def exponentials(a):
    assert a.types["table"] == 2
    return [clip(entry, 0, 127) for entry in a.column("table", 256)]


@step("softmax")
def softmax(a):
    entries = exponentials(a)

    def row(x):
        top = max(x)
        e = [entries[min(rsh((top - entry) * a.m, a.shift), 255)] for entry in x]
        return [rdiv(entry * a.one, max(1, sum(e))) for entry in e]

    assert a.m >= 0 and a.one > 0
    return a.clamped([row(x) for x in a.x.rows])


@step("normalise")
def normalise(a):
    affine = a.constants["affine"]
    n = a.x.columns
    assert a.x.type == 2 and len(affine) == n and len(affine[0]) == 2

    def row(x):
        mean = rdiv(sum(x), n) if a.centre else 0
        variance = rdiv(sum((entry - mean) ** 2 for entry in x), n)
        sigma = max(1, isqrt(variance << 8))
        z = [sat((entry - mean) * ((1 << 26) // sigma) >> 8) for entry in x]
        return [sat16(rsh(z * gamma, a.shift) + beta) for z, (gamma, beta) in zip(z, affine)]

    return Tensor(2, [row(x) for x in a.x.rows])


@step("embed")
def embed(a):
    entries = a.constants["table"]
    scales = a.column("scales", len(entries))
    ids = a.one_a_row(0, len(a.x.rows))
    if not all(0 <= id < len(entries) for id in ids):
        raise NoOutput("an id outside the table")
    return Tensor(2, [[sat16(rsh(x * scales[id], a.shift)) for x in entries[id]] for id in ids])


@step("add rows")
def add_rows(a):
    entries = a.constants["table"]
    assert a.x.type == 2 and a.types["table"] == 2 and len(entries[0]) == a.x.columns
    assert len(a.items(a.x)[0]) <= len(entries), "more rows than the table"
    return Tensor(2, [[sat16(x + y) for x, y in zip(*rows)]
                      for item in a.items(a.x) for rows in zip(item, entries)])


def head_columns(a, tensor):
    width = tensor.columns // a.heads
    assert width * a.heads == tensor.columns
    return [slice(head * width, (head + 1) * width) for head in range(a.heads)]


@step("attention weights")
def attention_weights(a):
    query, key = a.inputs[:2]
    entries, alpha = exponentials(a), a.column("alpha", a.heads)
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
        for queries, keys, length in zip(a.items(query), a.items(key), a.lengths(2))
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


@step("transpose")
def transpose(a):
    return Tensor(a.x.type, [list(column) for item in a.items(a.x) for column in zip(*item)])


@step("reshape")
def reshape(a):
    rows, columns = (extent(dim, a.sequence) for dim in (a.rows, a.columns))
    output = []
    for item in a.items(a.x):
        flat = [x for row in item for x in row]
        assert len(flat) == rows * columns
        output += [flat[i * columns : (i + 1) * columns] for i in range(rows)]
    return Tensor(a.x.type, output)


@step("arrange")
def arrange(a):
    index, type = a.constants["index"], a.inputs[0].type
    assert a.types["index"] == 4 and all(tensor.type == type for tensor in a.inputs)
    output = []
    for items in zip(*map(a.items, a.inputs)):
        entries = [x for item in items for row in item for x in row]
        assert len(entries) < 1 << 31
        if not all(-1 <= number < len(entries) for row in index for number in row):
            raise NoOutput("a number that names no entry")
        output += [[0 if number == -1 else entries[number] for number in row] for row in index]
    return Tensor(type, output)


@step("row scale")
def row_scale(a):
    return Tensor(4, [[sat(max(1, max(map(abs, row))))] for row in a.x.rows])


@step("quantise")
def quantise(a):
    def entry(x, m):
        m = max(1, m)
        return clip(rsh(x * (((63 << 20) + m // 2) // m), 20), -64, 63)

    scales = a.one_a_row(1, len(a.x.rows))
    return Tensor(1, [[entry(x, m) for x in row] for row, m in zip(a.x.rows, scales)])


@step("mean pool")
def mean_pool(a):
    assert a.x.type in (1, 2)
    return Tensor(4, [[sat(rdiv(sum(column) << 8, length)) for column in zip(*item[:length])]
                      for item, length in zip(a.items(a.x), a.lengths(1))])


@step("L2 normalise")
def l2_normalise(a):
    def row(x):
        # Exact: 2^16 squares of 2^62 leave 64 bits, and do not saturate.
        norm = max(1, isqrt(sum(entry * entry for entry in x)))
        return [sat16(rdiv(entry << 14, norm)) for entry in x]

    return Tensor(2, [row(x) for x in a.x.rows])


@step("scale columns")
def scale_columns(a):
    scale = a.column("scale", a.x.columns)
    return a.clamped([[rsh(x * c, a.shift) for x, c in zip(row, scale)] for row in a.x.rows])


def extent(dim, sequence):
    units, per_token = dim
    return units * sequence if per_token else units


def run(program, constants, inputs, batch, sequence):
    """All values of a run, inputs first."""
    for constant, tensor in zip(program.constants, constants, strict=True):
        shape = (len(tensor.rows), tensor.columns, tensor.type)
        assert shape == (constant.rows, constant.columns, constant.type), constant.name
        assert tensor.root == constant.root, f"the root of {constant.name}"
    for (rows, columns, type), tensor in zip(program.inputs, inputs, strict=True):
        form = (batch * extent(rows, sequence), extent(columns, sequence), type)
        assert form == (len(tensor.rows), tensor.columns, tensor.type), "an input's shape"

    values = list(inputs)
    for step in program.steps:
        named = {name: constants[index] for name, index in step.fields.items()
                 if name in ("weights", "requantise", "table", "affine", "scales", "alpha", "scale", "index")}
        args = Args(step.fields, {name: tensor.rows for name, tensor in named.items()},
                    {name: tensor.type for name, tensor in named.items()},
                    [values[index] for index in step.inputs], batch, sequence)
        try:
            values.append(FUNCTIONS[step.kind](args))
        except AssertionError as error:
            raise AssertionError(f"step {step.name} ({step.kind}): {error}") from error
    return values
