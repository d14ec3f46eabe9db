"""Networks of the set `torch` without convolutions: perceptrons, tables, pairs of inputs."""

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "hardswish": nn.Hardswish,
    "prelu": nn.PReLU,
    "softplus": nn.Softplus,
}
FEATURES, HIDDEN, CLASSES = 16, 32, 5


def perceptron(activation=nn.ReLU, outputs=CLASSES):
    return nn.Sequential(
        nn.Linear(FEATURES, HIDDEN), activation(), nn.Linear(HIDDEN, HIDDEN), activation(), nn.Linear(HIDDEN, outputs)
    )


def batch_norm():
    return nn.Sequential(
        nn.Linear(FEATURES, HIDDEN, bias=False),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.BatchNorm1d(HIDDEN),
        nn.Linear(HIDDEN, CLASSES),
    )


def layer_norm_dropout():
    return nn.Sequential(
        nn.LayerNorm(FEATURES),
        nn.Linear(FEATURES, HIDDEN),
        nn.GELU(approximate="tanh"),
        nn.Dropout(0.2),
        nn.LayerNorm(HIDDEN),
        nn.Linear(HIDDEN, CLASSES),
    )


def log_softmax():
    return nn.Sequential(*perceptron(), nn.LogSoftmax(dim=1))


class Residual(nn.Module):
    """Blocks that add their input to their output."""

    def __init__(self, blocks=3):
        super().__init__()
        self.first = nn.Linear(FEATURES, HIDDEN)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN)) for _ in range(blocks)
        )
        self.last = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = functional.relu(x + block(x))
        return self.last(x)


class Embedding(nn.Module):
    """Ids of four columns, each with its own table."""

    SIZES = [7, 12, 31, 5]

    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, 8) for size in self.SIZES)
        self.head = nn.Sequential(nn.Linear(32, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2))

    def forward(self, ids):
        return self.head(torch.cat([table(ids[:, column]) for column, table in enumerate(self.tables)], dim=1))


class Siamese(nn.Module):
    """One branch for two inputs, then their difference and their product."""

    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN))
        self.head = nn.Linear(2 * HIDDEN, 1)

    def forward(self, left, right):
        left, right = self.branch(left), self.branch(right)
        return torch.sigmoid(self.head(torch.cat([torch.abs(left - right), left * right], dim=1)))


class TwoOutputs(nn.Module):
    """A class and a value, from one body."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU())
        self.classes, self.value = nn.Linear(HIDDEN, CLASSES), nn.Linear(HIDDEN, 1)

    def forward(self, x):
        x = self.body(x)
        return self.classes(x), torch.tanh(self.value(x))
