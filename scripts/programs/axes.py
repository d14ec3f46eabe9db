"""The batch axis of every value of a program, and the conditions on it (§12)."""

ROWS, COLUMNS, NONE = "rows", "columns", "none"

# Steps that compute each row from the same row of their inputs.
ALIKE = {
    "add", "requantise", "relu", "table", "scale columns", "row scale", "quantise", "softmax",
    "normalise", "L2 normalise", "mul", "curve", "linear", "gate", "softmax gradient",
    "second moment", "ratio", "normalise gradient", "cross entropy",
}


def exponents(step, axes, first, axis):
    """Checks that exponents are shared, or have the output's axis as rows, and
    that the inputs after them are shared."""
    count = len(step.fields["signs"])
    for given in axes[first : first + count]:
        assert given in (NONE, axis), f"an exponent of the axis {given}"
    assert all(given == NONE for given in axes[first + count :]), "a seed or t that is not shared"


def axis_of(step, axes):
    """The axis of a step's output, from those of its inputs."""
    kind = step.kind
    match kind:
        case "scaled product":
            left, right = axes[:2]
            if left == COLUMNS:
                assert right == COLUMNS, f"an operand of the axis {right} beside columns"
                axis = NONE
            else:
                assert right == NONE, "a right operand that is not shared"
                axis = left
            if step.fields["bias"]:
                assert axes[2] == NONE, "a bias that is not shared"
            exponents(step, axes, 2 + step.fields["bias"], axis)
            return axis
        case "transpose by tiles":
            return {ROWS: COLUMNS, COLUMNS: ROWS, NONE: NONE}[axes[0]]
        case "exponent":
            assert axes[0] != COLUMNS, "more than one column"
            return axes[0] if step.fields["per_row"] else NONE
        case "rescale":
            exponents(step, axes, 1, NONE if axes[0] == COLUMNS else axes[0])
            return axes[0]
        case "row sum" | "row scale" if axes[0] == COLUMNS:
            return NONE
        case "row sum":
            return axes[0]
        case "descend":
            assert axes[0] == axes[1] != COLUMNS and axes[2] == NONE, "axes of w, d and λ"
            return axes[0]
        case "gather":
            assert axes[-1] != COLUMNS and axes[:-1] in ([], [NONE]), "axes of a gather"
            return axes[-1]
        case "scatter add":
            assert axes == [ROWS, ROWS], "axes of x and ids"
            return NONE
        case "draw":
            assert axes == [NONE, NONE], "a seed or t that is not shared"
            return ROWS
        case "next exponent":
            assert axes[0] == NONE and axes[1] != COLUMNS, "axes of e and m"
            return NONE
        case "block scores" | "block mix" | "block mix back":
            exponents(step, axes, 2, ROWS)
            assert axes[:2] == [ROWS, ROWS], "operands without the axis rows"
            return ROWS
        case kind if kind in ALIKE:
            assert len(set(axes)) == 1 and axes[0] != COLUMNS, f"inputs of the axes {axes}"
            return axes[0]
    assert set(axes) == {ROWS}, f"inputs of the axes {axes}"
    return ROWS


def batch_axes(program):
    """The axis of every value. States and what continues them are shared."""
    axes = [NONE if form.shared else ROWS for form in program.inputs]
    for step in program.steps:
        try:
            axes.append(axis_of(step, [axes[value] for value in step.inputs]))
        except AssertionError as error:
            raise AssertionError(f"step {step.name} ({step.kind}): {error}") from error
    for state in range(program.states):
        assert axes[state] == axes[program.outputs[state]] == NONE, "a state that is not shared"
    return axes
