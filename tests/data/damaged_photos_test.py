#!/usr/bin/env python3
"""Thousands of photos of which one in twenty is damaged, in many ways: `limewash prepare` comes to its end, names every
damaged file with its damage, and keeps every good one.  damaged_photos_test.py LIMEWASH REPOSITORY [--count N]"""

import argparse
import io
import json
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import time

import h5py
import numpy as np
from PIL import Image

import numpy_pictures as pictures

SIDE, SIZE, DAMAGED_SHARE = 192, 64, 20
SECTOR = 512


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(number):
    """A plain wall under a light gradient, a floor, and noise; the colours follow from the number."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    pixels = random.integers(60, 220, 3) * (0.8 + 0.3 * x / SIDE)[..., None]
    pixels[150:] = random.integers(30, 120, 3)
    return Image.fromarray((pixels + random.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8))


def cut(data):
    return data[:len(data) * 2 // 3]


def flipped(data):
    """A byte in the middle of the pixels."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1:]


def without_a_sector(data):
    """What an unreadable piece of a disk leaves."""
    begin = len(data) // 2 // SECTOR * SECTOR
    return data[:begin] + bytes(2 * SECTOR) + data[begin + 2 * SECTOR:]


def huge(data):
    header = b"IHDR" + struct.pack(">II", 60000, 60000) + data[24:29]
    return data[:12] + pictures.chunk(b"IHDR", header[4:])[4:] + data[33:]


def wrong_checksum(data):
    at = data.index(b"IDAT") - 4
    end = at + 12 + struct.unpack(">I", data[at:at + 4])[0]
    return data[:end - 1] + bytes([data[end - 1] ^ 1]) + data[end:]


def jpeg(image):
    return encoded(image, "JPEG", quality=92)


def png(image):
    return encoded(image, "PNG", compress_level=1)


def webp(image):
    return encoded(image, "WEBP", quality=80, method=0)


def tiff(image):
    return encoded(image, "TIFF", compression="tiff_lzw")


def gif(image):
    return encoded(image.convert("P"), "GIF")


def moving(image):
    return encoded(image, "WEBP", save_all=True, append_images=[image.rotate(90)], duration=50, method=0)


def page(_):
    return b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"


# Name -> (ending, bytes of the damaged file, what its rejection says). None as the bytes: no regular file.
DAMAGES = {
    "empty": (".jpg", lambda image: b"", "the file is empty"),
    "cut_jpeg": (".jpg", lambda image: cut(jpeg(image)), "the JPEG is truncated"),
    "without_end": (".jpg", lambda image: jpeg(image)[:-2], "the JPEG is truncated"),
    "zeroed_tail": (".jpg", lambda image: jpeg(image)[:-SECTOR] + bytes(SECTOR), "the JPEG is (truncated|corrupt)"),
    "zeroed_middle": (".jpg", lambda image: without_a_sector(jpeg(image)), "the JPEG is corrupt: .*picture data"),
    "cut_png": (".png", lambda image: cut(png(image)), "the PNG is truncated"),
    "flipped_png": (".png", lambda image: flipped(png(image)), "the PNG is corrupt: wrong checksum"),
    "wrong_checksum": (".png", lambda image: wrong_checksum(png(image)), "wrong checksum of the chunk at byte"),
    "huge": (".png", lambda image: huge(png(image)), "60000 x 60000 pixels are more than the allowed 100 megapixels"),
    "cut_webp": (".webp", lambda image: cut(webp(image)), "the WebP is truncated"),
    "moving_webp": (".webp", moving, "is an animated WebP"),
    "cut_tiff": (".tif", lambda image: cut(tiff(image)), "the TIFF is truncated"),
    "text": (".jpg", lambda image: b"just some notes\n", "is a text, not a picture"),
    "page": (".jpg", page, "is a web page, not a picture"),
    "zeros": (".jpg", lambda image: bytes(9000), "holds nothing but zeros"),
    "noise": (".jpg", lambda image: np.random.default_rng(1).bytes(5000), "neither JPEG, PNG, WebP nor TIFF"),
    "other_format": (".jpg", gif, "is a GIF, which limewash does not read"),
    "folder": (".jpg", None, "is a folder, not a file"),
    "dangling_link": (".jpg", None, "No such file"),
    "unreadable": (".jpg", jpeg, "Permission denied"),
    "cut_mask": (".jpg", jpeg, "unreadable mask: .*the PNG is truncated"),
    "no_mask": (".jpg", jpeg, "missing mask"),
}
GOOD = {".jpg": jpeg, ".png": png, ".webp": webp, ".tif": tiff}


def write_damaged(path, kind, image):
    content = DAMAGES[kind][1]
    if content is not None:
        path.write_bytes(content(image))
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere.jpg")
    if kind == "unreadable":
        path.chmod(0)


def write_files(folder, count):
    """Returns the ids of good photos, and id -> kind of the damaged ones."""
    images, masks = folder / "images", folder / "masks"
    images.mkdir()
    masks.mkdir()
    wall = np.zeros((SIDE, SIDE), np.uint8)
    wall[20:150, 16:170] = 255
    mask = pictures.png(wall, 0, 8)
    # root reads what nobody may read.
    kinds = [kind for kind in DAMAGES if kind != "unreadable" or os.geteuid() != 0]
    endings, good, damaged = list(GOOD), [], {}
    for number in range(count):
        image = photo(number)
        is_damaged = number % DAMAGED_SHARE == 7
        kind = kinds[len(damaged) % len(kinds)] if is_damaged else None
        ending = DAMAGES[kind][0] if kind else endings[number % len(endings)]
        name = f"{number:06d}{ending}"
        if kind:
            damaged[name] = kind
            write_damaged(images / name, kind, image)
        else:
            good.append(name)
            (images / name).write_bytes(GOOD[ending](image))
        if kind != "no_mask":
            (masks / name).with_suffix(".png").write_bytes(cut(mask) if kind == "cut_mask" else mask)
    return good, damaged


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("limewash")
    parser.add_argument("repository")
    parser.add_argument("--count", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        good, damaged = write_files(folder, arguments.count)
        begin = time.monotonic()
        command = [arguments.limewash, "prepare", "--images", folder / "images", "--masks", folder / "masks",
                   "--out", folder / "out", "--size", str(SIZE), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.monotonic() - begin
        assert done.returncode == 0, done.stderr[-2000:]
        report = json.loads(done.stdout)
        index = json.loads((folder / "out" / "index.json").read_text())
        told = {one["photo"]: one["reason"] + ": " + one["detail"] for one in index["rejections"]}
        for photo_name, kind in damaged.items():
            assert photo_name in told, f"{photo_name} ({kind}) was not rejected"
            assert re.search(DAMAGES[kind][2], told[photo_name]), (kind, told[photo_name])
            detail = told[photo_name].split(": ", 1)[1]
            assert kind == "no_mask" or pathlib.Path(photo_name).stem in detail, (kind, told[photo_name])
        surplus = {photo_name: told[photo_name] for photo_name in told.keys() - damaged.keys()}
        assert not surplus, surplus
        kept = []
        for entry in index["shards"]:
            with h5py.File(folder / "out" / entry["file"]) as shard:
                kept += [photo_name.decode() for photo_name in shard["id"]]
        assert kept == good and report["kept"] == len(good), (len(kept), len(good))
    print(f"{arguments.count} photos in {seconds:.1f} s: {len(good)} good ones kept, {len(damaged)} damaged ones of "
          f"{len(set(damaged.values()))} kinds named with their damage")


if __name__ == "__main__":
    main()
