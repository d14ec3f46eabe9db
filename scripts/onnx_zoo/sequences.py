"""Networks of the set `torch` over sequences and patches."""

import torch
from torch import nn
from torch.nn import functional

LENGTH, WIDTH, TAGS = 12, 16, 6


class Recurrent(nn.Module):
    """An LSTM or a GRU, then a product on each item (`tagger`) or on the last."""

    def __init__(self, cell, tagger, both_ways=False):
        super().__init__()
        self.cell = cell(WIDTH, 24, batch_first=True, bidirectional=both_ways)
        self.head = nn.Linear(48 if both_ways else 24, TAGS)
        self.tagger = tagger

    def forward(self, x):
        states, _ = self.cell(x)
        return self.head(states if self.tagger else states[:, -1])


class Encoder(nn.Module):
    """Positions, one layer of a transformer, and a class of the mean."""

    def __init__(self):
        super().__init__()
        self.positions = nn.Parameter(0.3 * torch.randn(1, LENGTH, WIDTH))
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, dropout=0.1, activation="gelu", batch_first=True)
        self.head = nn.Linear(WIDTH, TAGS)

    def forward(self, x):
        return self.head(self.layer(x + self.positions).mean(dim=1))


class Attention(nn.Module):
    """Self-attention as most repositories write it by hand."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.joined, self.last = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        count, length, width = x.shape
        parts = self.joined(x).reshape(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        scores = query @ key.transpose(-2, -1) * (width // self.heads) ** -0.5
        return self.last((scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(count, length, width))


class VisionTransformer(nn.Module):
    """Patches, a class token, positions, two blocks with the norm first."""

    def __init__(self, width=32, patch=4, side=16, depth=2):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(0.3 * torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.3 * torch.randn(1, (side // patch) ** 2 + 1, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth + 1))
        self.attentions = nn.ModuleList(Attention(width, 4) for _ in range(depth))
        self.products = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(depth)
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        for index, (attention, products) in enumerate(zip(self.attentions, self.products)):
            x = x + attention(self.norms[2 * index](x))
            x = x + products(self.norms[2 * index + 1](x))
        return self.head(self.norms[-1](x)[:, 0])


class Mixer(nn.Module):
    """An MLP-Mixer: products across patches, then across channels."""

    def __init__(self, width=32, count=16):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.first, self.second, self.third = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.across = nn.Sequential(nn.Linear(count, 24), nn.GELU(), nn.Linear(24, count))
        self.along = nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.across(self.first(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.along(self.second(x))
        return self.head(self.third(x).mean(dim=1))


class Temporal(nn.Module):
    """A TCN: dilated convolutions that see no later item, with residuals."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(WIDTH, 24, 1)
        self.layers = nn.ModuleList(nn.Conv1d(24, 24, 3, dilation=2**index) for index in range(3))
        self.head = nn.Linear(24, TAGS)

    def forward(self, x):
        x = self.first(x.transpose(1, 2))
        for layer in self.layers:
            x = functional.relu(x + layer(functional.pad(x, (2 * layer.dilation[0], 0))))
        return self.head(x[:, :, -1])


class AttentionPooling(nn.Module):
    """A learnt weight of each item, and their weighted mean."""

    def __init__(self):
        super().__init__()
        self.states = nn.Sequential(nn.Linear(WIDTH, 24), nn.Tanh())
        self.scores, self.head = nn.Linear(24, 1), nn.Linear(24, TAGS)

    def forward(self, x):
        states = self.states(x)
        weights = torch.softmax(self.scores(states), dim=1)
        return self.head((weights * states).sum(dim=1))
