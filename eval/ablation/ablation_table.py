"""From finished runs to figures, from figures to the tables of a document, and from its claims back to the figures."""

import json
import math
import re
import statistics

# name, decimals, whether lower is better; docs/evaluation.md defines them.
FIGURES = (
    ("delta_e_2000_exact", 2, True),
    ("delta_e_2000", 2, True),
    ("delta_e_76", 2, True),
    ("hue_error", 1, True),
    ("lightness_difference", 2, True),
    ("shading_fidelity", 3, False),
    ("edge_error", 2, True),
    ("edge_bleed", 2, True),
    ("delta_e_2000_outside", 2, True),
    ("ssim_outside", 3, False),
)
DECIMALS = {name: decimals for name, decimals, _ in FIGURES}
LOWER = {name: lower for name, _, lower in FIGURES}
BANDS = (("dark", 0, 40), ("middle", 40, 65), ("light", 65, 101))
BAND_FIGURES = ("delta_e_2000_exact", "delta_e_2000", "lightness_difference")
CONTROLS = ("base", "recolored_without_network", "floor")
CONTROL_TITLES = {"base": "*the base alone*", "recolored_without_network": "*recolouring without a network*",
                  "floor": "*floor: the VAE alone*"}
MISSING = "–"
WORDS = ("better", "worse", "no difference")


def number(value):
    """`value` when it is a finite number, else None."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None


def pick(figures):
    return {name: number((figures or {}).get(name)) for name, _, _ in FIGURES}


def lightness(color):
    """CIE L* of "#rrggbb" in sRGB."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    y = sum(weight * c for weight, c in zip((0.212671, 0.71516, 0.072169), linear))
    return 116 * y ** (1 / 3) - 16 if y > 216 / 24389 else y * 24389 / 27


def median(values):
    """Of the numbers among them; None where there is none."""
    known = [value for value in values if number(value) is not None]
    return statistics.median(known) if known else None


def by_lightness(records):
    bands = {}
    for name, low, high in BANDS:
        part = [record for record in records if low <= lightness(record["asked"]) < high]
        bands[name] = {"paintings": len(part),
                       **{figure: median(record.get(figure) for record in part) for figure in BAND_FIGURES}}
    return bands


def read(path):
    return json.loads(path.read_text())


def collect(job, seconds):
    """What a finished run measured."""
    if job.arm.evaluate:
        document = read(job.folder / "evaluation.json")
        subject = next(one for one in document["subjects"] if one["method"] == "adapter")
        last, shuffled, base = subject["metrics"], subject["shuffled_reference"], None
        controls = document["controls"]
        file = job.folder / subject["files"] / "metrics.json"
    else:
        summary = read(job.folder / "summary.json")
        at = {one["step"]: one for one in summary["evaluations"]}
        last, base, controls = at[job.steps], at.get(0), summary["controls"] or {}
        shuffled = controls.get("shuffled_reference")
        file = job.folder / f"evaluations/step-{job.steps:06d}/metrics.json"
    records = read(file)["records"]
    return {"figures": pick(last), "shuffled": number((shuffled or {}).get("delta_e_2000")), "paintings": len(records),
            "base": pick(base) if base else None,
            **{name: pick(controls[name]) if controls.get(name) else None for name in CONTROLS[1:]},
            "by_lightness": by_lightness(records), "seconds": seconds}


def values_of(arm, *path):
    """A figure of every seed that has it: values_of(arm, "figures", "hue_error")."""
    found = []
    for seed in sorted(arm["seeds"], key=int):
        value = arm["seeds"][seed]
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if number(value) is not None:
            found.append(value)
    return found


def cell(values, decimals):
    """Median over the seeds, and lowest and highest in brackets."""
    if not values:
        return MISSING
    text = f"{statistics.median(values):.{decimals}f}"
    if len(values) > 1:
        text += f" ({min(values):.{decimals}f}–{max(values):.{decimals}f})"
    return text


