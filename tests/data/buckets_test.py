#!/usr/bin/env python3
"""Aspect buckets and colour strategies of `limewash prepare`, against NumPy and PIL.  buckets_test.py LIMEWASH"""

import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from PIL import Image

import numpy_prepare as expected

BUCKETS = [(64, 64), (96, 64), (64, 96), (128, 48)]  # width, height
# width, height and the bucket whose aspect ratio is nearest; the last is between the first two.
PHOTOS = {"square.png": (201, 203, 0), "wide.png": (331, 217, 1), "tall.png": (217, 331, 2),
          "panorama.png": (503, 180, 3), "very_tall.png": (90, 407, 2), "nearly.png": (240, 200, 0)}


def make_photo(width, height, number):
    """A wall of uneven light with a window, noise, a highlight and a deep shadow."""
    rng = np.random.default_rng(number)
    light = np.linspace(0.6, 1.0, width)[None, :, None] * np.linspace(1.0, 0.8, height)[:, None, None]
    photo = light * np.array([190, 160 + 10 * number, 120]) + rng.normal(0, 6, (height, width, 3))
    photo[:height // 5, :width // 6] = 255
    photo[height // 3:height // 2, width // 3:width // 2] = (40, 60, 90)
    photo[-height // 8:, -width // 5:] = 4
    mask = np.zeros((height, width), np.uint8)
    mask[:, :width * 3 // 4] = 255
    mask[height // 2:height * 2 // 3, width // 4:width // 2] = 0
    return np.clip(photo, 0, 255).astype(np.uint8), mask


def prepare(limewash, folder, out, *options):
    command = [limewash, "prepare", "--images", folder / "images", "--masks", folder / "masks", "--out", out, "--json",
               "--set", "prepare.buckets=[" + ",".join(f"{w}x{h}" for w, h in BUCKETS) + "]"]
    done = subprocess.run([str(word) for word in [*command, *options]], check=True, stdout=subprocess.PIPE, text=True)
    assert json.loads(done.stdout)["kept"] == len(PHOTOS), done.stdout
    for entry in json.loads((out / "index.json").read_text())["shards"]:
        with h5py.File(out / entry["file"]) as shard:
            for i in range(entry["samples"]):
                yield shard["id"][i].decode(), {name: shard[name][i] for name in ("image", "mask", "core", "color")}


def main():
    limewash = pathlib.Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
        sources = {}
        for number, (name, (width, height, _)) in enumerate(PHOTOS.items()):
            sources[name] = make_photo(width, height, number)
            Image.fromarray(sources[name][0]).save(folder / "images" / name)
            Image.fromarray(sources[name][1]).save(folder / "masks" / name)
        seen = set()
        for strategy, color_of in (("median", expected.median_color), ("mean", expected.mean_color)):
            samples = prepare(limewash, folder, folder / strategy, "--set", f"prepare.color={strategy}",
                              "--set", "prepare.erosion.kernel=3")
            for name, sample in samples:
                photo, mask = sources[name][0], sources[name][1] > 127
                width, height = BUCKETS[PHOTOS[name][2]]
                assert sample["image"].shape == (height, width, 3), (name, sample["image"].shape)
                core = expected.scale_mask(expected.erode(mask, 3), height, width)
                assert (sample["image"] == expected.scale_photo(photo, height, width)).all(), name
                assert (sample["mask"] == 255 * expected.scale_mask(mask, height, width)).all(), name
                assert (sample["core"] == 255 * core).all(), name
                difference = np.abs(sample["color"] - color_of(sample["image"], core)).max()
                assert difference < 1e-5, (name, strategy, difference)
                seen.add((name, strategy))
        assert len(seen) == 2 * len(PHOTOS)
    print(f"{len(seen)} samples in {len(BUCKETS)} sizes are what NumPy makes of them")


if __name__ == "__main__":
    main()
