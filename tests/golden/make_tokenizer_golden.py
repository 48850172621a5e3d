#!/usr/bin/env python3
"""Write tests/golden/tokenizer: small CLIP tokenizers in every layout, and the ids that transformers' CLIPTokenizer
gives for texts in cases.json. Run with the Python of .venv."""

import argparse
import json
import os
import pathlib
import random
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import reference_tokenizer as reference  # noqa: E402
from transformers import CLIPTokenizer  # noqa: E402

LENGTH = 12
ADDED = ["<wall-paint>", "Sage Green"]
TEXTS = [
    "",
    " ",
    "a wall in Sage Green, beside the WINDOW",
    "It's we'LL can't they'RE I'd I'm I've 'tis o'clock '' 's!'s",
    "12345 \u0663\u0664 \u2155 \u2167 3rd",
    "\u0130stanbul \u039f\u0394\u039f\u03a3 Stra\u00dfe \u1e9e \u01c5 \ufb01",
    "cafe\u0301 caf\u00e9 \u212bngstr\u00f6m \u1100\u1161\u11a8 \uac00\u11a8",
    "a\u0898\u0323 a\u1df9\u0301 x\u0301\u0323 \U00011935\U00011930",
    "tab\tline\nfeed\r\u0085next\u00a0no\u3000wide\u2028\u200bzero",
    "\x00\x01\x1f\x7f\u0080",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \u2764\ufe0f 1\ufe0f\u20e3",
    "x<|endoftext|>y <|ENDOFTEXT|> <|startoftext|>! !<|startoftext|> <|endof",
    "x<wall-paint>y <WALL-PAINT> sage green SAGE GREEN!",
    "!!! ! !?",
    "\ufdd0\uffff\U0010ffff\ue000",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "tokenizer")
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    draw = random.Random(3)
    words = reference.draw_words(draw, 2) + " ".join(TEXTS[2:4]).lower().split() * 3
    draw.shuffle(words)
    merges = reference.train(draw, words, 900)
    vocabulary = reference.vocabulary_of(merges)
    reference.write_old_layout(out / "old", vocabulary, merges, length=LENGTH)
    reference.write_old_layout(out / "sd2", vocabulary, merges, pad="!", as_text=True, length=LENGTH)
    reference.write_new_layout(out / "new", out / "old", ADDED)
    texts = TEXTS + [reference.draw_text(draw, words, ADDED) for _ in range(60)]
    cases = {}
    for layout in ("old", "sd2", "new"):
        tokenizer = CLIPTokenizer.from_pretrained(out / layout)
        cases[layout] = [
            {"text": text, "ids": ids, "padded": padded}
            for text, ids, padded in zip(
                texts,
                reference.reference_ids(tokenizer, texts),
                reference.reference_batch(tokenizer, texts, LENGTH),
            )
        ]
    (out / "cases.json").write_text(json.dumps(cases, indent=None) + "\n")
    total = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{len(vocabulary)} tokens, {len(texts)} texts, {total / 2**10:.0f} KiB in {out}")


if __name__ == "__main__":
    main()
