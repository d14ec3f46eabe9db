"""The canonical encoding of programs and its two digests (§11)."""

import struct
from dataclasses import dataclass, field

from blake3 import blake3

from .axes import batch_axes

MAGIC = b"poai program 1\n"

# The fields of each tag, in order. Structure: k a constant, o a flag and the
# constant if it is set, u a u32, f a flag, d a dimension, w a window, g signs.
# Numbers: s a shift, n an i32. A clamp c is a type in the structure and two
# numbers.
BLOCKS = "heads:u signs:g offset:n m:n shift:n clamp:c"

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
    28: ("relative attention weights", "heads:u alpha:k shift:s table:k causal:f beta:k"),
    29: ("scaled product", "signs:g bias:f shift:n bias_shift:s clamp:c"),
    30: ("transpose by tiles", ""),
    31: ("exponent", "per_row:f"),
    32: ("rescale", "signs:g stochastic:f stream:u m:n shift:n clamp:c"),
    33: ("row sum", ""),
    34: ("gate", "table:k index_shift:s shift:s clamp:c"),
    35: ("cross entropy", "table:k m:n shift:s fraction:s"),
    36: ("normalise gradient", "centre:f shift:s clamp:c"),
    37: ("gather", "table:o"),
    38: ("scatter add", "rows:u"),
    39: ("unfold gradient", "window:w"),
    40: ("max pool gradient", "window:w"),
    41: ("block scores", BLOCKS),
    42: ("block mix", BLOCKS),
    43: ("block mix back", BLOCKS),
    44: ("exponentials", "table:k causal:f m:n shift:s"),
    45: ("divide by sums", "shift:s clamp:c"),
    46: ("softmax gradient", ""),
    47: ("descend", "shift:n decay_shift:s clamp:c"),
    48: ("second moment", "k:s"),
    49: ("ratio", "clamp:c"),
    50: ("mean pool gradient", "rows:d"),
    51: ("draw", "n:u"),
    52: ("next exponent", ""),
    53: ("wide rms norm", "affine:k epsilon:n shift:s"),
    54: ("rotary", "turns:k heads:u shift:s"),
    55: ("mix", "scale:k block:u shift:s clamp:c"),
    56: ("grouped attention",
         "heads:u key_heads:u window:u alpha:k table:k scale:k s0:s s1:s s2:s s3:s"),
    57: ("tail", ""),
    58: ("sample", "table:k shift:s"),
    59: ("limb", "low:f"),
}


# What a dimension counts: nothing but itself, tokens, answers.
PER = FIXED, TOKENS, ANSWERS = 0, 1, 2
# The flags of the rows of an input.
FLAGS = {0: FIXED, 1: TOKENS, 4: ANSWERS}


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
        """A number, and 1 if it is for every token or 2 if for every answer."""
        units, per = self.u32(), self.u8()
        assert per in PER, f"expected 0, 1 or 2 for a dimension, got {per}"
        return (units, per)

    def signs(self):
        signs = [1 if self.flag() else -1 for _ in range(self.u8())]
        assert len(signs) <= 4, f"expected at most 4 signs, got {len(signs)}"
        return signs

    def name(self):
        return self.take(self.u8()).decode("utf-8")

    def rest(self):
        return len(self.data) - self.at

    def end(self, what):
        assert self.rest() == 0, f"expected the end of {what}, got more bytes"


@dataclass
class Step:
    kind: str
    fields: dict
    inputs: list
    name: str = ""
    constants: list = field(default_factory=list)  # the names of the fields that are constants


@dataclass
class Form:
    """An input: two dimensions, a type, and whether the batch leaves it as it is."""

    rows: tuple
    columns: tuple
    type: int
    shared: bool = False


@dataclass
class Constant:
    rows: int
    columns: int
    type: int
    root: bytes = b""
    name: str = ""


@dataclass
class Program:
    inputs: list = field(default_factory=list)
    constants: list = field(default_factory=list)
    steps: list = field(default_factory=list)
    architecture_id: bytes = b""
    program_id: bytes = b""
    states: int = 0
    outputs: list = None  # of values; None for a program without a list

    def grows(self, per):
        """Whether a form is per token, or per answer. Forms of steps follow
        from those of inputs, save two."""
        dims = [dim for form in self.inputs for dim in (form.rows, form.columns)]
        dims += [step.fields["rows"] for step in self.steps if step.kind == "mean pool gradient"]
        tails = per == ANSWERS and any(step.kind == "tail" for step in self.steps)
        return tails or any(own == per for _, own in dims)


