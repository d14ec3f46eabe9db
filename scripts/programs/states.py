"""The short runs as programs with state, which draw their own batches.

The vectors' runs take batches and rates as inputs. Here draw and gather make
them inside the program, as a real run needs it. States, logits and every other
value that both have must be the same.

Inputs are the states, seed, t, and the dataset: pixels and labels, or tokens
and the tokens that follow them. A program of text also takes each token's
place. Rates are a constant. Outputs are the states' next values, then logits.
"""

import struct

from . import training_run
from .audit import Grid, Rules, opened_tiles, receipt_digest
from .encode import encode
from .execute import run as execute
from .program import Constant, Form, Program, Step, decode, digest
from .runs import SEED, SEQUENCE, same, state_digest
from .trace import Tensor, trace_header
from .vectors import NAMES, fields

RULES = Rules(1 << 10, 1 << 10, 1 << 32, 64, 100, 8)
# Of training runs: their rules, iterations drawn, and iterations of a segment.
RUN_RULES = Rules(1 << 10, 1 << 10, 1 << 32, 2, 3, 1)
ITERATION_SAMPLES = 5
SEGMENT = 3


class Builder:
    """A program with one list of tensors for its constants."""

    def __init__(self):
        self.program, self.tensors = Program(), []

    def input(self, rows, columns, type, shared):
        self.program.inputs.append(Form((rows, False), (columns, False), type, shared))
        return len(self.program.inputs) - 1

    def constant(self, tensor):
        """The number of a constant. The same tensor is one constant."""
        for index, known in enumerate(self.tensors):
            if (known.root, known.type) == (tensor.root, tensor.type):
                return index
        self.tensors.append(tensor)
        extent = (len(tensor.rows), tensor.columns, tensor.type)
        name = f"constant {len(self.tensors)}"
        self.program.constants.append(Constant(*extent, tensor.root, name))
        return len(self.tensors) - 1

    def step(self, kind, fields, inputs):
        names = [name for name in ("table", "affine") if fields.get(name) is not None]
        self.program.steps.append(Step(kind, fields, inputs, kind, names))
        return len(self.program.inputs) + len(self.program.steps) - 1


def batch_of(builder, run, data, seed, t, image):
    """The steps that make a batch: values for the inputs of the run's batch."""
    sources = [builder.input(len(each.rows), each.columns, each.type, True) for each in data.tensors]
    places = builder.input(SEQUENCE, 1, 4, False) if data.text else None

    def steps():
        ids = builder.step("draw", {"n": data.rows}, [seed, t])
        taken = [builder.step("gather", {"table": None}, [source, ids]) for source in sources]
        if data.text or image:
            shape = {"rows": (data.tensors[0].columns, False), "columns": (1, False)}
            taken[0] = builder.step("reshape", shape, [taken[0]])
        if data.text:
            return [taken[0], places, builder.step("reshape", shape, [taken[1]])]
        return taken

    return steps


def program_of(run, known, data, batch, image):
    """A run as a program, with its constants' tensors, and the value that each
    of the run's values is."""
    builder = Builder()
    states = [run.lines[state] for state in run.states]
    for line in states:
        builder.input(line.rows, line.columns, line.type, True)
    seed, t = builder.input(8, 1, 4, True), builder.input(1, 1, 4, True)
    steps = batch_of(builder, run, data, seed, t, image)
    values = dict(zip(run.states, range(len(states))))
    values |= dict(zip(run.batch, steps(), strict=True))
    rates = builder.constant(Tensor(4, [[rate] for rate in known.rates]))
    values[run.rate] = builder.step("gather", {"table": rates}, [t])

    for at, line in enumerate(run.lines):
        if at in values:
            continue
        inputs = [values[value] for value in line.inputs]
        named, constants = fields(line, batch, run.lines[line.inputs[0]].columns)
        for name in ("table", "affine"):
            if named.get(name) is not None:
                named[name] = builder.constant(constants[0])
        if named.get("stochastic"):
            inputs, named = inputs + [seed, t], named | {"stream": at}
        values[at] = builder.step(NAMES.get(line.kind, line.kind), named, inputs)

    builder.program.states = len(states)
    builder.program.outputs = [values[at] for at in run.next_states(range(len(run.lines)))]
    builder.program.outputs.append(values[run.logits()])
    return builder.program, builder.tensors, values


