#!/usr/bin/env python3
"""Make the gradients of small networks in PyTorch, in float64.

    python3 -m venv target/gradients
    target/gradients/bin/pip install -r scripts/requirements-training-gradients.txt
    target/gradients/bin/python scripts/make-training-gradients.py

Writes test_vectors/training/gradients.json: for each network its mean loss on one
batch, and the gradient of the summed loss for every parameter. Of a parameter with
more than ENTRIES entries, every n-th is written. `poai-train/tests/it/real.rs`
builds the same networks of poai's layers and compares.

Initial weights are those of `poai_train::initial`, and samples and labels are
words of BLAKE3's extendable output of their labels. So the file has none of them.
"""

import json
import math
from pathlib import Path

import torch
from blake3 import blake3
from torch.nn import functional

SEED = bytes([7]) * 32
BATCH = 12
ENTRIES = 96
PATH = Path(__file__).parent.parent / "test_vectors" / "training" / "gradients.json"

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def words(label, count):
    data = blake3(label.encode()).digest(length=4 * count)
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, 4 * count, 4)]


def pixels(name, rows, columns):
    """Entries in −63..=63, of which 64 stands for 1."""
    entries = [word % 127 - 63 for word in words(f"pixels {name}", rows * columns)]
    return torch.tensor(entries, dtype=torch.float64).reshape(rows, columns) / 64


def numbers(label, rows, columns, below):
    entries = [word % below for word in words(label, rows * columns)]
    return torch.tensor(entries).reshape(rows, columns)


