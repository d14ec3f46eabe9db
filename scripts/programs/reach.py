"""What each tile of a step of training opens, row by row (§14), to check bounds.

Every tile of a step is visited, and the rows are found from their definition.
`bounds.py` has the same worst case as a formula.
"""

import random

from .bounds import Step, needs_of_training, tile_sizes


def window_rows(step, top, rows):
    """The rows of dy and of x for a tile of a window's gradient."""
    positions, across, height, width, stride, kernel = step.window
    of_dy, of_x = set(), set()
    for item in {row // (height * width) for row in rows}:
        lines = {row // width - item * height for row in rows if row // (height * width) == item}
        seen = [range(y * stride - top, y * stride - top + kernel) for y in range(positions)]
        reaching = [y for y in range(positions) if any(line in seen[y] for line in lines)]
        if not reaching:
            continue
        first, last = reaching[0], reaching[-1]
        of_dy |= {(item * positions + y) * across + x for y in range(first, last + 1) for x in range(across)}
        reached = [y for y in range(seen[first].start, seen[last].stop) if 0 <= y < height]
        of_x |= {(item * height + y) * width + x for y in reached for x in range(width)}
    return of_dy, of_x


def opened(step, batch, top, rows, columns):
    """The rows that a tile opens of each slot, but for exponents."""
    q, item = step.rows // batch, step.item_rows
    items = {row // q for row in rows}
    match step.kind:
        case "unfold gradient":
            return [window_rows(step, top, rows)[0]]
        case "max pool gradient":
            return list(reversed(window_rows(step, top, rows)))
        case "block scores":
            queries = {row // q * item + row % item for row in rows}
            return [queries, {i * item + j for i in items for j in range(item)}]
        case "block mix" | "block mix back":
            heads = {column // (step.columns // step.heads) for column in columns}
            places = {(i, j) for i in items for j in range(q)}
            if step.kind == "block mix":
                places = {divmod(row, q) for row in rows}
            read = {(i * step.heads + head) * q + j for i, j in places for head in heads}
            return [read, {i * q + j for i in items for j in range(q)}]
        case "divide by sums":
            read = {(row // q * step.heads + head) * q + row % q for row in rows for head in range(step.heads)}
            return [set(rows), read]
        case "mean pool gradient":
            return [items, items]
        case kind:
            raise ValueError(f"expected a kind of step, got {kind}")


def ranges(rows):
    return sum(row - 1 not in rows for row in rows)


def worst(step, batch, top):
    """The largest number of rows of each slot, and of ranges, over all tiles."""
    most, pieces = [], 0
    down, across = step.tile_rows, step.tile_columns or step.columns
    for row in range(0, step.rows, down):
        rows = range(row, min(row + down, step.rows))
        for column in range(0, step.columns, across):
            slots = opened(step, batch, top, rows, range(column, min(column + across, step.columns)))
            counts = [len(slot) for slot in slots]
            most = [max(pair) for pair in zip(most, counts)] if most else counts
            pieces = max(pieces, sum(map(ranges, slots)))
    return most, pieces


def random_step(kind, numbers, batch):
    """A small step and its window's pad above the image."""
    heads, length = numbers.randint(1, 4), numbers.randint(1, 40)
    columns = heads * numbers.randint(1, 20)
    sizes = {"tile_rows": numbers.choice([1, 2, 7, 16, 32]), "heads": heads}
    match kind:
        case "unfold gradient" | "max pool gradient":
            while True:
                height, width, kernel, stride = (numbers.randint(1, most) for most in (9, 9, 4, 5))
                top, bottom = (numbers.randrange(kernel) for _ in range(2))
                if top + height + bottom >= kernel:
                    break
            positions = (top + height + bottom - kernel) // stride + 1
            across = numbers.randint(1, 9)
            window = (positions, across, height, width, stride, kernel)
            item = height * width if kind == "max pool gradient" else positions * across
            return Step(kind, 3, 4, item, batch * height * width, 3, 4, window=window, **sizes), top
        case "block scores":
            return Step(kind, columns, 1, length, batch * heads * length, length, 4, **sizes), 0
        case "block mix" | "block mix back":
            sizes["tile_columns"] = numbers.choice([4, 32])
            return Step(kind, length, 1, heads * length, batch * length, columns, 4, **sizes), 0
        case "divide by sums":
            others = [(heads * length, length)]
            return Step(kind, columns, 4, length, batch * length, columns, 4, others=others, **sizes), 0
    return Step("mean pool gradient", columns, 4, 1, batch * length, columns, 4, lengths=True, **sizes), 0


KINDS = ("unfold gradient", "max pool gradient", "block scores", "block mix", "block mix back",
         "divide by sums", "mean pool gradient")


def check_tiles(count):
    """Compares formula and tiles of random steps of each kind. Some tile of a
    third of them has exactly as many rows as the formula."""
    numbers, exact = random.Random(0), dict.fromkeys(KINDS, 0)
    for kind in KINDS:
        for _ in range(count):
            batch = numbers.randint(1, 5)
            step, top = random_step(kind, numbers, batch)
            entries, pieces = needs_of_training(step, *tile_sizes(step), batch)
            widths = {
                "block scores": [step.input_columns] * 2, "unfold gradient": [3],
                "block mix": [step.input_columns, step.columns], "max pool gradient": [3, 3],
                "block mix back": [step.input_columns, step.columns], "mean pool gradient": [step.columns, 1],
                "divide by sums": [step.columns, *(columns for _, columns in step.others)],
            }[kind]
            bounds = [entry // width for entry, width in zip(entries, widths, strict=True)]
            rows, found = worst(step, batch, top)
            fits = all(row <= bound for row, bound in zip(rows, bounds, strict=True))
            # 8 ranges are for slots that are read whole and the tile's own rows.
            what = f"{step}: rows {rows}, ranges {found} above {bounds}, {pieces}"
            assert fits and found + 1 <= pieces + 8, what
            exact[kind] += rows == bounds
        assert exact[kind] > count // 3, f"{kind}: the formula is seldom reached"