def check_program(run, known, data, batch, image):
    """Runs a run's program iteration by iteration. Compares every value that
    the vectors have. Returns the program with its traces and audits, as
    programs.json has them, and what a training run of it commits to, as
    commitments.json has it. A program of text is no training program (§19),
    because its places are no tensor of the dataset."""
    program, constants, values = program_of(run, known, data, batch, image)
    encoded = encode(program)
    program = decode(encoded)
    states, iterations, kept = run.initial(), [], []
    seed = Tensor(4, [[word] for word in struct.unpack("<8i", SEED)])
    places = [Tensor(4, [[place] for _ in range(batch) for place in range(SEQUENCE)])]
    for iteration, roots in enumerate(run.roots):
        inputs = states + [seed, Tensor(4, [[iteration]])] + data.tensors + places * data.text
        made = execute(program, constants, inputs, batch, 1)
        for at, root in enumerate(roots):
            same(f"value {at} of iteration {iteration} of the program", made[values[at]].root.hex(), root)
        states = [made[output] for output in program.outputs[: program.states]]
        same(f"states after iteration {iteration} of the program",
             state_digest(states)[:32], known.states[iteration])
        iterations.append(traced(program, batch, made))
        kept.append(made)
    as_program = {
        "batch": batch,
        "rules": vars(RULES),
        "program": encoded.hex(),
        "architecture_id": program.architecture_id.hex(),
        "program_id": program.program_id.hex(),
        "constants": [{"type": tensor.type, "rows": tensor.rows} for tensor in constants],
        "iterations": iterations,
    }
    return as_program, None if data.text else committed(program, batch, data, kept)


def committed(program, batch, data, iterations):
    """What a training run commits to, with a job, beacons and rules of its own:
    digests, the places and tiles of audits, and of every iteration the header and
    roots. `iterations` are the values of each."""
    count, job, beacon = program.states, b"\x01" * 32, b"\x02" * 32
    states = [[value.root for value in iterations[0][:count]]]
    states += [[made[output].root for output in program.outputs[:count]] for made in iterations]
    of_states = [training_run.state_digest(roots) for roots in states]
    headers = [trace_header(program, batch, 1, made) for made in iterations]
    roots = [tensor.root for tensor in data.tensors]
    dataset = training_run.dataset_digest(data.rows, roots)
    rules = training_run.rules_digest(RUN_RULES, ITERATION_SAMPLES)
    run = training_run.Run(program.program_id, job, dataset, SEED, batch, 1, SEGMENT, rules,
                           of_states, [digest("trace", header) for header in headers])
    pairs = list(zip(iterations[0], [None] * len(program.inputs) + program.steps, strict=True))
    segments = []
    for posted, root, length in run.segments():
        draws = training_run.audited(root, length, beacon, ITERATION_SAMPLES, RUN_RULES, pairs,
                                     program.outputs)
        named = [f"{place}: " + " ".join(f"{value}/{tile}" for value, tile in tiles)
                 for place, tiles in draws]
        segments.append({"segment": posted.hex(), "root": root.hex(), "audit": named})
    # The draw is the first step.
    draw = len(program.inputs)
    assert program.steps[0].kind == "draw"
    for t, made in enumerate(iterations):
        assert made[count + 1].root == training_run.column([t])
    receipt = run.receipt(sum(value.macs for value in iterations[0]), b"\x03" * 32)
    return {
        "rules": vars(RUN_RULES) | {"iteration_samples": ITERATION_SAMPLES},
        "samples": data.rows,
        "dataset": [root.hex() for root in roots],
        "beacon": beacon.hex(),
        "seed of beacon": training_run.seed_of(
            job, dataset, program.program_id, of_states[0], beacon).hex(),
        "parameters": run.parameters.hex(),
        "iterations": [
            {"header": header.hex(), "states": [root.hex() for root in before],
             "outputs": [made[output].root.hex() for output in program.outputs],
             "samples": [row[0] for row in made[draw].rows],
             "claim": claim.hex(), "leaf": leaf.hex()}
            for header, before, made, claim, leaf
            in zip(headers, states, iterations, run.claims, run.leaves)
        ],
        "segments": segments,
        "run": run.digest().hex(),
        "receipt": receipt.hex(),
        "receipt digest": digest("train receipt", receipt).hex(),
        "export": digest("train export", run.digest() + bytes(32) + program.program_id).hex(),
    }


def traced(program, batch, values):
    """The trace root of an iteration, a receipt's digest, and the tiles that an
    audit opens, all with job, prover and beacon of zeros and the rules RULES."""
    header = trace_header(program, batch, 1, values)
    root = digest("trace", header)
    pairs = list(zip(values, [None] * len(program.inputs) + program.steps, strict=True))
    receipt = receipt_digest(program, header, root, pairs, bytes(32), bytes(32), RULES)
    tiles = opened_tiles(RULES, pairs, program.outputs, root, receipt, bytes(32))
    for value, tile in tiles:
        step = program.steps[value - len(program.inputs)]
        grid = Grid(values[value], step, [values[index] for index in step.inputs], True)
        assert tile < grid.tiles, f"tile {tile} of value {value}, which has {grid.tiles}"
    named = " ".join(f"{value}/{tile}" for value, tile in tiles)
    return {"trace": root.hex(), "receipt": receipt.hex(), "tiles": named}
