#!/usr/bin/env python3
"""Compare the embeddings of poai embed with all-MiniLM-L6-v2 in float32.

The reference is the published model in plain numpy: BERT with six layers, the
mean over the tokens, and the L2 norm, on at most 256 tokens per sentence.

Install what this needs with --no-deps, in a virtual environment:

    python3 -m pip install --no-deps -r scripts/requirements-minilm.txt
    scripts/fetch-minilm.sh
    cargo run --release -q -p poai-cli -- embed --model target/minilm \\
        --text poai-cli/data/embed/evaluation.txt --json > embeddings.json
    python3 scripts/measure-minilm.py embeddings.json

With --run instead of the file it runs that cargo command itself. The JSON is an
object whose `embeddings` is an array of arrays of numbers, one per sentence.

Prints the mean and the least cosine between the two embeddings of a sentence,
and Spearman's rank correlation between the two sets of cosines over all pairs
of sentences. Exits with 1 if a figure is below its threshold, and with 2 if
there is nothing to compare.
"""

import argparse
import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

try:
    import numpy as np
    from safetensors import SafetensorError, safe_open
    from tokenizers import Tokenizer
except ImportError as error:
    print(f"measure-minilm: {error}; install the packages that the script's docstring names", file=sys.stderr)
    sys.exit(2)

REPOSITORY = Path(__file__).resolve().parent.parent
MODEL = REPOSITORY / "target" / "minilm"
TEXT = REPOSITORY / "poai-cli" / "data" / "embed" / "evaluation.txt"

# The figures are about one model, so other weights must be rejected.
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

LAYERS = 6
HEADS = 12
NORM_EPSILON = 1e-12
MAX_TOKENS = 256


class Failure(Exception):
    """An error that the caller can fix: a path, a package, an input."""


def read_model(directory):
    """The tensors by name, and the tokeniser."""
    for name, expected in SHA256.items():
        try:
            found = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        except OSError as error:
            raise Failure(f"{error}; run scripts/fetch-minilm.sh to get the model") from error
        if found != expected:
            raise Failure(f"expected sha256 {expected} of {directory / name}, got {found}")
    try:
        with safe_open(directory / "model.safetensors", framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise Failure(f"{directory / 'model.safetensors'}: {error}") from error
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tensors, tokenizer


def read_sentences(path):
    """The lines that are not blank."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: {error}") from error
    sentences = [line for line in lines if line.strip()]
    if len(sentences) < 3:
        raise Failure(f"expected at least three sentences in {path}, got fewer")
    return sentences


def erf(x):
    """The error function, within 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = 0.0
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + coefficient) * t
    return np.sign(x) * (1 - series * np.exp(-x * x))


def gelu(x):
    wide = x.astype(np.float64)
    return (0.5 * wide * (1 + erf(wide / math.sqrt(2)))).astype(np.float32)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def linear(tensors, name, x):
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def layer_norm(tensors, name, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    normal = centred / np.sqrt(variance + np.float32(NORM_EPSILON))
    return normal * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def split_heads(x):
    """[tokens, width] to [heads, tokens, width / heads]."""
    return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)


def embed(tensors, ids):
    """The unit embedding of one sentence, in float32 throughout."""
    x = (
        tensors["embeddings.word_embeddings.weight"][ids]
        + tensors["embeddings.position_embeddings.weight"][: len(ids)]
        + tensors["embeddings.token_type_embeddings.weight"][0]
    )
    x = layer_norm(tensors, "embeddings.LayerNorm", x)
    for layer in range(LAYERS):
        base = f"encoder.layer.{layer}"
        query, key, value = (
            split_heads(linear(tensors, f"{base}.attention.self.{part}", x))
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(query.shape[-1]))
        context = (softmax(scores) @ value).transpose(1, 0, 2).reshape(x.shape)
        attended = linear(tensors, f"{base}.attention.output.dense", context)
        x = layer_norm(tensors, f"{base}.attention.output.LayerNorm", x + attended)
        inner = gelu(linear(tensors, f"{base}.intermediate.dense", x))
        outer = linear(tensors, f"{base}.output.dense", inner)
        x = layer_norm(tensors, f"{base}.output.LayerNorm", x + outer)
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


def run_embed(model, text):
    command = ["cargo", "run", "--release", "-q", "-p", "poai-cli", "--", "embed"]
    command += ["--model", str(model.resolve()), "--text", str(text.resolve()), "--json"]
    try:
        done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    except OSError as error:
        raise Failure(f"cargo: {error}") from error
    except subprocess.CalledProcessError as error:
        raise Failure(f"{' '.join(command)} exited with {error.returncode}") from error
    return done.stdout


def read_embeddings(text, source, shape):
    """The unit embeddings in the JSON `text`, which must have `shape`."""
    try:
        found = np.array(json.loads(text)["embeddings"], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"expected a JSON object with `embeddings`, rows of numbers, got {source}: {error!r}") from error
    if found.shape != shape:
        raise Failure(f"expected embeddings of shape {shape} in {source}, got {found.shape}")
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise Failure(f"expected finite non-zero embeddings in {source}, got another")
    return found / norms


def ranks(values):
    """Each value's rank; equal ones share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def spearman(a, b):
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def pair_cosines(embeddings):
    return (embeddings @ embeddings.T)[np.triu_indices(len(embeddings), 1)]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("json", nargs="?", type=Path, help="the output of poai embed --json")
    parser.add_argument("--run", action="store_true", help="run poai embed instead of reading a file")
    parser.add_argument("--model", type=Path, default=MODEL, help="the directory of the model (target/minilm)")
    parser.add_argument("--text", type=Path, default=TEXT, help="the sentences, one per line (evaluation.txt)")
    parser.add_argument("--least-cosine", type=float, default=0.98, help="threshold of the mean cosine (0.98)")
    parser.add_argument("--least-spearman", type=float, default=0.97, help="threshold of the rank correlation (0.97)")
    arguments = parser.parse_args()
    if arguments.run == (arguments.json is not None):
        parser.error("expected either a JSON file or --run")
    return arguments


def main():
    arguments = parse_arguments()
    sentences = read_sentences(arguments.text)
    tensors, tokenizer = read_model(arguments.model)
    if arguments.run:
        text, source = run_embed(arguments.model, arguments.text), "poai embed"
    else:
        source = str(arguments.json)
        try:
            text = arguments.json.read_bytes()
        except OSError as error:
            raise Failure(str(error)) from error

    encodings = tokenizer.encode_batch(sentences)
    reference = np.array([embed(tensors, encoding.ids) for encoding in encodings], dtype=np.float64)
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    found = read_embeddings(text, source, reference.shape)

    cosines = (reference * found).sum(axis=1)
    worst = int(cosines.argmin())
    correlation = spearman(pair_cosines(reference), pair_cosines(found))
    pairs = len(sentences) * (len(sentences) - 1) // 2
    print(f"sentences      {len(sentences)}")
    print(f"mean cosine    {cosines.mean():.5f} (threshold {arguments.least_cosine})")
    print(f"least cosine   {cosines[worst]:.5f}, of {sentences[worst][:60]!r}")
    print(f"rank corr.     {correlation:.5f} over {pairs} pairs (threshold {arguments.least_spearman})")
    good = cosines.mean() >= arguments.least_cosine and correlation >= arguments.least_spearman
    print("passed" if good else "FAILED: below the threshold")
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"measure-minilm: {failure}", file=sys.stderr)
        sys.exit(2)
