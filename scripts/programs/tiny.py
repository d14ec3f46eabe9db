"""The tiny decoder of test_vectors/decoder/tiny.txt, made of integers alone.

Its constants are drawn: `entries(tag, n, low, high)` takes the u32 words w of
BLAKE3 in derive-key mode, of the material `tag`, to low + ⌊w·(high − low + 1)/2^32⌋.
"""

import struct

from blake3 import blake3

from .execute import computed
from .program import Step
from .trace import Tensor

LAYERS, WIDTH, INNER, HEADS, KEY_HEADS, HEAD, WORDS, PLACES, TOKENS = 2, 48, 96, 6, 2, 8, 200, 64, 40
FULL = {1: (1, -64, 63), 2: (2, -(1 << 15), (1 << 15) - 1), 4: (4, -(1 << 31), (1 << 31) - 1)}
SYMMETRIC = (1, -63, 63)


def entries(tag, count, low, high):
    hash = blake3(tag.encode(), derive_key_context="poai-1 tiny decoder")
    words = struct.unpack(f"<{count}I", hash.digest(length=4 * count))
    return [low + (word * (high - low + 1) >> 32) for word in words]


def matrix(type, flat, columns):
    return Tensor(type, [flat[at : at + columns] for at in range(0, len(flat), columns)])


def column(type, flat):
    return matrix(type, flat, 1)


def value_line(name, tensor):
    """A line of tiny.txt: the first 8 bytes of a hash of the entries as i32.
    The file has values of several heads token by token."""
    heads = len(tensor.rows) // TOKENS
    rows = [tensor.rows[head * TOKENS + i] for i in range(TOKENS) for head in range(heads)]
    flat = [entry for row in rows for entry in row]
    hash = blake3(struct.pack(f"<{len(flat)}i", *flat)).hexdigest()[:16]
    return f"{name:<18} {hash} {min(flat):>8} {max(flat):>8}"


