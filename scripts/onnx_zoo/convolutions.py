"""Networks of the set `torch` with convolutions."""

import torch
from torch import nn
from torch.nn import functional

CLASSES = 10


def block(inputs, outputs, kernel=3, stride=1, groups=1, activation=nn.ReLU):
    """A convolution, its normalisation and an activation, or none."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def head(channels, outputs=CLASSES):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, outputs))


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 60),
        nn.ReLU(),
        nn.Linear(60, CLASSES),
    )


def vgg():
    layers = []
    for inputs, outputs in [(3, 8), (8, 16), (16, 16)]:
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    last = [nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, CLASSES)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), *last)


class Basic(nn.Module):
    """The block of ResNet-18."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first, self.second = block(inputs, outputs, 3, stride), block(outputs, outputs, activation=None)
        same = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if same else block(inputs, outputs, 1, stride, activation=None)

    def forward(self, x):
        return functional.relu(self.second(self.first(x)) + self.skip(x))


def resnet18():
    stem = [block(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1)]
    stages = [(8, 8, 1), (8, 8, 1), (8, 16, 2), (16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 32, 2), (32, 32, 1)]
    return nn.Sequential(*stem, *(Basic(*stage) for stage in stages), head(32))


class Inverted(nn.Module):
    """The block of MobileNetV2: wide, by channel, narrow without an activation."""

    def __init__(self, inputs, outputs, stride, wider):
        super().__init__()
        wide = inputs * wider
        self.same = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            block(inputs, wide, 1, activation=nn.ReLU6),
            block(wide, wide, 3, stride, wide, nn.ReLU6),
            block(wide, outputs, 1, activation=None),
        )

    def forward(self, x):
        return x + self.layers(x) if self.same else self.layers(x)


def mobilenet_v2():
    blocks = [Inverted(8, 8, 1, 1), Inverted(8, 12, 2, 4), Inverted(12, 12, 1, 4), Inverted(12, 16, 2, 4)]
    first, last = block(3, 8, 3, 2, activation=nn.ReLU6), block(16, 32, 1, activation=nn.ReLU6)
    return nn.Sequential(first, *blocks, last, head(32))


class SqueezeExcite(nn.Module):
    """Channels weighted by what their means say."""

    def __init__(self, channels):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x):
        means = functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.excite(functional.relu(self.squeeze(means))))


def squeeze_excite():
    return nn.Sequential(block(3, 16, 3, 2), SqueezeExcite(16), block(16, 16), SqueezeExcite(16), head(16))


class Dense(nn.Module):
    """Layers of DenseNet: each sees all earlier channels."""

    def __init__(self, inputs, growth, layers):
        super().__init__()
        widths = [inputs + growth * index for index in range(layers)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, growth, 3, padding=1, bias=False))
            for width in widths
        )

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x


def densenet():
    between = [nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1, bias=False), nn.AvgPool2d(2)]
    return nn.Sequential(block(3, 8, 3, 2), Dense(8, 4, 3), *between, Dense(10, 4, 3), nn.ReLU(), head(22))


class Shuffle(nn.Module):
    """The block of ShuffleNet: products in groups, and channels shuffled between them."""

    def __init__(self, channels, groups):
        super().__init__()
        self.groups = groups
        self.first = block(channels, channels, 1, groups=groups)
        self.middle = block(channels, channels, 3, groups=channels, activation=None)
        self.last = block(channels, channels, 1, groups=groups, activation=None)

    def forward(self, x):
        y = self.first(x)
        count, channels, height, width = y.shape
        y = y.view(count, self.groups, channels // self.groups, height, width).transpose(1, 2).contiguous()
        y = y.view(count, channels, height, width)
        return functional.relu(x + self.last(self.middle(y)))


def shufflenet():
    return nn.Sequential(block(3, 12, 3, 2), Shuffle(12, 3), Shuffle(12, 2), head(12))


class Inception(nn.Module):
    """Four branches that are joined by channel."""

    def __init__(self, inputs):
        super().__init__()
        self.branches = nn.ModuleList([
            block(inputs, 6, 1),
            nn.Sequential(block(inputs, 4, 1), block(4, 6, 3)),
            nn.Sequential(block(inputs, 4, 1), block(4, 6, 5)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), block(inputs, 6, 1)),
        ])

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def inception():
    return nn.Sequential(block(3, 8, 3, 2), Inception(8), nn.MaxPool2d(2), Inception(24), head(24))


def separable():
    layers = []
    for inputs, outputs, stride in [(8, 16, 1), (16, 24, 2), (24, 32, 2)]:
        layers += [block(inputs, inputs, 3, stride, inputs), block(inputs, outputs, 1)]
    return nn.Sequential(block(3, 8, 3, 2), *layers, head(32))


