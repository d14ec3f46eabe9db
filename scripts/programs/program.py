"""The canonical encoding of programs and its two digests (§11)."""

import struct
from dataclasses import dataclass, field

from blake3 import blake3

MAGIC = b"poai program 1\n"

# The fields of each tag, in order. Structure: a constant, u a u32, f a flag, d
# a dimension, w a window. Numbers: s a shift, n an i32. A clamp c is a type in
# the structure and two numbers.
STEPS = {
    1: ("linear", "weights:k requantise:k s0:s s1:s s2:s clamp:c"),
    2: ("unfold", "window:w"),
    3: ("add", "m0:n m1:n shift:s clamp:c"),
    4: ("requantise", "m:n shift:s clamp:c"),
    5: ("relu", ""),
    6: ("table", "table:k shift:s pass_above:f"),
    7: ("max pool", "window:w"),
    8: ("average pool", "window:w"),
    9: ("softmax", "table:k m:n shift:s one:n clamp:c"),
    10: ("normalise", "affine:k centre:f shift:s"),
    11: ("embed", "table:k scales:k shift:s"),
    12: ("add rows", "table:k"),
    13: ("attention weights", "heads:u alpha:k shift:s table:k causal:f"),
    14: ("attention context", "heads:u scale:k s0:s s1:s"),
    15: ("transpose", ""),
    16: ("reshape", "rows:d columns:d"),
    17: ("row scale", ""),
    18: ("quantise", ""),
    19: ("mean pool", ""),
    20: ("L2 normalise", ""),
    21: ("scale columns", "scale:k shift:s clamp:c"),
    22: ("mul", "shift:s clamp:c"),
    23: ("curve", "table:k shift:s pass_above:f"),
    24: ("arrange", "index:k"),
    25: ("group unfold", "window:w dilation_down:u dilation_right:u groups:u fill:n"),
    26: ("group linear", "weights:k requantise:k groups:u s0:s s1:s s2:s clamp:c"),
    27: ("product", "blocks:u shift:s clamp:c"),
}


def digest(label, material):
    return blake3(material, derive_key_context="poai-1 " + label).digest()


class Bytes:
    """Bytes that are read from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), "the encoding is too short"
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return struct.unpack("<I", self.take(4))[0]

    def i32(self):
        return struct.unpack("<i", self.take(4))[0]

    def flag(self):
        value = self.u8()
        assert value in (0, 1), f"expected a flag, got {value}"
        return bool(value)

    def type(self):
        value = self.u8()
        assert value in (1, 2, 4), f"expected a type, got {value}"
        return value

    def dim(self):
        return (self.u32(), self.flag())

    def name(self):
        return self.take(self.u8()).decode("utf-8")

    def end(self, what):
        assert self.at == len(self.data), f"expected the end of {what}, got more bytes"


@dataclass
class Step:
    kind: str
    fields: dict
    inputs: list
    name: str = ""


@dataclass
class Constant:
    rows: int
    columns: int
    type: int
    root: bytes = b""
    name: str = ""


@dataclass
class Program:
    inputs: list = field(default_factory=list)  # (rows, columns, type)
    constants: list = field(default_factory=list)
    steps: list = field(default_factory=list)
    architecture_id: bytes = b""
    program_id: bytes = b""


def read_field(kind, structure, numbers):
    if kind in "ku":
        return structure.u32()
    if kind == "f":
        return structure.flag()
    if kind == "d":
        return structure.dim()
    if kind == "w":
        return Window(*(structure.u32() for _ in range(10)))
    if kind == "s":
        shift = numbers.u8()
        assert shift <= 62, f"expected a shift of at most 62, got {shift}"
        return shift
    if kind == "n":
        return numbers.i32()
    assert kind == "c"
    return (structure.type(), numbers.i32(), numbers.i32())


@dataclass
class Window:
    """An image, a kernel, its strides, and pads in the order of ONNX."""

    height: int
    width: int
    kernel_height: int
    kernel_width: int
    stride_down: int
    stride_right: int
    top: int
    left: int
    bottom: int
    right: int

    def size(self):
        """Rows and columns of window positions."""
        down = self.top + self.height + self.bottom - self.kernel_height
        right = self.left + self.width + self.right - self.kernel_width
        return down // self.stride_down + 1, right // self.stride_right + 1

    def positions(self, dilation=(1, 1)):
        """For each position, the pixels under the kernel, of those that it
        covers every dilation-th down and right; None outside."""
        down, right = self.size()
        for y in range(down):
            for x in range(right):
                yield [self.pixel(y, x, j, i)
                       for j in range(0, self.kernel_height, dilation[0])
                       for i in range(0, self.kernel_width, dilation[1])]

    def pixel(self, y, x, j, i):
        row = y * self.stride_down + j - self.top
        column = x * self.stride_right + i - self.left
        inside = 0 <= row < self.height and 0 <= column < self.width
        return row * self.width + column if inside else None


def decode(data):
    """The program of canonical bytes, with its ids."""
    whole = Bytes(data)
    assert whole.take(len(MAGIC)) == MAGIC, "expected the magic of a program, got other bytes"
    sizes = whole.u32(), whole.u32()
    structure_bytes, numbers_bytes = (whole.take(size) for size in sizes)
    structure, numbers = Bytes(structure_bytes), Bytes(numbers_bytes)

    program = Program()
    for _ in range(structure.u8()):
        program.inputs.append((structure.dim(), structure.dim(), structure.type()))
    for _ in range(structure.u32()):
        program.constants.append(Constant(structure.u32(), structure.u32(), structure.type()))
    for index in range(structure.u32()):
        kind, layout = STEPS[structure.u8()]
        pairs = (entry.split(":") for entry in layout.split())
        fields = {name: read_field(code, structure, numbers) for name, code in pairs}
        inputs = [structure.u32() for _ in range(structure.u8())]
        assert len(inputs) <= 16, f"expected at most 16 inputs, got {len(inputs)}"
        assert all(value < len(program.inputs) + index for value in inputs), "expected an earlier value, got a later one"
        program.steps.append(Step(kind, fields, inputs))
    structure.end("the structure")
    numbers.end("the numbers")
    for constant in program.constants:
        constant.root = whole.take(32)
    for named in program.constants + program.steps:
        named.name = whole.name()
    whole.end("the program")

    assert 1 <= len(program.inputs) <= 16 and 1 <= len(program.steps) <= 1 << 16
    assert len(program.constants) <= 1 << 16
    program.architecture_id = digest("architecture", structure_bytes)
    bound = b"".join(
        constant.root + struct.pack("<IIB", constant.rows, constant.columns, constant.type)
        for constant in program.constants)
    program.program_id = digest("program", program.architecture_id + numbers_bytes + bound)
    return program