def read_field(kind, structure, numbers):
    if kind in "ku":
        return structure.u32()
    if kind == "o":
        return structure.u32() if structure.flag() else None
    if kind == "g":
        return structure.signs()
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


def read_forms(structure):
    """The forms of the inputs. A count above 16 follows a zero."""
    count = structure.u8()
    if count == 0:
        count = structure.u32()
        assert 17 <= count <= 4096, f"expected 17 to 4096 inputs, got {count}"
    forms = []
    for _ in range(count):
        rows, flags = structure.u32(), structure.u8()
        assert flags & ~2 in FLAGS, f"expected flags of rows, got {flags}"
        columns = structure.dim()
        forms.append(Form((rows, FLAGS[flags & ~2]), columns, structure.type(), bool(flags & 2)))
    return forms


def read_steps(program, structure, numbers):
    for index in range(structure.u32()):
        kind, layout = STEPS[structure.u8()]
        codes = dict(entry.split(":") for entry in layout.split())
        fields = {name: read_field(code, structure, numbers) for name, code in codes.items()}
        inputs = [structure.u32() for _ in range(structure.u8())]
        assert len(inputs) <= 16, f"expected at most 16 inputs, got {len(inputs)}"
        earlier = all(value < len(program.inputs) + index for value in inputs)
        assert earlier, "expected an earlier value, got a later one"
        constants = [name for name, code in codes.items() if code in "ko"]
        program.steps.append(Step(kind, fields, inputs, constants=constants))


def read_outputs(program, structure):
    """The list of outputs, if there is one."""
    inputs, values = len(program.inputs), len(program.inputs) + len(program.steps)
    if structure.rest() == 0:
        assert inputs <= 16, f"expected a list of outputs with {inputs} inputs, got none"
        return
    program.states, count = structure.u32(), structure.u32()
    assert 1 <= count <= 4096, f"expected 1 to 4096 outputs, got {count}"
    assert program.states <= min(count, inputs), "expected an input and an output a state, got fewer"
    program.outputs = [structure.u32() for _ in range(count)]
    assert len(set(program.outputs)) == count, "expected distinct outputs, got one twice"
    made = all(inputs <= value < values for value in program.outputs)
    assert made, "expected outputs that steps make, got others"
    alone = inputs <= 16 and program.states == 0 and program.outputs == [values - 1]
    assert not alone, "expected no list of the last value alone, got one"


def check_use(program):
    """Checks that all values and constants are read or are outputs."""
    values = len(program.inputs) + len(program.steps)
    used = {value for step in program.steps for value in step.inputs}
    used.update(program.outputs or [values - 1])
    assert len(used) == values, "expected values that are read or are outputs, got another"
    named = {step.fields[name] for step in program.steps for name in step.constants}
    constants = set(range(len(program.constants)))
    assert named - {None} == constants, "expected every constant to be read, got one that is not"
    streams = [step.fields["stream"] for step in program.steps
               if step.kind == "rescale" and step.fields["stochastic"]]
    assert len(set(streams)) == len(streams), "expected distinct streams, got one twice"


def decode(data):
    """The program of canonical bytes, with its ids."""
    whole = Bytes(data)
    assert whole.take(len(MAGIC)) == MAGIC, "expected the magic of a program, got other bytes"
    sizes = whole.u32(), whole.u32()
    structure_bytes, numbers_bytes = (whole.take(size) for size in sizes)
    structure, numbers = Bytes(structure_bytes), Bytes(numbers_bytes)

    program = Program(inputs=read_forms(structure))
    for _ in range(structure.u32()):
        program.constants.append(Constant(structure.u32(), structure.u32(), structure.type()))
    read_steps(program, structure, numbers)
    read_outputs(program, structure)
    structure.end("the structure")
    numbers.end("the numbers")
    for constant in program.constants:
        constant.root = whole.take(32)
    for named in program.constants + program.steps:
        named.name = whole.name()
    whole.end("the program")

    assert program.inputs and 1 <= len(program.steps) <= 1 << 16
    assert len(program.constants) <= 1 << 16
    check_use(program)
    batch_axes(program)
    program.architecture_id = digest("architecture", structure_bytes)
    bound = b"".join(
        constant.root + struct.pack("<IIB", constant.rows, constant.columns, constant.type)
        for constant in program.constants)
    program.program_id = digest("program", program.architecture_id + numbers_bytes + bound)
    return program