def dilated():
    layers = [nn.Sequential(nn.Conv2d(12, 12, 3, padding=rate, dilation=rate), nn.ReLU()) for rate in (1, 2, 4)]
    return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), *layers, head(12))


def audio():
    """A 1-D network over a short waveform."""
    layers = []
    for inputs, outputs, kernel, stride in [(1, 8, 16, 4), (8, 16, 5, 1), (16, 24, 3, 1)]:
        layers += [nn.Conv1d(inputs, outputs, kernel, stride), nn.BatchNorm1d(outputs), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(24, CLASSES))


def instance_norm():
    norms = [nn.InstanceNorm2d(8, affine=True), nn.InstanceNorm2d(16)]
    first, second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)
    last = [nn.Flatten(), nn.Linear(256, CLASSES)]
    return nn.Sequential(first, norms[0], nn.ReLU(), second, norms[1], nn.LeakyReLU(0.2), nn.MaxPool2d(2), *last)


def group_norm():
    first, second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)
    return nn.Sequential(first, nn.GroupNorm(4, 8), nn.SiLU(), second, nn.GroupNorm(4, 16), nn.SiLU(), head(16))


class UNet(nn.Module):
    """A small U-Net; `learnt` enlarges by ConvTranspose, and otherwise bilinearly."""

    def __init__(self, learnt):
        super().__init__()
        self.first, self.second, self.third = block(1, 6), block(6, 12), block(12, 16)
        if learnt:
            self.larger, self.largest = nn.ConvTranspose2d(16, 12, 2, 2), nn.ConvTranspose2d(12, 6, 4, 2, 1)
        else:
            # The two ways of placing the corners are both usual.
            twice = [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=corners) for corners in (False, True)]
            self.larger = nn.Sequential(twice[0], nn.Conv2d(16, 12, 1))
            self.largest = nn.Sequential(twice[1], nn.Conv2d(12, 6, 1))
        self.fourth, self.fifth = block(24, 12), block(12, 6)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        first = self.first(x)
        second = self.second(functional.max_pool2d(first, 2))
        third = self.third(functional.max_pool2d(second, 2))
        fourth = self.fourth(torch.cat([self.larger(third), second], dim=1))
        return self.last(self.fifth(torch.cat([self.largest(fourth), first], dim=1)))


class Yolo(nn.Module):
    """Two scales of boxes, each a sigmoid, in one list."""

    ANCHORS, FIELDS = 3, 7

    def __init__(self):
        super().__init__()
        outputs = self.ANCHORS * self.FIELDS
        self.body = nn.Sequential(block(3, 8, 3, 2, activation=nn.SiLU), block(8, 16, 3, 2, activation=nn.SiLU))
        self.deeper = block(16, 24, 3, 2, activation=nn.SiLU)
        self.fine, self.coarse = nn.Conv2d(16, outputs, 1), nn.Conv2d(24, outputs, 1)

    def boxes(self, x):
        count, _, height, width = x.shape
        x = x.view(count, self.ANCHORS, self.FIELDS, height, width).permute(0, 1, 3, 4, 2)
        return torch.sigmoid(x).reshape(count, -1, self.FIELDS)

    def forward(self, x):
        x = self.body(x)
        return torch.cat([self.boxes(self.fine(x)), self.boxes(self.coarse(self.deeper(x)))], dim=1)


def autoencoder():
    narrower = [nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, 2, 1), nn.ReLU()]
    wider = [nn.ConvTranspose2d(4, 8, 3, 2, 1, output_padding=1), nn.ReLU()]
    return nn.Sequential(*narrower, *wider, nn.ConvTranspose2d(8, 1, 2, 2), nn.Sigmoid())


class Next(nn.Module):
    """The block of ConvNeXt: 7×7 by channel, then products on the last axis."""

    def __init__(self, width):
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(0.5 * torch.ones(width))

    def forward(self, x):
        y = self.norm(self.spatial(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(functional.gelu(self.wide(y)))
        return x + y.permute(0, 3, 1, 2)


def convnext():
    return nn.Sequential(nn.Conv2d(3, 12, 4, 4), Next(12), Next(12), head(12))


class Fcn(nn.Module):
    """A class of each pixel, from coarse scores enlarged by the nearest."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(block(3, 8, 3, 2), block(8, 16, 3, 2))
        self.scores, self.skip = nn.Conv2d(16, 4, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x):
        scores = functional.interpolate(self.scores(self.body(x)), size=x.shape[2:], mode="nearest")
        return scores + self.skip(x)
