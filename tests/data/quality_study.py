#!/usr/bin/env python3
"""How well mask quality finds wrong masks: procedural rooms with masks of known IoU, through the program itself.

    quality_study.py build/release/launcher/limewash --rooms 500 --model models/mask-quality --table
    quality_study.py build/release/launcher/limewash --rooms 3000 --seed 601 --model models/mask-quality --fit

Collections of one mask a room: `third_wrong` (every third room's IoU is below 0.7, that of the others at least
0.85, a quarter of them exact), `even` (IoU evenly in [0.3, 1]), and both once more with a second mask of another
error for the IoU of two masks. Fails when, in `third_wrong` without the classifier, dropping the worst third by score
raises the mean IoU by less than 0.1, or score and IoU have a rank correlation below 0.8; with the classifier, too,
where one is given."""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from scipy.stats import spearmanr

SIZES = (128, 192, 256)
CORRUPTIONS = 6
LEAST_GAIN, LEAST_CORRELATION = 0.1, 0.8
LEAST_PART = 0.02


def run(command):
    subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)


def synthesize(limewash, folder, count, size, seed):
    run([limewash, "synthesize", "--out", folder, "--count", count, "--size", size, "--seed", seed,
         "--set", f"synthesize.corruptions={CORRUPTIONS}"])
    return json.loads((folder / "rooms.json").read_text())["rooms"]


def choose(collection, number, room):
    """(path of the mask, IoU, kind) for one room."""
    wrong = [(one["mask"], one["iou"], one["kind"]) for one in room["corrupted"]]
    if collection == "even":
        return wrong[0]
    if number % 3 == 0:
        return next((one for one in wrong if one[1] < 0.7), None)
    if number % 4 == 0:
        return room["mask"], 1.0, "none"
    return next((one for one in wrong if one[1] >= 0.85), (room["mask"], 1.0, "none"))


def prepare(limewash, rooms, collection, size, model, scratch, numbers):
    """Choose masks, prepare, read back: {id: (quality, parts)} and {id: (IoU, kind)}."""
    masks, second, out = (scratch / name for name in ("masks", "second", "out"))
    for folder in (masks, second, out):
        shutil.rmtree(folder, ignore_errors=True)
    masks.mkdir(), second.mkdir()
    truth = {}
    for number, room in zip(numbers, rooms["list"]):
        chosen = choose(collection.removesuffix("+second"), number, room)
        if chosen is None:
            continue
        name = pathlib.Path(room["image"]).name
        shutil.copy(rooms["folder"] / chosen[0], masks / name)
        other = choose(collection.removesuffix("+second"), number + 1, room | {"corrupted": room["corrupted"][::-1]})
        shutil.copy(rooms["folder"] / (other or chosen)[0], second / name)
        truth[name] = chosen[1:]
    command = [limewash, "prepare", "--images", rooms["folder"] / "images", "--masks", masks, "--out", out, "--size", size]
    # A mask of another size than usual is not what is studied here.
    command += ["--set", "prepare.wall_share=[0.001,1.0]"]
    if model:
        command += ["--set", f"prepare.quality_model={model}"]
    if collection.endswith("+second"):
        command += ["--set", f"prepare.second_masks={second}"]
    run(command)
    found, names = {}, []
    for path in sorted(out.glob("shard-*.h5")):
        with h5py.File(path) as shard:
            names = [name.decode() for name in shard.attrs["quality_part_names"]]
            for name, quality, parts in zip(shard["id"], shard["quality"], shard["quality_parts"]):
                found[name.decode()] = (float(quality), parts)
    return found, truth, names


class Collection:
    def __init__(self, limewash, rooms_by_size, name, model, scratch):
        self.quality, self.parts, self.ious, self.kinds, first = [], [], [], [], 0
        for size, rooms in rooms_by_size.items():
            numbers = range(first, first + len(rooms["list"]))
            first += len(rooms["list"])
            found, truth, self.names = prepare(limewash, rooms, name, size, model, scratch, numbers)
            for key in sorted(found):
                self.quality.append(found[key][0])
                self.parts.append(found[key][1])
                self.ious.append(truth[key][0])
                self.kinds.append(truth[key][1])
        self.quality, self.parts, self.ious = np.array(self.quality), np.array(self.parts), np.array(self.ious)
        self.kinds = np.array(self.kinds)

    def part(self, name):
        return self.parts[:, self.names.index(name)]


