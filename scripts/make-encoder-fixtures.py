#!/usr/bin/env python3
"""Make small random sentence encoders and their embeddings in float32.

    python3 -m venv target/encoders
    target/encoders/bin/pip install -r scripts/requirements-encoders.txt
    target/encoders/bin/python scripts/make-encoder-fixtures.py

Writes test_vectors/encoders/, a folder a model. Each folder has the model's
files as transformers and sentence-transformers save them, except that tensors
are renamed, rounded or divided among files as CASES says. `expected.json` has
texts, the token ids that the model's own tokeniser makes, and the embeddings
that the two libraries compute.

Weights are random with a fixed seed. Other versions of the packages may draw
other weights, so the script writes everything anew or nothing.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLMRobertaConfig,
)

FOLDER = Path(__file__).resolve().parent.parent / "test_vectors" / "encoders"
TEXTS = [
    "the cat sat on the mat .",
    "The Cat sat on a Mat.",
    "a dog sat in the sun",
    "Red sky at night?",
    "É straße, naïve café!",
    "good news , bad news",
    "  a\tb  c ",
    "中文 and English",
    "ok 🙂 hello",
    "the sun and the moon and the cat and the dog and the mat and the sky and the night and the news are good",
]
WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] . , ? ! the The cat Cat sat on mat Mat a A dog in sun moon red Red sky at "
    "night good bad news and are ok hello b c ##s E ##nglish e ##n ##g English english cafe café naïve naive É e "
    "##e 中 文"
)
HIDDEN, POSITIONS = 32, 24
# Of more tokens than the distances that have biases of their own in MPNet.
LONG = " ".join([TEXTS[-1]] * 5)
SIZES = {"hidden_size": HIDDEN, "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": POSITIONS}


def word_piece(folder, lower=None):
    """vocab.txt, and tokenizer_config.json if `lower` is given."""
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(WORDS.split())) + "\n", encoding="utf-8")
    if lower is not None:
        config = {"do_lower_case": lower, "tokenizer_class": "BertTokenizer", "model_max_length": POSITIONS}
        (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n")


def word_piece_between(folder):
    """vocab.txt of MPNet's kind: BERT's words between its own special tokens."""
    words = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *WORDS.split(), "<mask>"])
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    config = {"do_lower_case": True, "tokenizer_class": "MPNetTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n")


def word_piece_json(folder):
    """tokenizer.json of lower-case words."""
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(WORDS.split()))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokens = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
    PreTrainedTokenizerFast(tokenizer_object=made, **tokens).save_pretrained(folder)


def byte_pairs(folder):
    """vocab.json and merges.txt of RoBERTa's kind, learnt from the texts."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=special, initial_alphabet=alphabet)
    made.train_from_iterator(TEXTS, trainer)
    made.model.save(str(folder))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}) + "\n")


def unigram(folder):
    """tokenizer.json of XLM-RoBERTa's kind: words, and the letters of others."""
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    # Not learnt from the texts: learning draws scores that differ from run to run.
    words = ["the", "cat", "sat", "on", "mat", "a", "dog", "in", "sun", "and", "news", "good", "The"]
    letters = sorted({letter for text in TEXTS for letter in text if letter.isalnum()} | set(".,?!"))
    pieces = [(f"▁{word}", -3.0 - index / 8) for index, word in enumerate(words)] + [("▁", -4.0)]
    pieces += [(letter, -6.0 - index / 64) for index, letter in enumerate(letters)]
    made = Tokenizer(models.Unigram(special + pieces, unk_id=3))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokens = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "cls_token": "<s>"}
    PreTrainedTokenizerFast(tokenizer_object=made, sep_token="</s>", **tokens).save_pretrained(folder)


def pooling(mode):
    modes = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"]
    flags = {f"pooling_mode_{name}": name == mode for name in modes}
    return "1_Pooling", "Pooling", {"word_embedding_dimension": HIDDEN, **flags}


def dense(outputs, activation, bias):
    config = {"in_features": HIDDEN, "out_features": outputs, "bias": bias}
    return "2_Dense", "Dense", {**config, "activation_function": f"torch.nn.modules.{activation}"}


NORMALIZE = ("3_Normalize", "Normalize", None)