def verdict(left, right, lower_is_better):
    """How `left` stands against `right`, two lists of one value a seed: better, worse, or no difference when the medians
    differ by no more than the wider of the two spreads over the seeds; None with fewer than two seeds."""
    if len(left) < 2 or len(right) < 2:
        return None
    spread = max(max(left) - min(left), max(right) - min(right))
    difference = statistics.median(left) - statistics.median(right)
    if abs(difference) <= spread:
        return "no difference"
    return "better" if (difference < 0) == lower_is_better else "worse"


def compare(results, left, right, figure):
    """`verdict` of two arms' figures: "hue_error", or "dark delta_e_2000" of one band of lightness."""
    band, _, name = figure.rpartition(" ")
    path = ("by_lightness", band, name) if band else ("figures", name)
    arms = results["arms"]
    return verdict(values_of(arms[left], *path), values_of(arms[right], *path), LOWER[name])


def row(cells):
    return "| " + " | ".join(cells) + " |"


def markdown(head, rows):
    return [row(head), "|" + "---|" * len(head), *(row(one) for one in rows)]


def title_of(results, name):
    arm = results["arms"][name]
    seeds, wanted = len(arm["seeds"]), len(results["settings"]["seeds"])
    short = "" if seeds in (0, wanted) else f" (**{seeds} of {wanted} seeds**)"
    return f"`{name}`: {arm['title']}{short}"


def shown_figures(results, arms):
    return [name for name, _, _ in FIGURES if any(values_of(results["arms"][arm], "figures", name) for arm in arms)]


def control_rows(results, group, figures):
    arms = results["arms"]
    rows, seen = [], []
    for control in CONTROLS:
        for name in [group["against"], *group["arms"]]:
            cells = [cell(values_of(arms[name], control, figure), DECIMALS[figure]) for figure in figures]
            known = (control, cells)
            if all(one == MISSING for one in cells) or known in seen or (control != "base" and any(k == control for k, _ in seen)):
                continue
            first = not any(k == control for k, _ in seen)
            seen.append(known)
            rows.append([CONTROL_TITLES[control] + ("" if first else f", as in `{name}`"), *cells, MISSING])
    return rows


def figure_table(results, group):
    arms = results["arms"]
    figures = shown_figures(results, group["arms"])
    if not figures:
        return ["Nothing of this group has been run yet."]
    head = ["", *(f"`{name}` {'↓' if LOWER[name] else '↑'}" for name in figures), "shuffled reference: `delta_e_2000`"]
    rows = []
    for name in group["arms"]:
        arm = arms[name]
        if arm["seeds"]:
            cells = [cell(values_of(arm, "figures", figure), DECIMALS[figure]) for figure in figures]
            rows.append([title_of(results, name), *cells, cell(values_of(arm, "shuffled"), 2)])
        else:
            rows.append([title_of(results, name), "**missing**", *[MISSING] * len(figures)])
    return markdown(head, rows + control_rows(results, group, figures))


def verdict_table(results, group):
    rows = []
    for name in group["arms"]:
        if name == group["against"] or not results["arms"][name]["seeds"]:
            continue
        found = {word: [] for word in WORDS}
        for figure in shown_figures(results, [name]):
            if (word := compare(results, name, group["against"], figure)) is not None:
                found[word].append(f"`{figure}`")
        cells = [", ".join(found[word]) or MISSING for word in WORDS] if any(found.values()) else ["too few seeds"] * 3
        rows.append([f"`{name}`", *cells])
    return markdown([f"against `{group['against']}`", *WORDS], rows) if rows else []


def lightness_table(results, group):
    figures = [name for name in BAND_FIGURES
               if any(values_of(results["arms"][arm], "by_lightness", "dark", name) for arm in group["arms"])]
    head = ["by the lightness of the reference", *(f"{band}: `{figure}` ↓" for figure in figures for band, _, _ in BANDS)]
    rows = [[f"`{name}`", *(cell(values_of(results["arms"][name], "by_lightness", band, figure), 2)
                            for figure in figures for band, _, _ in BANDS)]
            for name in group["arms"] if results["arms"][name]["seeds"]]
    return markdown(head, rows) if rows else []