class Tiny:
    """The values of the tiny decoder, in the order of tiny.txt."""

    def __init__(self, octave, sampling):
        self.octave, self.sampling, self.values = octave, sampling, {}

    def step(self, name, kind, inputs, fields=None, constants=None):
        """Computes a step. `constants` are the tensors of the fields that are
        constants."""
        constants = constants or {}
        numbers = dict(zip(constants, range(len(constants))))
        named = Step(kind, {**(fields or {}), **numbers}, [], name, list(constants))
        value = computed(named, list(constants.values()), inputs, 1, TOKENS)
        self.values[name] = value
        return value

    def norm(self, name, x):
        gamma, beta = entries("gamma", WIDTH, 2000, 6000), entries("beta", WIDTH, -50, 50)
        affine = Tensor(4, [list(pair) for pair in zip(gamma, beta)])
        return self.step(name, "wide rms norm", [x], {"epsilon": 168, "shift": 14}, {"affine": affine})

    def operand(self, name, x):
        scale = self.step(f"{name} scale", "row scale", [x])
        return scale, self.step(f"{name} operand", "quantise", [x, scale])

    def product(self, name, operand, n, last, clamp):
        scale, x = operand
        weights = matrix(1, entries(name, n * x.columns, -63, 63), x.columns)
        channels = zip(entries(f"{name} b0", n, -9, 9), entries(f"{name} M", n, 1 << 26, 1 << 27),
                       entries(f"{name} b1", n, -99, 99))
        channels = Tensor(4, [list(channel) for channel in channels])
        fields = {"s0": 14, "s1": last, "s2": 6, "clamp": clamp}
        return self.step(name, "linear", [x, scale], fields, {"weights": weights, "requantise": channels})

    def turned(self, name, x, heads):
        turns = matrix(2, entries("turns", PLACES * HEAD, -16384, 16384), HEAD)
        x = self.step(f"{name} turned", "rotary", [x], {"heads": heads, "shift": 14}, {"turns": turns})
        level = column(4, entries("level", WIDTH, 5000, 6000)[: heads * HEAD])
        fields = {"block": HEAD, "shift": 14, "clamp": FULL[2]}
        return self.step(f"{name} mixed", "mix", [x], fields, {"scale": level})

    def layer(self, at, bus):
        def name(text):
            return f"{at} {text}"

        x = self.operand(name("norm1"), self.norm(name("norm1"), bus))
        q = self.turned(name("q"), self.product(name("q"), x, WIDTH, 19, FULL[2]), HEADS)
        q = self.operand(name("q"), q)
        k = self.turned(name("k"), self.product(name("k"), x, KEY_HEADS * HEAD, 19, FULL[2]), KEY_HEADS)
        k = self.operand(name("k"), k)
        v = self.product(name("v"), x, KEY_HEADS * HEAD, 28, SYMMETRIC)
        v = Tensor(1, [list(row) for row in zip(*v.rows)])
        fields = {"heads": HEADS, "key_heads": KEY_HEADS, "window": 0,
                  "s0": 4, "s1": 15, "s2": 40, "s3": 24}
        context = self.step(
            name("context"), "grouped attention", [q[1], q[0], k[1], k[0], v], fields,
            {"alpha": column(4, entries(name("alpha"), HEADS, 1 << 28, 1 << 29)),
             "table": column(2, self.octave),
             "scale": column(4, entries(name("context"), WIDTH, 1 << 15, 1 << 16))})
        o = self.product(name("o"), self.operand(name("context"), context), WIDTH, 19, FULL[4])
        middle = self.add(name("middle"), bus, o)
        x = self.operand(name("norm2"), self.norm(name("norm2"), middle))
        gate = self.product(name("gate"), x, INNER, 19, FULL[2])
        up = self.product(name("up"), x, INNER, 19, FULL[2])
        table = column(2, entries(name("silu"), 257, -300, 16000))
        silu = self.step(name("silu"), "curve", [gate], {"shift": 7, "pass_above": True}, {"table": table})
        inner = self.step(name("a"), "mul", [silu, up], {"shift": 9, "clamp": FULL[4]})
        scale = column(4, entries(name("mix"), INNER, 1 << 16, 1 << 17))
        fields = {"block": 32, "shift": 24, "clamp": FULL[2]}
        mixed = self.step(name("mixed"), "mix", [inner], fields, {"scale": scale})
        down = self.product(name("down"), self.operand(name("mixed"), mixed), WIDTH, 19, FULL[4])
        return self.add(name("out"), middle, down)

    def add(self, name, a, b):
        fields = {"m0": 1, "m1": 1, "shift": 0, "clamp": FULL[4]}
        return self.step(name, "add", [a, b], fields)

    def run(self):
        """Computes all values, and returns the logits."""
        ids = column(4, entries("ids", TOKENS, 0, WORDS - 1))
        words = matrix(1, entries("words", WORDS * WIDTH, -63, 63), WIDTH)
        scales = column(4, entries("scales", WORDS, 1 << 23, 1 << 24))
        x = self.step("embed", "embed", [ids], {"shift": 16}, {"table": words, "scales": scales})
        bus = self.step("bus", "requantise", [x], {"m": 3, "shift": 1, "clamp": FULL[4]})
        for at in range(LAYERS):
            bus = self.layer(at, bus)
        operand = self.operand("norm", self.norm("norm", bus))
        logits = self.product("head", operand, WORDS, 19, FULL[2])
        self.values["logits"] = self.values.pop("head")
        return logits

    def choices(self, logits, kept):
        """The words that all places choose."""
        seed = struct.unpack("<8i", bytes(range(32)))
        request = Tensor(4, [[0, 1 << 20, kept, *seed]])
        table = {"table": column(4, self.sampling)}
        chosen = self.step("choices", "sample", [logits, request], {"shift": 18}, table)
        del self.values["choices"]
        return [row[0] for row in chosen.rows]
