"""Rebuilds the short training runs of test_vectors/training, value by value."""

import re
from dataclasses import dataclass, field
from math import isqrt

from blake3 import blake3

from .execute.training.samples import sample
from .program import digest
from .trace import Tensor
from .vectors import compute, parse

SEED = blake3(b"seed").digest()
PIXELS, SEQUENCE = 64, 16
# The tables of Relu's gate and of the sign, over the indices 0 to 255 of −128 to 127.
ABOVE = [int(x > 0) for x in range(-128, 128)]
SIGN = [(x > 0) - (x < 0) for x in range(-128, 128)]


def noise(label, rows, columns, half):
    """Rows of integers in −half..=half, from a label."""
    stream = blake3(label.encode()).digest(length=4 * rows * columns)
    words = (int.from_bytes(stream[i : i + 4], "little") for i in range(0, len(stream), 4))
    return [[next(words) % (2 * half + 1) - half for _ in range(columns)] for _ in range(rows)]


def moved(rows, offset):
    return [[x + offset for x in row] for row in rows]


def flat(rows):
    return [[x] for row in rows for x in row]


@dataclass
class Known:
    """What digests.txt says about a run; some digests are cut there."""

    rates: list
    dataset: str = ""
    initial: str = ""
    samples: list = field(default_factory=list)
    states: list = field(default_factory=list)
    logits: list = field(default_factory=list)


def read_digests(path):
    """The digests of tables, and what is known of each run, by name."""
    tables, runs, known = {}, {}, None
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"(.+), rates \[([\d, ]+)\]", line):
            known = runs[match[1]] = Known([int(rate) for rate in match[2].split(",")])
        elif match := re.fullmatch(r" +(\d+) samples \[([\d ]+)\] trace \w+ state (\w+) logits (\w+)", line):
            assert int(match[1]) == len(known.samples), "iterations in another order"
            known.samples.append([int(number) for number in match[2].split()])
            known.states.append(match[3])
            known.logits.append(match[4])
        elif match := re.fullmatch(r" +(dataset|initial) +(\w+)", line):
            setattr(known, match[1], match[2])
        elif match := re.fullmatch(r"(\w+) (\w{64})", line):
            tables[match[1]] = match[2]
    return tables, runs


def state_digest(tensors):
    return digest("train state", b"".join(tensor.root for tensor in tensors)).hex()


class Data:
    """The dataset of a run, and its batches."""

    def __init__(self, text):
        self.text = text
        if text:
            rows = moved(noise("text", 40, SEQUENCE + 1, 12), 12)
            self.tensors = [Tensor(4, [row[:-1] for row in rows]), Tensor(4, [row[1:] for row in rows])]
        else:
            pixels, labels = moved(noise("pixels", 96, PIXELS, 31), 31), moved(noise("labels", 96, 1, 4), 4)
            self.tensors = [Tensor(1, pixels), Tensor(4, labels)]
        self.rows = len(self.tensors[0].rows)

    def digest(self):
        """The digest of the dataset as digests.txt has it."""
        return digest("dataset", b"".join(tensor.root for tensor in self.tensors)).hex()

    def batch(self, samples, image):
        """The inputs of a batch. An image has a row for each pixel."""
        taken = [[tensor.rows[number] for number in samples] for tensor in self.tensors]
        if self.text:
            places = [[place] for _ in samples for place in range(SEQUENCE)]
            return [Tensor(4, rows) for rows in (flat(taken[0]), places, flat(taken[1]))]
        return [Tensor(1, flat(taken[0]) if image else taken[0]), Tensor(4, taken[1])]


@dataclass
class Run:
    """A run of the vectors, with its lines parsed."""

    lines: list
    roots: list  # of each iteration's values
    states: list  # values
    batch: list
    rate: int
    weights: list  # the names of those that are noise

    @classmethod
    def read(cls, run, tables, data, weights):
        first, *later = run["iterations"]
        lines = [parse(value["step"], tables) for value in first]
        *given, rate = (at for at, line in enumerate(lines) if line.kind == "input")
        states = len(given) - len(data)
        roots = [[value["root"] for value in first]] + later
        return cls(lines, roots, given[:states], given[states:], rate, weights)

    def next_states(self, values):
        """The values that continue the states: the last that an optimiser
        makes of each."""
        kinds = ("add", "second moment", "descend")
        last = {line.inputs[0]: at for at, line in enumerate(self.lines) if line.kind in kinds}
        return [values[last[state]] for state in self.states]

    def logits(self):
        (loss,) = (line for line in self.lines if line.kind == "cross entropy")
        return loss.inputs[0]

    def initial(self):
        """The first states: weights are noise of their names, and biases,
        momenta and second moments are 0."""
        states, weights = [], list(self.weights)
        for state in self.states:
            line = self.lines[state]
            trained = any(each.kind == "descend" and each.inputs[0] == state for each in self.lines)
            if trained and line.columns > 1:
                bound = isqrt((6 << 48) // line.columns)
                rows = noise(f"weights {weights.pop(0)}", line.rows, line.columns, bound)
            else:
                rows = [[0] * line.columns for _ in range(line.rows)]
            states.append(Tensor(line.type, rows))
        return states


def iterate(run, inputs, batch, t):
    """All values of an iteration, from its inputs by their numbers."""
    values = []
    for at, line in enumerate(run.lines):
        if line.kind == "input":
            values.append(inputs[at])
            continue
        read = [values[value] for value in line.inputs]
        values.append(compute(line, read, batch, at, SEED, t))
    return values


# The batch of each model, its weights in the order of its states, and whether
# an image's pixels are rows.
MODELS = {
    "mlp": (32, ["w0", "w1"], False),
    "cnn": (8, ["w0", "w1", "w2"], True),
    "transformer": (4, ["k0", "o0", "out", "pos", "q0", "tok", "u0", "v0", "w0"], False),
}


def read_run(run, tables):
    """A run, its dataset, its batch, and whether pixels are rows."""
    model = run["name"].split()[0]
    batch, weights, image = MODELS[model]
    data = Data(model == "transformer")
    return Run.read(run, tables, data.batch([0], image), weights), data, batch, image


def check_run(run, known, data, batch, image):
    """Compares every value of a run with its root, and the digests of states,
    samples and logits."""
    states = run.initial()
    same("dataset", data.digest(), known.dataset)
    same("initial states", state_digest(states), known.initial)
    assert len(run.roots) == len(known.rates) == len(known.samples)
    for t, roots in enumerate(run.roots):
        samples = [sample(SEED, t * batch + item, data.rows) for item in range(batch)]
        same(f"samples of iteration {t}", samples[: len(known.samples[t])], known.samples[t])
        inputs = dict(zip(run.states + run.batch, states + data.batch(samples, image), strict=True))
        inputs[run.rate] = Tensor(4, [[known.rates[t]]])
        values = iterate(run, inputs, batch, t)
        for at, (value, root) in enumerate(zip(values, roots, strict=True)):
            same(f"value {at} ({run.lines[at].kind}) of iteration {t}", value.root.hex(), root)
        states = run.next_states(values)
        # The file has the first bytes of these.
        same(f"states after iteration {t}", state_digest(states)[:32], known.states[t])
        same(f"logits of iteration {t}", values[run.logits()].root.hex()[:16], known.logits[t])


def same(what, ours, theirs):
    assert ours == theirs, f"{what}: {ours} here, {theirs} there"
