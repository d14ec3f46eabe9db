"""The memory of a tile, from the text of docs/spec.md (§14)."""

from dataclasses import dataclass, field
from math import gcd


@dataclass
class Step:
    """A step in a run: what §14 needs to know of it."""

    kind: str
    input_columns: int
    input_type: int
    item_rows: int  # of the input
    rows: int
    columns: int
    type: int
    tile_rows: int = 32
    tile_columns: int = 0  # 0: all
    heads: int = 1
    constants: list = field(default_factory=list)  # rows and columns
    lengths: bool = False
    others: list = field(default_factory=list)  # rows of an item and columns, of further inputs
    window: tuple = ()  # output height and width, image height and width, stride, kernel
    exponents: list = field(default_factory=list)  # for each, whether it has rows
    sliding: int = 0  # the window of attention, in tokens
    per_row: bool = False


def touched(n, start, period, most):
    return min((period - gcd(start, period) + n - 1) // period + 1, most)


def window_lines(step, r, t, batch):
    height, width, image, _, stride, kernel = step.window

    def lines(n, items):
        return min(max(n - items, 0) * stride + items * kernel, items * image)

    period = height * width
    most = lines(min((min(r, period) + width - 2) // width + 1, height), 1)
    for j in range(2, touched(r, t, period, batch) + 1):
        edges = r - (j - 2) * period
        if edges < 0:
            break
        edges = min(max((edges + 2 * (width - 1)) // width, 2), 2 * height)
        most = max(most, (j - 2) * lines(height, 1) + lines(edges, 2))
    return most


def gradient_lines(step, r, t, batch):
    """The lines of dy and of x that the gradient of a window reads."""
    positions, _, height, width, stride, kernel = step.window

    def reaching(n, items):
        return min((n + items * (kernel + stride - 2)) // stride, items * positions)

    def lines(n, items):
        return min(max(n - items, 0) * stride + items * kernel, items * height)

    period = height * width
    n = min((min(r, period) + width - 2) // width + 1, height)
    of_dy, of_x = reaching(n, 1), lines(reaching(n, 1), 1)
    for j in range(2, touched(r, t, period, batch) + 1):
        edges = r - (j - 2) * period
        if edges < 0:
            break
        n = min(max((edges + 2 * (width - 1)) // width, 2), 2 * height)
        of_dy = max(of_dy, (j - 2) * positions + reaching(n, 2))
        of_x = max(of_x, (j - 2) * lines(positions, 1) + lines(reaching(n, 2), 2))
    return of_dy, of_x


def needs_of_training(step, r, c, t, u, batch):
    """The entries of every slot of a step of training, and p − 8."""
    x, q, item = step.input_columns, step.rows // batch, step.item_rows
    exponents = [r if rows else 1 for rows in step.exponents]
    others = [columns for _, columns in step.others]
    # A shared output can have fewer rows than items. Its steps use no items.
    items = touched(r, t, q, batch) if q else 0
    match step.kind:
        case "scaled product":
            return [r * x, c * x, c] + exponents, r
        case "transpose by tiles":
            return [c * x], 0
        case "exponent":
            return [r if step.per_row else item * batch], 0
        case "next exponent":
            return [1, *(rows * batch for rows, _ in step.others)], 0
        case "rescale":
            return [r * x] + exponents + [8, 1], 0
        case "descend":
            return [r * x, r * x, 1], 0
        case "row sum":
            return [r * x], 0
        case "second moment" | "ratio" | "softmax gradient" | "normalise gradient":
            return [r * x, r * x], 0
        case "gate" | "cross entropy":
            return [r * x, *(r * columns for columns in others), 256], 0
        case "exponentials":
            return [r * x, 256], 0
        case "gather":
            return [min(r, item) * x, r], r
        case "scatter add":
            return [item * batch * x, item * batch], item * batch
        case "unfold gradient" | "max pool gradient":
            of_dy, of_x = gradient_lines(step, r, t, batch)
            dy = step.window[1] * of_dy
            if step.kind == "unfold gradient":
                return [dy * x], items
            return [step.window[3] * of_x * x, dy * x], 2 * items
        case "block scores":
            items = touched(r, t, item * step.heads, batch)
            return [min(r, items * item) * x, items * item * x] + exponents, items + touched(r, t, item, batch * step.heads)
        case "block mix" | "block mix back":
            length = q
            heads = touched(c, u, step.columns // step.heads, step.heads)
            rows = items * heads * length if step.kind == "block mix back" else r * heads
            return [rows * x, items * length * step.columns] + exponents, items * (heads + 1)
        case "divide by sums":
            return [r * x, r * step.heads * others[0]], items * step.heads
        case "mean pool gradient":
            return [items * x] + [items] * step.lengths, 0
        case "draw":
            return [8, 1], 0
        case kind:
            raise ValueError(f"expected a kind of step, got {kind}")


def needs_of_decoders(step, r, c, t, batch, sequence):
    """The entries of every slot of a step of decoders, and p − 8."""
    x, q = step.input_columns, step.rows // batch
    # A shared output can have fewer rows than items. No step of decoders has one.
    items = touched(r, t, q, batch) if q else 0
    constants = [rows * columns for rows, columns in step.constants]
    match step.kind:
        case "wide rms norm" | "mix":
            return [r * x] + constants, 0
        case "limb":
            return [r * x, r], 0
        case "rotary":
            turned = step.constants[0][1]
            blocks = touched(r, t, sequence, batch * step.heads)
            return [r * x, min(r, sequence) * turned], 2 * blocks
        case "grouped attention":
            seen = min(sequence, step.sliding - 1 + r) if step.sliding else sequence
            keys, values = items * seen, items * c * sequence
            lengths = [items] if step.lengths else []
            return [r * x, r, keys * x, keys, values, *lengths, 1, 256, c], 6 * items
        case "tail":
            return [min(r, step.item_rows * batch) * x, items], r
        case "sample":
            return [r * x, 11 * items, 256], 0
    return None


def tile_sizes(step):
    """The numbers r, c, t and u of §14."""
    tile_columns = step.tile_columns or step.columns
    r, c = min(step.tile_rows, step.rows), min(tile_columns, step.columns)
    t = step.tile_rows if step.rows > step.tile_rows else 0
    u = tile_columns if step.columns > tile_columns else 0
    return r, c, t, u


def memory(step, batch, sequence):
    r, c, t, u = tile_sizes(step)
    q, x, pieces = step.rows // batch, step.input_columns, 0
    match step.kind:
        case "linear" | "group linear":
            entries = [r * x, r] + [c * columns for _, columns in step.constants]
        case "unfold" | "group unfold" | "max pool" | "average pool":
            pieces = r
            entries = [step.window[3] * window_lines(step, r, t, batch) * x]
        case "add" | "mul":
            entries = [r * x, r * x]
        case "curve":
            entries = [r * x, 257]
        case "arrange":
            items = touched(r, t, q, batch)
            inputs = [(step.item_rows, x), *step.others]
            named = [(min(r * c, items * rows), columns) for rows, columns in inputs]
            pieces = items + sum(rows for rows, _ in named)
            entries = [rows * columns for rows, columns in named]
            entries += [min(r, q) * columns for _, columns in step.constants]
        case "product":
            pieces = touched(r, t, q // step.heads, batch * step.heads)
            entries = [r * x, pieces * c * x]
        case "embed":
            pieces = 2 * r
            entries = [r * x] + [min(r, rows) * columns for rows, columns in step.constants]
        case "add rows":
            pieces = touched(r, t, q, batch)
            entries = [r * x, min(r, q) * x]
        case "attention weights":
            items = touched(r, t, sequence * step.heads, batch)
            blocks = touched(r, t, sequence, batch * step.heads)
            pieces = 4 * blocks
            entries = [r * x, items * sequence * x, min(blocks, step.heads), 256]
            entries += [items] if step.lengths else []
        case "relative attention weights":
            items = touched(r, t, sequence * step.heads, batch)
            blocks = touched(r, t, sequence, batch * step.heads)
            pieces = 5 * blocks
            entries = [r * x, items * sequence * x, min(blocks, step.heads), 256]
            entries += [min(blocks, step.heads) * columns for _, columns in step.constants]
            entries += [items] if step.lengths else []
        case "attention context":
            items = touched(r, t, sequence, batch)
            heads = touched(c, u, step.columns // step.heads, step.heads)
            pieces = items * (heads + 1)
            entries = [r * heads * x, items * c * sequence, c]
        case "transpose":
            pieces = touched(r, t, q, batch)
            entries = [pieces * step.item_rows * x]
        case "reshape":
            start = x - gcd(t * step.columns, x)
            rows = min(-(-(r * step.columns + start) // x), step.item_rows * batch)
            entries = [rows * x]
        case "mean pool":
            pieces = r
            entries = [r * step.item_rows * x, r]
        case _:
            needs = needs_of_decoders(step, r, c, t, batch, sequence)
            entries, pieces = needs or needs_of_training(step, r, c, t, u, batch)

    def padded(columns, type):
        return -(-columns // 128) * 128 if type == 1 else columns

    rows = padded(x, step.input_type) + padded(step.columns, step.type)
    return 4 * sum(entries) + 4 * r * c + 16 * rows + 256 * (pieces + 8) + 4096
