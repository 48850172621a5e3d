"""Tokenizer folders and texts for tests: a vocabulary trained on made-up words of every script, written in each
layout that transformers' CLIPTokenizer reads, and texts drawn from all of Unicode."""

import functools
import json
import unicodedata

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'Re", "'LL", "\u2019s", "''s", "'x", "'"]
# Lower case of more than one character, final sigma, title case, compatibility forms, what NFC changes or must not.
TRAPS = ["\u0130", "I\u0307", "\u03a3", "\u039f\u0394\u039f\u03a3", "\u1e9e", "\ufb01", "\u01c5", "\u1f88", "\u1fbc",
         "\u212b", "\u2126", "\u0344", "\u0958", "\u0f73", "\u0f81", "\ufb1d", "\U0001d15e", "\u0390", "\u1ebf",
         "\u0041\u030a\u0323", "\u0061\u0315\u0300\u05ae\u0062", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0b47\u0300\u0b3e",
         "\u09c7\u0334\u09be", "\U00011935\U00011930", "a\u0898\u0323", "a\u1df9\u0301", "\u0cc6\u0cc2\u0cd5", "\u3099\u304b"]
EMOJI = ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1eb\U0001f1f7", "1\ufe0f\u20e3",
         "\u2764\ufe0f", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\U0001f926\U0001f3fc\u200d\u2642\ufe0f"]
# Never assigned, and never to be: the reference's newer Unicode can't know more about them.
UNASSIGNED = ["\ufdd0", "\ufffe", "\uffff", "\U0001fffe", "\U0004abcd", "\U000dffff", "\U0010ffff", "\ue000", "\U000f1234"]
SPECIALS = [START, END, START.upper(), "<|EndOfText|>", "<|endoftext|>!!", "<|endoftext", "|>", "<<|startoftext|>>",
            "<|endoftext|><|endoftext|>", "<|start\u0301oftext|>"]


@functools.cache
def scripts():
    """Characters that this Python's Unicode has, by the first word of their names, and the groups without names."""
    groups = {}
    for code in range(0x110000):
        character = chr(code)
        category = unicodedata.category(character)
        if category in ("Cn", "Cs", "Co"):
            continue
        name = unicodedata.name(character, "CONTROL").split()[0].split("-")[0]
        groups.setdefault(name, []).append(character)
    return groups


@functools.cache
def characters_of(category):
    return [c for group in scripts().values() for c in group if unicodedata.category(c).startswith(category)]


@functools.cache
def scripts_with_letters():
    groups = [[c for c in group if unicodedata.category(c).startswith("L")] for group in scripts().values()]
    return [group for group in groups if len(group) > 5]


def draw_words(draw, count):
    """Words of a few characters of one script each; the names of characters give English ones."""
    words = []
    for letters in scripts_with_letters():
        few = draw.sample(letters, min(len(letters), 24))
        words += ["".join(draw.choices(few, k=draw.randint(1, 6))) for _ in range(count)]
    names = [unicodedata.name(c, "").lower() for c in draw.sample(characters_of("L"), 20 * count)]
    words += [word for name in names for word in name.split()]
    draw.shuffle(words)
    return words


def train(draw, words, size):
    """Merges in CLIP's form, from a corpus in which some words are much more frequent than others."""
    pipeline = CLIPTokenizer().backend_tokenizer
    tokenizer = Tokenizer(BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = pipeline.normalizer, pipeline.pre_tokenizer
    trainer = BpeTrainer(
        vocab_size=size,
        end_of_word_suffix="</w>",
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    corpus = (" ".join(draw.choices(words, [1 / (i + 1) for i in range(len(words))], k=50)) for _ in range(1000))
    tokenizer.train_from_iterator(corpus, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(merge) for merge in merges]


def vocabulary_of(merges, without=()):
    """CLIP's order: bytes, bytes at the end of a word, what the merges make, start and end token."""
    symbols = sorted(ByteLevel.alphabet(), key=lambda symbol: (ord(symbol) > 255, ord(symbol)))
    tokens = symbols + [symbol + "</w>" for symbol in symbols] + [left + right for left, right in merges]
    tokens = dict.fromkeys(token for token in tokens + [START, END] if token not in without)
    return {token: index for index, token in enumerate(tokens)}


def token_object(content):
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}


def write_old_layout(folder, vocabulary, merges, pad=END, as_text=False, length=77):
    """vocab.json and merges.txt, as Stable Diffusion's folders have them."""
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary) + "\n")
    lines = ["#version: 0.2"] + [f"{left} {right}" for left, right in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END}
    if not as_text:
        special = {name: token_object(token) for name, token in special.items()}
    (folder / "special_tokens_map.json").write_text(json.dumps(special | {"pad_token": pad}) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": length, "pad_token": END, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n")


