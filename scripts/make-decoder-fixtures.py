#!/usr/bin/env python3
"""Make small random decoders and their logits in float32.

    python3 -m venv target/decoders
    target/decoders/bin/pip install -r scripts/requirements-decoders.txt
    target/decoders/bin/python scripts/make-decoder-fixtures.py

Writes test_vectors/decoders/, a folder a model. Each folder has config.json and
weights as transformers saves them, and `model.gguf` with the names, the order
of rows and the metadata of llama.cpp's converter. Cases with `old` have the
fields that transformers wrote before version 5. `expected.safetensors` has
token ids and the logits that transformers computes for all of them.

`blocks.safetensors` has blocks of each quantised type of GGUF and the floats
that the package gguf makes of them.

Weights are random with a fixed seed. Other versions of the packages may draw
other weights, so the script writes everything anew or nothing.
"""

import json
import math
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

FOLDER = Path(__file__).resolve().parent.parent / "test_vectors" / "decoders"
WORDS, TOKENS, POSITIONS = 40, 24, 64
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXTS = [
    "the cat sat on the mat. the dog sat on the cat and the cat ran to the mat",
    "Those cats aren't here; they'll be there in 1999, at 12:30.",
    "naïve café — 中文 and English, שלום, 🙂",
]

SIZES = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
DEFAULT = {"rope_type": "default", "rope_theta": 10000.0}

# What each model is, and how its files are saved. GGUF has no names for the
# biases of "llama-biases".
CASES = {
    "llama": {
        "config": LlamaConfig(**{**SIZES, "vocab_size": 288, "num_hidden_layers": 1}, tie_word_embeddings=True, head_dim=8),
        "tokens": True,
    },
    "llama3": {
        "config": LlamaConfig(**SIZES, head_dim=16, rope_parameters=LLAMA3),
        "old": ["rope"],
        "dtype": torch.bfloat16,
    },
    "llama-biases": {
        "config": LlamaConfig(
            **SIZES,
            attention_bias=True,
            mlp_bias=True,
            rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0},
        ),
        "gguf": False,
    },
    "mistral": {"config": MistralConfig(**SIZES, sliding_window=5), "shards": 2, "dtype": torch.bfloat16},
    "qwen2": {
        "config": Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=6, max_window_layers=1),
        "gguf": False,
    },
    "qwen2-full": {"config": Qwen2Config(**SIZES, tie_word_embeddings=True), "old": ["rope"]},
    "qwen3": {"config": Qwen3Config(**SIZES, head_dim=16, tie_word_embeddings=True)},
    "gemma": {"config": GemmaConfig(**SIZES, head_dim=16)},
    "gemma2": {
        "config": Gemma2Config(
            **SIZES, head_dim=8, sliding_window=5, query_pre_attn_scalar=8,
            attn_logit_softcapping=2.0, final_logit_softcapping=3.0,
        ),
    },
    "gemma3": {
        "config": Gemma3TextConfig(
            **{**SIZES, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 7, "num_key_value_heads": 1},
            head_dim=8, sliding_window=5, query_pre_attn_scalar=8,
            rope_parameters={
                "sliding_attention": DEFAULT,
                "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
            },
        ),
        "old": ["rope", "pattern"],
    },
    "phi3": {
        "config": Phi3Config(
            **SIZES, sliding_window=7, rope_parameters={**DEFAULT, "partial_rotary_factor": 0.5}
        ),
    },
}


def randomise(module, seed, dtype):
    """Weights of a size at which every layer changes its input, and every logit."""
    numbers = torch.Generator().manual_seed(seed)
    plus_one = "gemma" in module.config.model_type
    with torch.no_grad():
        for name, entries in module.named_parameters():
            drawn = torch.randn(entries.shape, generator=numbers)
            if "norm" in name:
                drawn = (0.0 if plus_one else 1.0) + 0.2 * drawn
            elif "embed" in name:
                drawn = 0.5 * drawn
            elif name.endswith("bias"):
                drawn = 0.3 * drawn
            else:
                drawn = 1.2 / math.sqrt(entries.shape[1]) * drawn
            entries.copy_(drawn.to(dtype))


def byte_pairs(words):
    """A tokeniser of SmolLM2's kind, learnt from the texts."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = [AddedToken(word, special=True, normalized=False) for word in SPECIAL]
    trainer = trainers.BpeTrainer(vocab_size=words, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    assert made.get_vocab_size() == words
    return made


def as_before(folder, parts):
    """Rewrites config.json with the fields of transformers 4."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    if "sliding_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    if "pattern" in parts:
        config.pop("layer_types")
        config.pop("_sliding_window_pattern", None)
        config["sliding_window_pattern"] = 6
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=1) + "\n")