def notes(results, group):
    lines = []
    for name in group["arms"]:
        arm = results["arms"][name]
        if arm["note"]:
            lines.append(f"- `{name}` is missing: {arm['note']}" if not arm["seeds"] else f"- `{name}`: {arm['note']}")
    return lines


def group_block(results, group):
    parts = [[f"*{group['question']}*"], figure_table(results, group), verdict_table(results, group)]
    if group["by_lightness"]:
        parts.append(lightness_table(results, group))
    parts.append(notes(results, group))
    return "\n\n".join("\n".join(part) for part in parts if part)


def settings_block(results):
    settings = results["settings"]
    arms = [arm for arm in results["arms"].values() if arm["seeds"]]
    seconds = [one for arm in arms for one in values_of(arm, "seconds")]
    paintings = {one["paintings"] for arm in arms for one in arm["seeds"].values()}
    lines = [f"- base: {settings['base']}; configuration: `{settings['config']}`; training photos: {settings['dataset']}",
             f"- {settings['steps']} steps of {settings['batch']}, seeds {', '.join(map(str, settings['seeds']))}; "
             f"{'/'.join(map(str, sorted(paintings))) or 'no'} paintings measured of every run, the same ones with the same noise",
             f"- {len(seconds)} runs, {sum(seconds) / 3600:.1f} h of runs in all, median {median(seconds) or 0:.0f} s a run, "
             f"{settings['jobs']} at a time, each of {settings['trainers']} rank(s) with {settings['threads'] or 'all'} thread(s)"]
    programs = {one["program"] for arm in arms for one in arm["seeds"].values()}
    if len(programs) > 1:
        lines.append(f"- **the runs are by {len(programs)} different builds of the program**")
    if masks := results.get("masks"):
        kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in masks["kinds"].items())
        lines.append(f"- wrong masks: {masks['wrong']} of {masks['photos']} ({kinds}), their mean IoU {masks['mean_iou']:.2f}; "
                     f"the filter keeps {masks['kept']} photos (quality at least {masks['threshold']:.3f}), "
                     f"{masks['wrong_kept']} of them with wrong masks")
    return "\n".join(lines)


def blocks(results):
    return {"settings": settings_block(results),
            **{group["name"]: group_block(results, group) for group in results["groups"]}}


BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.S)


def fill(text, results):
    """The document with every `<!-- table: NAME -->` … `<!-- end of table -->` written anew; a block that the document
    lacks is put at its end."""
    made = blocks(results)
    there = {match[2] for match in BLOCK.finditer(text)}
    for name in made:
        if name not in there:
            group = next((one for one in results["groups"] if one["name"] == name), None)
            text = text.rstrip() + f"\n\n## {group['title'] if group else 'How it was made'}\n\n<!-- table: {name} -->\n<!-- end of table -->\n"
    return BLOCK.sub(lambda match: match[1] + made.get(match[2], "").rstrip() + "\n" + match[3], text)


CLAIM = re.compile(r"<!-- claim: (\w+) (better than|worse than|no difference from) (\w+) by ((?:\w+ )?\w+) -->")


def wrong_claims(text, results):
    """What the document claims in `<!-- claim: ARM better than|worse than|no difference from ARM by FIGURE -->` and the
    figures do not say. A claim that cannot be read is wrong, too."""
    problems = []
    for line in re.findall(r"<!-- claim:.*?-->", text, re.S):
        match = CLAIM.fullmatch(line)
        if not match:
            problems.append(f"{line}: expected ARM better than|worse than|no difference from ARM by FIGURE")
            continue
        left, word, right, figure = match.groups()
        known = figure.split()[-1] in LOWER and (" " not in figure or figure.split()[0] in [name for name, _, _ in BANDS])
        if not known or left not in results["arms"] or right not in results["arms"]:
            problems.append(f"{line}: unknown arm or figure")
            continue
        said = word.rsplit(" ", 1)[0]
        if (found := compare(results, left, right, figure)) != said:
            problems.append(f"{line}: the figures say {found or 'nothing: too few seeds'}")
    return problems
