#!/usr/bin/env python3
"""Times iterations of training by poai and by PyTorch on the CPU, in turns.

    benches/peers/training.py [--python PATH] [--network mlp|transformer|encoder] [--fused] [--turns N]
                              [--threads N] [--backend NAME] [--json FILE] [--no-build]

Both sides train the same network on batches of the same size, with SGD with
momentum, on the same number of threads. PyTorch computes in float32. In each turn
both sides run one iteration of each kind, so that other programs slow both alike.
The table has medians over all turns, and ratios of each turn. "processor" means the
time that a side's threads ran, which other programs change less. The memory is what
training adds to a process that trains untraced or traced alone.

On a busy machine, set OMP_WAIT_POLICY=passive: PyTorch's threads otherwise spend
processor time while they wait for each other.

PyTorch comes from training-requirements.txt. Without it the script prints SKIPPED
and the reason.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Iterations before the first turn that counts.
WARM = 3
# Iterations of the processes whose memory is measured.
ALONE = 5
NETWORKS = {
    "mlp": "MLP 784-1024-1024-10, batch 1024",
    "transformer": "causal transformer d 256, 4 layers, batch 16×128",
    "encoder": "two encoder layers d 384, batch 32×128",
}
RATE = {"mlp": 0.05, "transformer": 0.001, "encoder": 0.01}
SEED = 1


def memory():
    """Peak resident bytes of this process, on Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise RuntimeError("the system has no VmHWM")


def resident():
    """Resident bytes of this process now, on Linux."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise RuntimeError("the system has no VmRSS")


# --- PyTorch ----------------------------------------------------------------


def network(torch, name):
    """The network, its batch, and all samples with their labels."""
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        """Attention and a feed-forward network without biases, each after a norm."""

        def __init__(self, width, heads, hidden):
            super().__init__()
            self.width, self.heads = width, heads
            self.qkv = nn.Linear(width, 3 * width, bias=False)
            self.out = nn.Linear(width, width, bias=False)
            self.up = nn.Linear(width, hidden, bias=False)
            self.down = nn.Linear(hidden, width, bias=False)

        def norm(self, x):
            return functional.rms_norm(x, (self.width,))

        def forward(self, x):
            batch, length, width = x.shape
            shape = (batch, length, self.heads, width // self.heads)
            parts = self.qkv(self.norm(x)).chunk(3, dim=-1)
            q, k, v = (part.reshape(shape).transpose(1, 2) for part in parts)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
            return x + self.down(functional.relu(self.up(self.norm(x))))

    class Transformer(nn.Module):
        """Rows by token and by place, blocks, a norm, and logits."""

        def __init__(self, vocabulary, length, width, blocks, heads, hidden):
            super().__init__()
            self.width = width
            self.tokens = nn.Embedding(vocabulary, width)
            self.places = nn.Parameter(torch.randn(length, width) / 10)
            self.blocks = nn.Sequential(*(Block(width, heads, hidden) for _ in range(blocks)))
            self.out = nn.Linear(width, vocabulary, bias=False)

        def forward(self, ids):
            x = self.blocks(self.tokens(ids) + self.places)
            return self.out(functional.rms_norm(x, (self.width,))).flatten(0, 1)

    class Encoder(nn.Module):
        """Layers of BERT, the mean of all rows, and a linear layer."""

        def __init__(self, width, heads, hidden):
            super().__init__()
            layer = lambda: nn.TransformerEncoderLayer(  # noqa: E731
                width, heads, hidden, dropout=0.0, activation="gelu", batch_first=True
            )
            self.layers = nn.Sequential(layer(), layer())
            self.out = nn.Linear(width, 10)

        def forward(self, x):
            return self.out(self.layers(x).mean(dim=1))

    torch.manual_seed(SEED)
    if name == "encoder":
        return Encoder(384, 12, 1536), 32, torch.randn(128, 128, 384), torch.randint(10, (128,))
    if name == "mlp":
        layers = nn.Sequential(
            nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
        )
        return layers, 1024, torch.rand(4096, 784), torch.randint(10, (4096,))
    vocabulary, length, batch = 64, 128, 16
    layers = Transformer(vocabulary, length, 256, 4, 4, 1024)
    ids = torch.randint(vocabulary, (4 * batch, length + 1))
    return layers, batch, ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def serve(name, threads):
    """Runs an iteration for each line "step", and says its seconds."""
    import time

    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    before = resident()
    model, batch, samples, labels = network(torch, name)
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE[name], momentum=0.9, fused=True)
    print(json.dumps({"ready": torch.__version__}), flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            print(json.dumps({"peak": memory(), "before": before}), flush=True)
            continue
        start, used = time.perf_counter(), time.process_time()
        drawn = torch.randint(len(samples), (batch,))
        logits = model(samples[drawn])
        loss = functional.cross_entropy(logits, labels[drawn].flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        loss = loss.item()
        ms, processor = time.perf_counter() - start, time.process_time() - used
        said = {"ms": 1000 * ms, "processor_ms": 1000 * processor, "loss": loss}
        print(json.dumps(said), flush=True)


# --- both sides -------------------------------------------------------------


class Side:
    """A process that runs iterations when asked."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        first = self.read()
        self.ready = f"{first['ready']} {first.get('backend', '')}".strip()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended; see its error above")
        return json.loads(line)

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(name, ours, theirs, turns):
    """Times turns of both sides, and measures the memory of each side alone."""
    poai, torch = Side(ours), Side(theirs)
    for _ in range(WARM):
        poai.ask("step"), poai.ask("trace"), torch.ask("step")
    times = {"torch": [], "step": [], "trace": []}
    for _ in range(turns):
        times["torch"].append(torch.ask("step"))
        times["step"].append(poai.ask("step"))
        times["trace"].append(poai.ask("trace"))
    root = poai.ask("root")
    versions = {"torch": torch.ready, "poai": poai.ready}
    poai.close(), torch.close()
    taken = {}
    for key, command, line in [
        ("torch", theirs, "step"), ("step", ours, "step"), ("trace", ours, "trace")
    ]:  # fmt: skip
        side = Side(command)
        for _ in range(ALONE):
            side.ask(line)
        taken[key] = side.ask("memory")
        side.close()
    return {"network": name, "versions": versions, "turns": times, "memory": taken, **root}