def divide(folder, count):
    """Saves the weights in several files with an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    of = {name: f"model-{index % count + 1:05}-of-{count:05}.safetensors" for index, name in enumerate(names)}
    for file in sorted(set(of.values())):
        save_file({name: tensors[name] for name in names if of[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": of}, indent=1) + "\n")


# The names of llama.cpp for those of transformers.
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name, between):
    """The name of a tensor. `between` is whether norms follow products, too."""
    if name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"):
        return {"model.e": "token_embd", "model.n": "output_norm", "lm_head": "output"}[name[:7]] + ".weight"
    _, _, index, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    norms = {"post_attention_layernorm": "post_attention_norm" if between else "ffn_norm",
             "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
    return f"blk.{index}.{NAMES.get(part) or norms[part]}.{kind}"


def neighbours(rows, heads):
    """Rows of q or k with the two halves of a head beside each other."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def rope_factors(config):
    """By what llama.cpp's converter divides the frequencies of Llama 3."""
    rope = config.rope_parameters
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    factors = []
    for pair in range(0, config.head_dim, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (pair / config.head_dim)
        if wave < high:
            factors.append(1.0)
        elif wave > low:
            factors.append(rope["factor"])
        else:
            smooth = (rope["original_max_position_embeddings"] / wave - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"]
            )
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def write_gguf(path, model, tokens):
    """A file as llama.cpp's converter writes it. Matrices have 16 bits."""
    config = model.config
    arch = {"mistral": "llama", "gemma3_text": "gemma3"}.get(config.model_type, config.model_type)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(path.parent.name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_key_length(head)
    writer.add_value_length(head)
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    writer.add_rope_dimension_count(int(head * rope.get("partial_rotary_factor", 1.0)))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    if tokens is not None:
        made = json.loads(tokens.to_str())
        words = sorted(tokens.get_vocab(), key=tokens.get_vocab().get)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list(words)
        kinds = gguf.TokenType
        writer.add_token_types([kinds.CONTROL if word in SPECIAL else kinds.NORMAL for word in words])
        writer.add_token_merges([" ".join(pair) for pair in made["model"]["merges"]])
        writer.add_bos_token_id(config.bos_token_id)
        writer.add_eos_token_id(config.eos_token_id)
        writer.add_add_bos_token(False)
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors(config))
    between = arch in ("gemma2", "gemma3")
    tied = config.tie_word_embeddings
    for name, tensor in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        array = tensor.numpy().astype(np.float32)
        if arch == "llama" and ("q_proj" in name or "k_proj" in name):
            array = neighbours(array, config.num_attention_heads if "q_proj" in name else config.num_key_value_heads)
        if "gemma" in arch and "norm" in name:
            array = array + np.float32(1)
        writer.add_tensor(gguf_name(name, between), array.astype(np.float16) if array.ndim == 2 else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(folder, seed, case):
    folder.mkdir()
    config, dtype = case["config"], case.get("dtype", torch.float16)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    randomise(model, seed, dtype)
    model.to(dtype).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if "old" in case:
        as_before(folder, case["old"])
    # As a reader of the files sees it.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = byte_pairs(config.vocab_size) if case.get("tokens") else None
    if tokens is not None:
        tokens.save(str(folder / "tokenizer.json"), pretty=False)
        ids = tokens.encode(TEXTS[0]).ids[:TOKENS]
    else:
        numbers = torch.Generator().manual_seed(seed + 100)
        ids = torch.randint(0, config.vocab_size, (TOKENS,), generator=numbers).tolist()
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].numpy()
    arrays = {"ids": np.array(ids, dtype=np.int32), "logits": np.ascontiguousarray(logits, dtype=np.float32)}
    save_arrays(arrays, folder / "expected.safetensors")
    if case.get("gguf", True):
        write_gguf(folder / "model.gguf", model, tokens)
    if case.get("shards"):
        divide(folder, case["shards"])
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder.name}: {size} bytes, logits {logits.min():.2f} to {logits.max():.2f}, deviation {logits.std():.2f}")


def make_blocks(path):
    """Three blocks of each quantised type, and their floats."""
    numbers = np.random.default_rng(7)
    arrays = {}
    # Where a block's half-precision factors begin, in bytes.
    factors = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
               "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
    for name, starts in factors.items():
        kind = gguf.GGMLQuantizationType[name]
        size = gguf.GGML_QUANT_SIZES[kind][1]
        blocks = numbers.integers(0, 256, (3, size), dtype=np.uint8)
        for start in starts:
            drawn = (numbers.standard_normal(3) / 64).astype(np.float16)
            blocks[:, start : start + 2] = drawn.view(np.uint8).reshape(3, 2)
        arrays[f"{name}.blocks"] = blocks
        arrays[f"{name}.floats"] = gguf.quants.dequantize(blocks, kind).astype(np.float32)
    save_arrays(arrays, path)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        for seed, (name, case) in enumerate(CASES.items()):
            make(Path(scratch) / name, seed, case)
        make_blocks(Path(scratch) / "blocks.safetensors")
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.copytree(scratch, FOLDER)


if __name__ == "__main__":
    sys.exit(main())