def gain(score, ious):
    """What dropping the worst third by score adds to the mean IoU."""
    kept = np.argsort(score, kind="stable")[len(score) // 3 :]
    return ious[kept].mean() - ious.mean()


def row(name, score, ious):
    known = ~np.isnan(score)
    correlation = spearmanr(score[known], ious[known])[0]
    return f"| {name} | {correlation:.2f} | {gain(score[known], ious[known]):+.3f} | {score[known & (ious > 0.9999)].mean():.2f} | {score[known & (ious < 0.7)].mean():.2f} |"


def print_table(title, collection, qualities):
    ious = collection.ious
    shares = ", ".join(f"{100 * np.mean((ious >= low) & (ious < high)):.0f} % in [{low}, {min(high, 1):g}{']' if high > 1 else ')'}"
                       for low, high in ((0, 0.5), (0.5, 0.7), (0.7, 0.85), (0.85, 0.95), (0.95, 1.01)))
    print(f"\n{title}: {len(ious)} masks, mean IoU {ious.mean():.3f}; {shares}")
    print(f"| score | rank correlation | gain in mean IoU | mean of exact masks | mean below IoU 0.7 |\n|---|---|---|---|---|")
    print(row("IoU itself", ious, ious))
    for name, quality in qualities:
        print(row(name, quality, ious))
    for name in collection.names:
        if not np.isnan(collection.part(name)).all():
            print(row(f"`{name}`", collection.part(name), ious))


def logs_of(collection, names):
    return np.log(np.maximum(np.stack([collection.part(name) for name in names], 1), LEAST_PART))


def climb(weights, free, problems):
    """Change one exponent after the other as long as that raises the mean rank correlation over `problems`, pairs of
    log parts and IoUs."""

    def mean(candidate):
        return np.mean([spearmanr(logs @ candidate, ious)[0] for logs, ious in problems])

    best, step = mean(weights), 2.0
    while step > 1.05:
        before = best
        for i in free:
            for factor in (step, 1 / step):
                candidate = weights.copy()
                candidate[i] *= factor
                if (value := mean(candidate)) > best + 1e-5:
                    weights, best = candidate, value
        if best <= before:
            step = step**0.5
    return weights, best


def print_fit(collect, model):
    """Exponents of the geometric mean: of the parts that every sample has, then of the classifier, then of a second
    mask, each on top of what was found before."""
    even, third = collect("even", model), collect("third_wrong", model)
    names = [name for name in even.names if name not in ("wall_share", "second_mask_iou")]
    free = [i for i, name in enumerate(names) if name != "classifier"]
    plain = [name for name in names if name != "classifier"]
    weights, best = climb(np.full(len(plain), 0.2), free, [(logs_of(c, plain), c.ious) for c in (even, third)])
    weights /= weights.max()
    print(f"{len(even.ious) + len(third.ious)} masks, mean rank correlation {best:.3f}: "
          + ", ".join(f"{name} {weight:.3f}" for name, weight in zip(plain, weights)))
    for extra, collections in (("classifier", (even, third)), ("second_mask_iou", None)):
        if extra == "classifier" and not model:
            continue
        collections = collections or (collect("even+second"), collect("third_wrong+second"))
        problems = [(logs_of(c, plain + [extra]), c.ious) for c in collections]
        more, best = climb(np.append(weights, 0.2), [len(plain)], problems)
        print(f"with {extra} {more[-1]:.3f}: {best:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("limewash")
    parser.add_argument("--rooms", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7001, help="not one that weights or classifier were fitted on")
    parser.add_argument("--model", help="folder of the mask classifier")
    parser.add_argument("--table", action="store_true", help="every part, every collection, every kind")
    parser.add_argument("--fit", action="store_true", help="print exponents for the combination")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch, rooms = pathlib.Path(folder), {}
        for i, size in enumerate(SIZES):
            count = (options.rooms + len(SIZES) - 1 - i) // len(SIZES)
            where = scratch / f"rooms-{size}"
            rooms[size] = {"folder": where, "list": synthesize(options.limewash, where, count, size, options.seed + i)}

        def collect(name, model=None):
            return Collection(options.limewash, rooms, name, model, scratch)

        if options.fit:
            print_fit(collect, options.model)
            return 0
        failures = []
        for name in ("third_wrong", "even") if options.table else ("third_wrong",):
            plain = collect(name)
            qualities = [("quality", plain.quality)]
            shown = plain
            if options.model:
                shown = collect(name, options.model)
                qualities.append(("quality with classifier", shown.quality))
            print_table(name, shown, qualities)
            if options.table:
                second = collect(name + "+second")
                print(row("quality with second mask", second.quality, second.ious))
                print(row("`second_mask_iou`", second.part("second_mask_iou"), second.ious))
            if name != "third_wrong":
                continue
            for title, quality in qualities:
                correlation = spearmanr(quality, shown.ious)[0]
                if gain(quality, shown.ious) < LEAST_GAIN or correlation < LEAST_CORRELATION:
                    failures.append(f"{title}: gain {gain(quality, shown.ious):.3f}, rank correlation {correlation:.3f}")
        for failure in failures:
            print(f"FAILED {failure}; expected at least {LEAST_GAIN} and {LEAST_CORRELATION}")
        return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
