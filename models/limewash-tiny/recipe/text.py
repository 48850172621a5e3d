"""The tokenizer files and the text encoder: CLIP's, with merges that make whole words of the captions' words."""

import collections
import json
import pathlib

import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from words import vocabulary_words

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
LENGTH = 32


def byte_characters():
    """The printable character that stands for each byte, in CLIP's order: printable bytes first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(hidden))]


def learn_merges(words):
    """Byte-pair merges, most frequent pair first (ties: alphabetical), until each word is one token."""
    pieces = [[*word[:-1], word[-1] + WORD_END] for word in words]
    merges = []
    while any(len(piece) > 1 for piece in pieces):
        pairs = collections.Counter(pair for piece in pieces for pair in zip(piece, piece[1:]))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for piece in pieces:
            i = 0
            while i < len(piece) - 1:
                if (piece[i], piece[i + 1]) == best:
                    piece[i : i + 2] = ["".join(best)]
                i += 1
    return merges


def write_tokenizer(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(vocabulary_words())
    characters = byte_characters()
    tokens = characters + [character + WORD_END for character in characters]
    tokens += ["".join(pair) for pair in merges] + [START, END]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    assert len(vocabulary) == len(tokens)
    (folder / "vocab.json").write_text(json.dumps(vocabulary) + "\n", encoding="utf-8")
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def special(token):
        return {"content": token, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}

    specials = {
        "bos_token": special(START),
        "eos_token": special(END),
        "pad_token": END,
        "unk_token": special(END),
    }
    (folder / "special_tokens_map.json").write_text(json.dumps(specials, indent=2) + "\n")
    config = {
        "add_prefix_space": False,
        "bos_token": START,
        "do_lower_case": True,
        "eos_token": END,
        "errors": "replace",
        "model_max_length": LENGTH,
        "pad_token": END,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    for word in vocabulary_words():
        ids = tokenizer(word).input_ids
        if len(ids) != 3:
            raise SystemExit(f"tokenizer: '{word}' became {len(ids) - 2} tokens, expected one")
    return tokenizer


def tokenize(tokenizer, prompts):
    """int64 [N, LENGTH], padded with the end token as Stable Diffusion's are."""
    return tokenizer(
        prompts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids


def build(tokenizer, width):
    torch.manual_seed(17)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = CLIPTextModel(config)
    # CLIP's own start of 0.02 is sized for years of training; words must stand out at once here.
    for embedding in (model.get_input_embeddings(),):
        torch.nn.init.normal_(embedding.weight, 0, 0.3)
    return model