def ratio(result, over, under, what):
    """The median of the ratios of each turn."""
    turns = zip(result["turns"][over], result["turns"][under])
    return statistics.median(a[what] / b[what] for a, b in turns)


def table(results):
    """The table in Markdown: a row for each figure, a column for each network."""
    def middle(key, what):
        return lambda result: statistics.median(turn[what] for turn in result["turns"][key])

    def added(key):
        return lambda result: (result["memory"][key]["peak"] - result["memory"][key]["before"]) >> 20

    rows = []
    sides = {"torch": "PyTorch", "step": "poai, untraced", "trace": "poai, traced"}
    for key, side in sides.items():
        rows.append((f"{side}: ms", middle(key, "ms"), "{:.0f}"))
        rows.append((f"{side}: processor ms", middle(key, "processor_ms"), "{:.0f}"))
    for what, word in [("ms", ""), ("processor_ms", ", processor")]:
        for over, under, name in [
            ("step", "torch", "untraced / PyTorch"), ("trace", "step", "traced / untraced")
        ]:  # fmt: skip
            take = lambda result, over=over, under=under, what=what: ratio(result, over, under, what)  # noqa: E731
            rows.append((name + word, take, "{:.2f}"))
    for key, side in sides.items():
        rows.append((f"{side}: MiB added", added(key), "{}"))
    names = [NETWORKS[result["network"]] for result in results]
    lines = ["| figure | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for name, figure, form in rows:
        lines.append("| " + " | ".join([name, *(form.format(figure(r)) for r in results)]) + " |")
    return "\n".join(lines)


def build():
    """Builds the program and returns its path."""
    command = ["cargo", "build", "--release", "--locked", "-p", "poai-bench-training"]
    subprocess.run(command, cwd=ROOT, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="a Python with PyTorch")
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--turns", type=int, default=31)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backend", help="poai's backend, such as cpu-avx512-vnni")
    parser.add_argument("--fused", action="store_true", help="poai's fused profile")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--serve", choices=NETWORKS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.threads)
        return
    probe = subprocess.run(
        [args.python, "-c", "import torch"], capture_output=True, text=True, check=False
    )
    if probe.returncode != 0:
        why = (probe.stderr.strip().splitlines() or ["it ended without a reason"])[-1]
        print(f"SKIPPED: PyTorch cannot be imported: {why}")
        return
    if not args.no_build:
        build()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target / "release" / "poai-bench-training"
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    print(f"{platform.processor() or platform.machine()}, {datetime.date.today()}, "
          f"load {os.getloadavg()[0]:.1f}, {args.threads} threads, {args.turns} turns")  # fmt: skip
    results = []
    for name in args.network or NETWORKS:
        threads = ["--threads", str(args.threads)]
        backend = ["--backend", args.backend] if args.backend else []
        fused = ["--fused"] if args.fused else []
        ours = [str(program), *threads, *backend, "serve", name, *fused]
        theirs = [args.python, __file__, "--serve", name, *threads]
        results.append(compare(name, ours, theirs, args.turns))
    print(table(results))
    for result in results:
        print(f"{result['network']}: states after {result['iterations']} iterations "
              f"{result['root']}; PyTorch {result['versions']['torch']}; poai {result['versions']['poai']}")  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
