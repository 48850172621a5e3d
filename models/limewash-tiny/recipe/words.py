"""Coarse words for a paint, as captions of photographs have them: lightness, chroma, hue."""

import math

HUES = (
    (15, "pink"),
    (45, "red"),
    (75, "orange"),
    (105, "yellow"),
    (130, "lime"),
    (165, "green"),
    (205, "teal"),
    (245, "cyan"),
    (285, "blue"),
    (315, "violet"),
    (340, "purple"),
    (361, "pink"),
)
LIGHTNESS = ((30, "black"), (42, "dark"), (54, "deep"), (66, "medium"), (78, "light"), (88, "pale"), (101, "white"))
CHROMA = ((12, "greyish"), (24, "muted"), (40, "clear"), (1000, "vivid"))
TEMPLATES = (
    "a {} wall",
    "{} walls",
    "a room with {} walls",
    "a photo of a room with a {} wall",
    "an interior, the wall painted {}",
    "{} paint",
)
# Words a user may well add; they get whole tokens, though no caption of the recipe holds them.
OTHER_WORDS = "grey gray brown beige cream navy turquoise bedroom living kitchen house window sofa floor the in and on bright warm cool"


def _below(table, value):
    return next(word for limit, word in table if value < limit)


def color_words(lab):
    """E.g. "pale muted blue" or "dark grey"."""
    lightness, a, b = (float(value) for value in lab)
    chroma = math.hypot(a, b)
    if chroma < 5:
        return f"{_below(LIGHTNESS, lightness)} grey"
    hue = _below(HUES, math.degrees(math.atan2(b, a)) % 360)
    return f"{_below(LIGHTNESS, lightness)} {_below(CHROMA, chroma)} {hue}"


def caption(lab, template):
    return TEMPLATES[template].format(color_words(lab))


def vocabulary_words():
    """Every word of the captions, and the others: those that become one token."""
    text = " ".join(template.format(" ") for template in TEMPLATES)
    words = text.replace(",", " , ").split() + OTHER_WORDS.split()
    for table in (HUES, LIGHTNESS, CHROMA):
        words += [word for _, word in table]
    return sorted(set(words) | {"grey"})
