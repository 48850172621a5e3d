"""Does an adapter beat the recolouring without a network? The tables of docs/evaluation.md:

    recoloring_study.py --adapter runs/demo --out build/recoloring_study

Paints the adapter's validation rooms with `limewash evaluate`, with right masks and with wrong ones of known
error, and prints Markdown. Figures are medians over the paintings, computed here from each metrics.json.
"""

import argparse
import json
import os
import pathlib
import subprocess

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMEWASH = os.environ.get("LIMEWASH", str(ROOT / "build/release/launcher/limewash"))

MASKS = {"right": [], **{
    f"{kind.replace('_', ' ')}, IoU {iou}": [f"evaluation.mask_corruption={kind}", f"evaluation.mask_iou={iou}"]
    for kind, iou in (("any", 0.9), ("any", 0.7), ("any", 0.5), ("dilation", 0.8), ("erosion", 0.8),
                      ("missing_region", 0.7), ("object_included", 0.8), ("surface_included", 0.7), ("holes", 0.6),
                      ("splinters", 0.6), ("ragged_boundary", 0.6))}}
FIGURES = {"delta_e_2000_exact": "exact", "delta_e_2000": "region", "edge_error": "edge", "edge_bleed": "bleed",
           "delta_e_2000_outside": "outside"}
METHODS = {"network": "network", "pasted": "network, pasted", "recolor": "recolouring", "floor": "floor"}


def evaluate(folder, adapter, settings, methods):
    """The records of each subject of one `limewash evaluate`; one that is there is not made again."""
    done = folder / "evaluation.json"
    command = [LIMEWASH, "evaluate", "--adapter", adapter, "--out", str(folder), "--without-controls", "--json"]
    command += [part for method in methods for part in ("--method", method)]
    command += [part for setting in settings for part in ("--set", setting)]
    if not done.exists():
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    records = {}
    for subject in json.loads(done.read_text())["subjects"]:
        name = "network" if subject["method"] == "adapter" else subject["name"]
        records[name] = json.loads((folder / subject["files"] / "metrics.json").read_text())["records"]
    return records


def median(records, figure, q=0.5):
    values = [record[figure] for record in records if record[figure] is not None]
    return f"{numpy.quantile(values, q):.2f}" if values else "–"


def lightness(color):
    """CIE L* of "#rrggbb" in sRGB."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    y = numpy.dot(linear, (0.2126, 0.7152, 0.0722))
    return 116 * numpy.cbrt(y) - 16 if y > 216 / 24389 else y * 24389 / 27


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    print("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--adapter", default="runs/demo")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--set", action="append", default=[], help="a setting of the evaluation")
    options = parser.parse_args()
    out = options.out.resolve()
    shared = ["evaluation.photos=32", *options.set]

    found = {}
    for number, (name, settings) in enumerate(MASKS.items()):
        methods = ["recolor", "floor"] if name == "right" else ["recolor"]
        settings = [*shared, f"evaluation.references={3 if name == 'right' else 1}", *settings]
        found[name] = evaluate(out / f"{number}", options.adapter, settings, methods)
        pasted = evaluate(out / f"{number}-pasted", options.adapter, [*settings, "evaluation.paste=true"], [])
        found[name]["pasted"] = pasted["network"]

    right = found["right"]
    print(f"Right masks, {len(right['network'])} paintings:\n")
    table(["", *FIGURES.values(), "exact, p90"],
          [[title, *(median(right[key], figure) for figure in FIGURES), median(right[key], "delta_e_2000_exact", 0.9)]
           for key, title in METHODS.items()])

    print("By the lightness of the reference, exact / edge:\n")
    bins = {"L < 40": (0, 40), "40 ≤ L < 65": (40, 65), "L ≥ 65": (65, 101)}
    rows = []
    for title, (low, high) in bins.items():
        chosen = {key: [r for r in records if low <= lightness(r["asked"]) < high] for key, records in right.items()}
        rows.append([f"{title} ({len(chosen['network'])})",
                     *(f"{median(chosen[key], 'delta_e_2000_exact')} / {median(chosen[key], 'edge_error')}"
                       for key in METHODS)])
    table(["reference", *METHODS.values()], rows)

    print("Wrong masks, exact / edge / outside; the last column counts paintings whose exact difference the pasted "
          "network has lower:\n")
    rows = []
    for name, records in found.items():
        wins = sum(ours["delta_e_2000_exact"] < theirs["delta_e_2000_exact"]
                   for ours, theirs in zip(records["pasted"], records["recolor"], strict=True))
        cells = [" / ".join(median(records[key], figure)
                            for figure in ("delta_e_2000_exact", "edge_error", "delta_e_2000_outside"))
                 for key in ("network", "pasted", "recolor")]
        iou = median(records["network"], "mask_iou") if name != "right" else "1.00"
        rows.append([name, iou, *cells, f"{wins} of {len(records['recolor'])}"])
    table(["mask", "IoU reached", "network", "network, pasted", "recolouring", "network wins"], rows)


if __name__ == "__main__":
    main()
