#!/usr/bin/env python3
"""Runs `limewash model tokenize` on texts of every script, and compares the ids with transformers' CLIPTokenizer.

The texts hold every character that Python's Unicode knows. Characters that are newer than that are left out: the
three steps of the reference know Unicode 9, 16 and 17, limewash what its ICU knows.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from transformers import CLIPTokenizer  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
import reference_tokenizer as reference  # noqa: E402

ADDED = ["<wall-paint>", "Sage Green", "\u00e9t\u00e9"]
CONTENTS = [*ADDED, "x", "sa", "sage", "Sage g", "E\u0301", "\u0130", "ab", "!!", reference.END]


class Parity:
    def __init__(self, program):
        self.program, self.compared, self.failures = program, 0, 0

    def tokenize(self, folder, texts, *options):
        command = [self.program, "model", "tokenize", "--model", str(folder), "--json", *options]
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        done = subprocess.run(command, input=lines, text=True, capture_output=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def compare(self, what, texts, actual, expected):
        wrong = [i for i, ids in enumerate(expected) if i >= len(actual) or actual[i] != ids]
        if len(actual) != len(expected):
            wrong.append(len(expected))
        self.compared += len(expected)
        self.failures += len(wrong)
        tokens = sum(map(len, expected))
        print(f"{'FAILED' if wrong else 'ok    '} {what}: {len(expected)} texts, {tokens} ids, {len(wrong)} differ")
        for i in wrong[:5]:
            if i < len(texts):
                print(f"  {ascii(texts[i])}\n    expected {expected[i]}\n    got      {actual[i:i + 1]}")

    def compare_texts(self, what, folder, texts):
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.compare(what, texts, self.tokenize(folder, texts), reference.reference_ids(tokenizer, texts))
        some = texts[:1000]
        expected = reference.reference_batch(tokenizer, some, min(tokenizer.model_max_length, 77))
        self.compare(f"{what}, padded", some, self.tokenize(folder, some, "--padded"), expected)


def every_character():
    """Each character beside a letter and beside a sign, which shows for what it counts."""
    characters = [character for group in reference.scripts().values() for character in group]
    pieces = [f"a{character}-{character}" for character in characters + reference.UNASSIGNED]
    return len(characters), [" ".join(pieces[i : i + 8]) for i in range(0, len(pieces), 8)]


def long_texts(words):
    return [
        "",
        "x" * 100_000,
        "\u0301\u0323" * 20_000,
        "a" + "\u0323\u0301\u0334" * 10_000,
        "!" * 50_000,
        "\uac00" * 20_000,
        "1" * 20_000,
        " ".join(words * 3)[:200_000],
        "<|endoftext|>" * 5_000,
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limewash", required=True, help="the program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--layouts", type=int, default=15)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    words = reference.draw_words(draw, 30)
    merges = reference.train(draw, words, 4000)
    vocabulary = reference.vocabulary_of(merges)
    texts = [reference.draw_text(draw, words, ADDED) for _ in range(arguments.texts)]
    some = texts[: len(texts) // 5]
    parity = Parity(arguments.limewash)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        reference.write_old_layout(folder / "old", vocabulary, merges)
        reference.write_old_layout(folder / "sd2", vocabulary, merges, pad="!", length=20)
        reference.write_old_layout(folder / "text", vocabulary, merges, as_text=True)
        normalized = reference.token_object(reference.END)
        reference.write_old_layout(folder / "objects", vocabulary, merges, pad=normalized, length=30)
        reference.write_new_layout(folder / "new", folder / "old")
        reference.write_new_layout(folder / "added", folder / "old", ADDED)
        missing = {"a", "b</w>", "\u0120", "\u00c3", "\u00a9</w>"}
        gaps, kept = reference.vocabulary_of([], missing), []
        for left, right in merges:
            if left in gaps and right in gaps:
                kept.append((left, right))
                gaps[left + right] = len(gaps)
        reference.write_old_layout(folder / "gaps", gaps, kept)

        parity.compare_texts("vocab.json", folder / "old", texts)
        parity.compare_texts("Stable Diffusion 2's padding", folder / "sd2", some)
        parity.compare_texts("special tokens as text", folder / "text", some)
        parity.compare_texts("normalised special tokens", folder / "objects", some)
        parity.compare_texts("tokenizer.json", folder / "new", some)
        parity.compare_texts("added tokens", folder / "added", some)
        parity.compare_texts("bytes that are not in the vocabulary", folder / "gaps", some)
        for number in range(arguments.layouts):
            drawn = folder / f"drawn-{number}"
            reference.draw_layout(draw, drawn, vocabulary, merges, CONTENTS)
            if draw.random() < 0.3:
                reference.write_new_layout(folder / f"new-{number}", drawn)
                drawn = folder / f"new-{number}"
            few = [reference.draw_text(draw, words, CONTENTS) for _ in range(50)]
            parity.compare_texts(f"special tokens drawn at random, {number}", drawn, few)
        count, lines = every_character()
        what = f"each of the {count} characters of Unicode {unicodedata.unidata_version}"
        parity.compare_texts(what, folder / "old", lines)
        parity.compare_texts("long texts", folder / "old", long_texts(words))
    print(f"{len(vocabulary)} tokens, {parity.compared} comparisons, {parity.failures} failed")
    sys.exit(1 if parity.failures else 0)


if __name__ == "__main__":
    main()
