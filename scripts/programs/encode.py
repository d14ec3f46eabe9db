"""The canonical bytes of a program (§11): the inverse of `program.decode`."""

import struct
from dataclasses import astuple

from .program import FLAGS, MAGIC, STEPS

FLAG_OF = {per: flag for flag, per in FLAGS.items()}
TAGS = {kind: tag for tag, (kind, _) in STEPS.items()}


def u32(*values):
    return struct.pack(f"<{len(values)}I", *values)


def field_bytes(code, value):
    """The structure and the numbers of one field."""
    match code:
        case "k" | "u":
            return u32(value), b""
        case "o":
            return (b"\0" if value is None else b"\1" + u32(value)), b""
        case "f":
            return bytes([value]), b""
        case "d":
            return u32(value[0]) + bytes([value[1]]), b""
        case "w":
            return u32(*astuple(value)), b""
        case "g":
            return bytes([len(value)] + [int(sign > 0) for sign in value]), b""
        case "s":
            return b"", bytes([value])
        case "n":
            return b"", struct.pack("<i", value)
        case "c":
            return bytes([value[0]]), struct.pack("<ii", *value[1:])
    raise ValueError(f"expected the code of a field, got {code}")


def encode(program):
    count = len(program.inputs)
    structure = bytes([count]) if count <= 16 else b"\0" + u32(count)
    numbers = b""
    for form in program.inputs:
        (rows, rows_per), (columns, columns_per) = form.rows, form.columns
        flags = FLAG_OF[rows_per] + 2 * form.shared
        structure += u32(rows) + bytes([flags]) + u32(columns) + bytes([columns_per, form.type])
    structure += u32(len(program.constants))
    for constant in program.constants:
        structure += u32(constant.rows, constant.columns) + bytes([constant.type])
    structure += u32(len(program.steps))
    for step in program.steps:
        tag = TAGS[step.kind]
        structure += bytes([tag])
        for entry in STEPS[tag][1].split():
            name, code = entry.split(":")
            more, numeric = field_bytes(code, step.fields[name])
            structure, numbers = structure + more, numbers + numeric
        structure += bytes([len(step.inputs)]) + u32(*step.inputs)
    if program.outputs is not None:
        structure += u32(program.states, len(program.outputs), *program.outputs)
    roots = b"".join(constant.root for constant in program.constants)
    names = [each.name.encode() for each in program.constants + program.steps]
    names = b"".join(bytes([len(name)]) + name for name in names)
    return MAGIC + u32(len(structure), len(numbers)) + structure + numbers + roots + names
