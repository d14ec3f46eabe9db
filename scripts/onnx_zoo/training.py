"""A short training of three networks, so that their outputs mean something."""

import torch
from torch.nn import functional

STEPS, BATCH = 300, 64


def fit(module, draw, loss):
    """Trains `module` on what `draw` makes."""
    numbers = torch.Generator().manual_seed(5)
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    module.train()
    for _ in range(STEPS):
        inputs, wanted = draw(numbers)
        optimiser.zero_grad()
        loss(module(inputs), wanted).backward()
        optimiser.step()
    module.eval()


def perceptron(module):
    """Which of five planes a point is farthest above."""
    planes = torch.randn(16, 5, generator=torch.Generator().manual_seed(6))

    def draw(numbers):
        inputs = torch.randn(BATCH, 16, generator=numbers)
        return inputs, (inputs @ planes).argmax(dim=1)

    fit(module, draw, functional.cross_entropy)


def lenet(module):
    """Which of ten places of the image a bright square has."""

    def draw(numbers):
        places = torch.randint(0, 10, (BATCH,), generator=numbers)
        images = 0.5 * torch.randn(BATCH, 1, 28, 28, generator=numbers)
        for image, place in zip(images, places.tolist()):
            row, column = 4 + 12 * (place // 5), 1 + 5 * (place % 5)
            image[0, row : row + 8, column : column + 6] += 1.5
        return images, places

    fit(module, draw, functional.cross_entropy)


def regression(module):
    """A sum of a product, a square and an absolute value."""

    def draw(numbers):
        inputs = torch.randn(BATCH, 16, generator=numbers)
        wanted = inputs[:, 0] * inputs[:, 1] + inputs[:, 2] ** 2 - inputs[:, 3].abs()
        return inputs, wanted[:, None]

    fit(module, draw, functional.mse_loss)


TRAINED = {"mlp-relu": perceptron, "lenet": lenet, "regression": regression}
