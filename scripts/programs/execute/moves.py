"""Steps that look entries up or move them."""

from ..numbers import NoOutput, rsh, sat16
from ..trace import Tensor
from .args import extent, step


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


@step("transpose")
def transpose(a):
    return Tensor(a.x.type, [list(column) for item in a.items(a.x) for column in zip(*item)])


@step("reshape")
def reshape(a):
    rows, columns = (extent(dim, a.sequence, a.answers) for dim in (a.rows, a.columns))
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