class Parameters:
    """Parameters by name, drawn as `poai_train::initial` draws them."""

    def __init__(self):
        self.all = {}

    def weight(self, name, rows, columns):
        half = math.isqrt((6 << 48) // columns)
        drawn = words(f"poai weights {name} {SEED.hex()}", rows * columns)
        entries = [word % (2 * half + 1) - half for word in drawn]
        value = torch.tensor(entries, dtype=torch.float64).reshape(rows, columns) / (1 << 24)
        return self._add(name, value)

    def bias(self, name, rows):
        return self._add(name, torch.zeros(rows, 1))

    def constant(self, name, columns, value):
        return self._add(name, torch.full((1, columns), float(value)))

    def _add(self, name, value):
        self.all[name] = value.requires_grad_()
        return value


def mlp(parameters):
    x = pixels("mlp", BATCH, 20)
    labels = numbers("labels mlp", BATCH, 1, 6).flatten()
    w0, b0 = parameters.weight("w0", 32, 20), parameters.bias("b0", 32)
    w1, b1 = parameters.weight("w1", 24, 32), parameters.bias("b1", 24)
    w2, b2 = parameters.weight("w2", 6, 24), parameters.bias("b2", 6)
    x = functional.relu(functional.linear(x, w0, b0.flatten()))
    x = functional.relu(functional.linear(x, w1, b1.flatten()))
    return functional.linear(x, w2, b2.flatten()), labels


def cnn(parameters):
    """Convolutions of 3×3 and pools of 2×2 on images of 8×8×2, channels last."""
    x = pixels("cnn", BATCH, 8 * 8 * 2).reshape(BATCH, 8, 8, 2).permute(0, 3, 1, 2)
    labels = numbers("labels cnn", BATCH, 1, 10).flatten()

    def conv(x, name, outputs):
        channels = x.shape[1]
        w = parameters.weight(f"w{name}", outputs, 9 * channels)
        b = parameters.bias(f"b{name}", outputs)
        # A row of weights goes down, right, then through the channels.
        kernel = w.reshape(outputs, 3, 3, channels).permute(0, 3, 1, 2)
        return functional.relu(functional.conv2d(x, kernel, b.flatten(), padding=1))

    x = functional.max_pool2d(conv(x, 0, 6), 2)
    x = functional.max_pool2d(conv(x, 1, 8), 2)
    x = x.permute(0, 2, 3, 1).reshape(BATCH, -1)
    w2, b2 = parameters.weight("w2", 10, x.shape[1]), parameters.bias("b2", 10)
    return functional.linear(x, w2, b2.flatten()), labels


def transformer(parameters, name, causal, centre):
    vocabulary, length, width, heads, hidden = 13, 6, 16, 4, 24
    text = numbers(f"text {name}", BATCH, length + 1, vocabulary)
    ids, labels = text[:, :-1], text[:, 1:].flatten()

    def norm(x):
        if centre:
            x = x - x.mean(dim=-1, keepdim=True)
        return x / x.square().mean(dim=-1, keepdim=True).sqrt()

    tok = parameters.weight("tok", vocabulary, width)
    pos = parameters.weight("pos", length, width)
    x = tok[ids] + pos
    for block in range(2):
        w = {
            key: parameters.weight(f"{key}{block}", rows, columns)
            for key, rows, columns in [
                ("q", width, width), ("k", width, width), ("v", width, width),
                ("o", width, width), ("u", hidden, width), ("w", width, hidden),
            ]
        }
        z = norm(x)
        q, k, v = (
            (z @ w[key].T).reshape(BATCH, length, heads, width // heads).transpose(1, 2)
            for key in "qkv"
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + mixed.transpose(1, 2).reshape(BATCH, length, width) @ w["o"].T
        x = x + functional.relu(norm(x) @ w["u"].T) @ w["w"].T
    out = parameters.weight("out", vocabulary, width)
    return (norm(x) @ out.T).reshape(-1, vocabulary), labels


def encoder(parameters):
    """A layer as in BERT, with LayerNorm's γ and β after the sums, and GELU."""
    length, width, heads, hidden = 4, 16, 4, 24
    # 32 stands for 1.
    x = pixels("encoder", BATCH * length, width).reshape(BATCH, length, width) * 2
    labels = numbers("labels encoder", BATCH, 1, 5).flatten()

    def linear(x, name, rows, columns, bias="{} bias"):
        w = parameters.weight(name, rows, columns)
        return functional.linear(x, w, parameters.bias(bias.format(name), rows).flatten())

    def norm(x, count):
        gamma = parameters.constant(f"gamma{count}", width, 1)
        beta = parameters.constant(f"beta{count}", width, 0)
        return functional.layer_norm(x, (width,), gamma.flatten(), beta.flatten(), eps=0)

    q, k, v = (
        linear(x, f"attention0 {kind}", width, width)
        .reshape(BATCH, length, heads, width // heads)
        .transpose(1, 2)
        for kind in ("query", "key", "value")
    )
    mixed = functional.scaled_dot_product_attention(q, k, v)
    mixed = mixed.transpose(1, 2).reshape(BATCH, length, width)
    x = norm(x + linear(mixed, "attention0 out", width, width), 0)
    inner = functional.gelu(linear(x, "linear0", hidden, width))
    x = norm(x + linear(inner, "linear1", width, hidden), 1)
    return linear(x.mean(dim=1), "w0", 5, width, "b0"), labels


NETWORKS = {
    "mlp": mlp,
    "cnn": cnn,
    "causal": lambda parameters: transformer(parameters, "causal", True, False),
    "centred": lambda parameters: transformer(parameters, "centred", False, True),
    "encoder": encoder,
}


def gradients(network):
    parameters = Parameters()
    logits, labels = network(parameters)
    loss = functional.cross_entropy(logits, labels, reduction="sum")
    loss.backward()
    described = {}
    for name, value in sorted(parameters.all.items()):
        flat = value.grad.flatten()
        every = -(-len(flat) // ENTRIES)
        described[name] = {
            "rows": value.shape[0],
            "columns": value.shape[1],
            "every": every,
            "norm": flat.norm().item(),
            "entries": flat[::every].tolist(),
        }
    return {"loss": loss.item() / len(labels), "gradients": described}


def main():
    made = {"torch": torch.__version__.split("+")[0]}
    made["networks"] = {name: gradients(network) for name, network in NETWORKS.items()}
    text = json.dumps(made, indent=1)
    PATH.write_text(text + "\n")
    print(f"{PATH.name}: {len(text)} bytes")


if __name__ == "__main__":
    main()
