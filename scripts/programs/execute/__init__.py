"""Every step of §12, one function each, and the run of a program."""

from . import attention, decoder, entries, moves, products, rows, training, windows
from ..program import ANSWERS, TOKENS
from .args import FUNCTIONS, Args, extent

# Importing the families fills FUNCTIONS.
FAMILIES = (attention, decoder, entries, moves, products, rows, training, windows)


def computed(step, constants, inputs, batch, sequence, answers=0):
    """The output of one step, from its inputs and all constants of the program."""
    named = {name: constants[index] for name, index in step.fields.items()
             if name in step.constants and index is not None}
    args = Args(step.fields, {name: tensor.rows for name, tensor in named.items()},
                {name: tensor.type for name, tensor in named.items()},
                inputs, batch, sequence, answers)
    try:
        return FUNCTIONS[step.kind](args)
    except AssertionError as error:
        raise AssertionError(f"step {step.name} ({step.kind}): {error}") from error


def run(program, constants, inputs, batch, sequence, answers=0):
    """All values of a run, inputs first."""
    assert sequence == 1 or program.grows(TOKENS), "a sequence without a form that is per token"
    assert (answers > 0) == program.grows(ANSWERS), "answers other than the forms take"
    for constant, tensor in zip(program.constants, constants, strict=True):
        shape = (len(tensor.rows), tensor.columns, tensor.type)
        assert shape == (constant.rows, constant.columns, constant.type), constant.name
        assert tensor.root == constant.root, f"the root of {constant.name}"
    for form, tensor in zip(program.inputs, inputs, strict=True):
        items = 1 if form.shared else batch
        shape = (items * extent(form.rows, sequence, answers), extent(form.columns, sequence, answers), form.type)
        assert shape == (len(tensor.rows), tensor.columns, tensor.type), "an input's shape"

    values = list(inputs)
    for step in program.steps:
        read = [values[index] for index in step.inputs]
        values.append(computed(step, constants, read, batch, sequence, answers))
    for state, output in zip(range(program.states), program.outputs or []):
        shapes = {(len(value.rows), value.columns, value.type) for value in (values[state], values[output])}
        assert len(shapes) == 1, f"another form of state {state}: {shapes}"
    assert sum(value.macs for value in values) < 1 << 64
    return values