def write_new_layout(folder, old, added=()):
    """tokenizer.json, as transformers 5 writes it."""
    tokenizer = CLIPTokenizer.from_pretrained(old)
    tokenizer.add_tokens(list(added))
    tokenizer.save_pretrained(folder)


def draw_token(draw, content, in_config):
    """A token as a file may write it: text, or an object with some of its options."""
    if draw.random() < 0.3:
        return content
    token = {"content": content} | ({"__type": "AddedToken"} if in_config else {})
    for option in ("normalized", "lstrip", "rstrip"):
        if draw.random() < 0.5:
            token[option] = draw.random() < 0.5
    return token


def draw_layout(draw, folder, vocabulary, merges, contents):
    """vocab.json and merges.txt with special and added tokens in any of the files that may hold them. No two of
    `contents` read the same in lower case: transformers would take either, by chance."""
    write_old_layout(folder, vocabulary, merges)
    names = {"bos_token": [START], "eos_token": [END], "unk_token": [END, "a"], "pad_token": [END, "!", "a"]}
    names |= {"sep_token": [END, "x"], "mask_token": contents}
    new = [content for content in contents if content not in vocabulary]

    def named(in_config):
        tokens = {}
        for name, choices in names.items():
            if draw.random() < 0.5:
                tokens[name] = draw_token(draw, draw.choice(choices), in_config)
        if draw.random() < 0.4:
            chosen = draw.sample(contents, draw.randint(0, 3))
            tokens["extra_special_tokens"] = [draw_token(draw, content, in_config) for content in chosen]
        return tokens

    def listed():
        """Added tokens and their ids: behind the vocabulary, or where the vocabulary has them."""
        ids = {content: len(vocabulary) + i for i, content in enumerate(draw.sample(new, draw.randint(0, 3)))}
        return ids | {content: vocabulary[content] for content in draw.sample([START, END, "x"], draw.randint(0, 2))}

    config = named(in_config=True)
    if draw.random() < 0.4:
        config["added_tokens_decoder"] = decoder = {}
        for content, index in listed().items():
            token = draw_token(draw, content, in_config=False)
            decoder[str(index)] = {"content": content} if token == content else token
            if draw.random() < 0.5:
                decoder[str(index)]["special"] = draw.random() < 0.5
    if draw.random() < 0.4:
        (folder / "added_tokens.json").write_text(json.dumps(listed()) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(named(in_config=False)) + "\n")


def draw_text(draw, words, added=()):
    """A text of up to twelve pieces, of everything that a tokenizer may stumble over."""
    everything = list(scripts().values())

    def word():
        return draw.choice([str.lower, str.upper, str.title, str.swapcase, str])(draw.choice(words))

    def script():
        groups = draw.choice([everything, scripts_with_letters()])
        return "".join(draw.choices(draw.choice(groups), k=draw.randint(1, 6)))

    def marked():
        return draw.choice(characters_of("L")) + "".join(draw.choices(characters_of("M"), k=draw.randint(1, 5)))

    pieces = [
        word,
        word,
        script,
        script,
        marked,
        lambda: word() + draw.choice(CONTRACTIONS) + draw.choice(["", word()]),
        lambda: "".join(draw.choice(draw.choice(everything)) for _ in range(draw.randint(1, 4))),
        lambda: "".join(draw.choices(characters_of("N"), k=draw.randint(1, 4))),
        lambda: "".join(draw.choices(characters_of("P") + characters_of("S"), k=draw.randint(1, 4))),
        lambda: "".join(draw.choices("!?.,:;'\"<>|#%&()*+-/\\_~", k=draw.randint(1, 5))),
        lambda: "".join(draw.choices(WHITE_SPACE, k=draw.randint(1, 3))),
        lambda: draw.choice(characters_of("C") + UNASSIGNED),
        lambda: unicodedata.normalize(draw.choice(["NFD", "NFKD", "NFKC"]), script()),
        lambda: draw.choice(TRAPS),
        lambda: "".join(draw.choices(EMOJI, k=draw.randint(1, 3))),
        lambda: draw.choice([*SPECIALS, *added, *(token.upper() for token in added)]),
    ]
    chosen = [draw.choice(pieces)() for _ in range(draw.randint(0, 12))]
    return draw.choice(["", " ", " "]).join(chosen)


def reference_ids(tokenizer, texts):
    return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []


def reference_batch(tokenizer, texts, length):
    return tokenizer(texts, padding="max_length", truncation=True, max_length=length)["input_ids"]