# What each model is, how its tokens are made, and how its files are saved.
CASES = {
    "bert": {
        "config": lambda words: BertConfig(vocab_size=words, num_hidden_layers=1, **SIZES),
        "tokens": word_piece,
        "prefix": "bert.",
        "rename": {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"},
    },
    "bert-cased-first-token": {
        "config": lambda words: BertConfig(vocab_size=words, num_hidden_layers=2, **SIZES),
        "tokens": lambda folder: word_piece(folder, lower=False),
        "dtype": torch.float16,
        "modules": [pooling("cls_token"), NORMALIZE],
        "tokens_max": 12,
    },
    "distilbert-tanh": {
        "config": lambda words: DistilBertConfig(
            vocab_size=words, dim=HIDDEN, n_layers=2, n_heads=2, hidden_dim=48, max_position_embeddings=POSITIONS
        ),
        "tokens": word_piece_json,
        "prefix": "distilbert.",
        "dtype": torch.bfloat16,
        "modules": [pooling("mean_tokens"), dense(16, "activation.Tanh", True)],
    },
    "roberta-dense": {
        "config": lambda words: RobertaConfig(vocab_size=words, num_hidden_layers=1, type_vocab_size=1, **SIZES),
        "tokens": byte_pairs,
        "prefix": "roberta.",
        "dtype": torch.float16,
        "modules": [pooling("mean_tokens"), dense(24, "linear.Identity", False), NORMALIZE],
    },
    "xlm-roberta-shards": {
        "config": lambda words: XLMRobertaConfig(vocab_size=words, num_hidden_layers=1, type_vocab_size=1, **SIZES),
        "tokens": unigram,
        "shards": 2,
        "below": "0_Transformer",
        "modules": [pooling("mean_sqrt_len_tokens"), NORMALIZE],
    },
    "mpnet-long": {
        "config": lambda words: MPNetConfig(
            vocab_size=words, num_hidden_layers=2, **{**SIZES, "max_position_embeddings": 132}
        ),
        "tokens": word_piece_between,
        "texts": [LONG],
        "prefix": "mpnet.",
        "dtype": torch.float16,
        "modules": [pooling("mean_tokens"), dense(24, "activation.Tanh", True), NORMALIZE],
    },
    "electra": {
        "config": lambda words: ElectraConfig(
            vocab_size=words, num_hidden_layers=1, embedding_size=HIDDEN, **SIZES
        ),
        "tokens": lambda folder: word_piece(folder, lower=True),
        "prefix": "electra.",
        "dtype": torch.bfloat16,
        "modules": [pooling("cls_token"), NORMALIZE],
    },
}


def randomise(module, seed):
    """Weights of a size at which every layer changes its input."""
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, entries in module.named_parameters():
            drawn = torch.randn(entries.shape, generator=numbers)
            if "norm" in name.lower():
                entries.copy_((1.0 if name.endswith("weight") else 0.0) + 0.1 * drawn)
            elif "relative" in name:
                # So that biases change scores by as much as products do.
                entries.copy_(1.5 * drawn)
            elif "embeddings" in name:
                entries.copy_(0.5 * drawn)
            else:
                entries.copy_((0.15 if name.endswith("weight") else 0.05) * drawn)


def round_to(module, dtype):
    with torch.no_grad():
        for entries in module.parameters():
            entries.copy_(entries.to(dtype).to(torch.float32))


def save_weights(tensors, folder, case):
    """Saves the encoder's tensors under the names and in the files of `case`."""
    changed = {}
    for name, tensor in tensors.items():
        for old, new in case.get("rename", {}).items():
            name = name.replace(old, new)
        changed[case.get("prefix", "") + name] = tensor.to(case.get("dtype", torch.float32)).contiguous()
    count = case.get("shards")
    if count is None:
        save_file(changed, folder / "model.safetensors")
        return
    names = sorted(changed)
    of = {name: f"model-{index % count + 1:05}-of-{count:05}.safetensors" for index, name in enumerate(names)}
    for file in sorted(set(of.values())):
        save_file({name: changed[name] for name in names if of[name] == file}, folder / file)
    index = {"metadata": {}, "weight_map": of}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def make(folder, seed, case):
    own = folder / case.get("below", "")
    own.mkdir(parents=True)
    case["tokens"](own)
    words = len(AutoTokenizer.from_pretrained(own, config=case["config"](8)))
    model = AutoModel.from_config(case["config"](words)).eval()
    randomise(model, seed)
    round_to(model, case.get("dtype", torch.float32))
    model.save_pretrained(own)
    limit = case.get("tokens_max")
    if limit is not None:
        stated = {"max_seq_length": limit, "do_lower_case": False}
        (own / "sentence_bert_config.json").write_text(json.dumps(stated) + "\n")
    modules = [("", "Transformer", None)] if case.get("below") is None else [(case["below"], "Transformer", None)]
    for path, kind, config in case.get("modules", [pooling("mean_tokens"), NORMALIZE]):
        (folder / path).mkdir()
        modules.append((path, kind, config))
        if config is not None:
            (folder / path / "config.json").write_text(json.dumps(config) + "\n")
        if kind == "Dense":
            linear = torch.nn.Linear(config["in_features"], config["out_features"], bias=config["bias"])
            randomise(linear, seed + 100)
            tensors = {f"linear.{name}": entries.data for name, entries in linear.named_parameters()}
            save_file(tensors, folder / path / "model.safetensors")
    listed = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind, _) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed, indent=1) + "\n")

    whole = SentenceTransformer(str(folder), device="cpu")
    before = 2 if model.config.model_type in ("roberta", "xlm-roberta", "mpnet") else 0
    whole.max_seq_length = limit or model.config.max_position_embeddings - before
    texts = TEXTS + case.get("texts", [])
    ids = [whole.tokenizer(text, truncation=True, max_length=whole.max_seq_length)["input_ids"] for text in texts]
    embeddings = whole.encode(texts, batch_size=1)
    expected = {"texts": texts, "ids": ids, "embeddings": [[round(float(x), 7) for x in row] for row in embeddings]}
    if case["config"](8).model_type == "bert" and "modules" not in case:
        # Without modules.json: sentence-transformers adds the mean, and poai the length 1.
        shutil.rmtree(folder / "1_Pooling")
        (folder / "modules.json").unlink()
    for empty in folder.glob("*_Normalize"):
        empty.rmdir()

    # The pooler is no part of an embedding.
    tensors = load_file(own / "model.safetensors")
    (own / "model.safetensors").unlink()
    save_weights({name: tensor for name, tensor in tensors.items() if "pooler" not in name}, own, case)
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False) + "\n", encoding="utf-8")
    lengths = [len(row) for row in ids]
    print(f"{folder.name}: {words} words, {min(lengths)} to {max(lengths)} tokens, {np.shape(embeddings)[1]} columns")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        for seed, (name, case) in enumerate(CASES.items()):
            make(Path(scratch) / name, seed, case)
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.copytree(scratch, FOLDER)


if __name__ == "__main__":
    sys.exit(main())
