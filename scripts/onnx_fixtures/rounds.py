"""Recurrent networks, and loops that are written out."""

import numpy as np
from onnx import TensorProto, helper

from .builder import FLOAT, INT64, fixture

STEPS, INPUTS, HIDDEN = 4, 3, 5


def weights(net, gates, directions=1):
    sizes = [(directions, gates * HIDDEN, INPUTS), (directions, gates * HIDDEN, HIDDEN)]
    sizes.append((directions, 2 * gates * HIDDEN))
    return [net.constant(net.drawn(*each, scale=0.4)) for each in sizes]


def last(net, states, directions=1, batch=1):
    """The last states of all directions and samples, and the network's last product."""
    flat = net.node("Reshape", states, net.ints(1, directions * batch * HIDDEN))
    net.gemm(flat, directions * batch * HIDDEN, 3, out="y")
    net.output("y", 1, 3)


def steps(net, batch=1):
    x = net.input("x", 1, STEPS, batch * INPUTS)
    return net.node("Reshape", x, net.ints(STEPS, batch, INPUTS))


@fixture("rnn-relu", "RNN with Relu, a clip, and a first state that is a constant")
def rnn(net):
    state = net.constant(net.drawn(1, 1, HIDDEN))
    inputs = [steps(net), *weights(net, 1), "", state]
    made = net.node("RNN", *inputs, hidden_size=HIDDEN, activations=["Relu"], clip=1.5, outputs=2)
    last(net, made[1])


@fixture("rnn-batch", "LSTM of three sequences at once, backward, with first states, and a clip")
def batch(net):
    lengths = net.constant(np.full(3, STEPS, dtype=np.int32))
    states = [net.constant(net.drawn(1, 3, HIDDEN)) for _ in range(2)]
    inputs = [steps(net, 3), *weights(net, 4), lengths, *states]
    made = net.node("LSTM", *inputs, hidden_size=HIDDEN, direction="reverse", clip=0.8, outputs=3)
    last(net, net.node("Add", made[1], made[2]), batch=3)


@fixture("rnn-both-ways", "GRU both ways of two sequences, with the reset gate before the product, and activations")
def both_ways(net):
    inputs = [steps(net, 2), *weights(net, 3, 2), "", net.constant(net.drawn(2, 2, HIDDEN))]
    names = ["HardSigmoid", "Softsign", "Sigmoid", "LeakyRelu"]
    numbers = {"activation_alpha": [0.3, 0.2], "activation_beta": [0.4]}
    made = net.node(
        "GRU", *inputs, hidden_size=HIDDEN, direction="bidirectional", activations=names, outputs=2, **numbers
    )
    whole = net.node("ReduceMean", made[0], axes=[0], keepdims=0)
    last(net, net.node("Add", whole, made[1]), 2, 2)


def body(net, name, nodes, inputs, outputs, constants=()):
    def info(each):
        return helper.make_tensor_value_info(*each)

    return helper.make_graph(nodes, name, [info(each) for each in inputs], [info(each) for each in outputs], constants)


@fixture("loop", "Loop of a known number of rounds: a state, a row of each round, and weights of the graph around it")
def loop(net):
    x = net.node("Reshape", net.input("x", 1, STEPS, INPUTS), net.ints(STEPS, INPUTS))
    w, r = net.constant(net.drawn(INPUTS, HIDDEN, scale=0.5)), net.constant(net.drawn(HIDDEN, HIDDEN, scale=0.5))
    count = net.constant(np.array(STEPS, dtype=np.int64))
    one = helper.make_tensor("one", INT64, [], [1])
    nodes = [
        helper.make_node("Gather", [x, "round"], ["row"], axis=0),
        helper.make_node("Unsqueeze", ["row", "zero"], ["rows"]),
        helper.make_node("MatMul", ["rows", w], ["own"]),
        helper.make_node("MatMul", ["state", r], ["before"]),
        helper.make_node("Add", ["own", "before"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["next"]),
        helper.make_node("Identity", ["next"], ["kept"]),
        helper.make_node("Add", ["round", "one"], ["following"]),
        helper.make_node("Less", ["following", count], ["goes_on"]),
    ]
    zero = helper.make_tensor("zero", INT64, [1], [0])
    inputs = [("round", INT64, []), ("condition", TensorProto.BOOL, []), ("state", FLOAT, [1, HIDDEN])]
    outputs = [("goes_on", TensorProto.BOOL, []), ("next", FLOAT, [1, HIDDEN]), ("kept", FLOAT, [1, HIDDEN])]
    inner = body(net, "round", nodes, inputs, outputs, [one, zero])
    start = net.constant(np.zeros((1, HIDDEN), dtype=np.float32))
    state, rows = net.node("Loop", "", net.constant(np.array(True)), start, body=inner, outputs=2)
    mean = net.node("ReduceMean", rows, axes=[0], keepdims=0)
    last(net, net.node("Add", state, mean))


@fixture("scan", "Scan over an axis, backward, with a state and a row of each round")
def scan(net):
    x = net.node("Reshape", net.input("x", 1, STEPS, HIDDEN), net.ints(STEPS, HIDDEN))
    nodes = [
        helper.make_node("Add", ["state", "row"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["next"]),
        helper.make_node("Mul", ["next", "row"], ["made"]),
    ]
    inputs = [("state", FLOAT, [HIDDEN]), ("row", FLOAT, [HIDDEN])]
    outputs = [("next", FLOAT, [HIDDEN]), ("made", FLOAT, [HIDDEN])]
    inner = body(net, "step", nodes, inputs, outputs)
    start = net.constant(np.zeros(HIDDEN, dtype=np.float32))
    attributes = {"num_scan_inputs": 1, "scan_input_directions": [1], "scan_output_axes": [1]}
    state, rows = net.node("Scan", start, x, body=inner, outputs=2, **attributes)
    last(net, net.node("Add", state, net.node("ReduceSum", rows, net.ints(1), keepdims=0)))


@fixture("if-known", "If with a condition of constants, as PyTorch writes a Squeeze of an open size")
def branch(net):
    x = net.gemm(net.input("x", "n", 8), 8, 6)
    shape = net.node("Gather", net.node("Shape", x), net.constant(np.array(1, dtype=np.int64)))
    condition = net.node("Equal", shape, net.constant(np.array(6, dtype=np.int64)))
    then = body(net, "then", [helper.make_node("Relu", [x], ["high"])], [], [("high", FLOAT, None)])
    other = body(net, "other", [helper.make_node("Neg", [x], ["low"])], [], [("low", FLOAT, None)])
    net.end(net.node("If", condition, then_branch=then, else_branch=other), 6, 3)
