#!/usr/bin/env python3
"""h5py reads the shards of `limewash prepare` as docs/formats.md says.  shards_h5py_test.py LIMEWASH"""

import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import numpy_prepare as expected

ROOMS, SOURCE_SIZE, SIZE, SHARD_SIZE = 12, 96, 64, 5


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def xxh3(data):
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library.XXH3_64bits(data, len(data))


def check_storage(shard):
    for name, dataset in shard.items():
        assert dataset.chunks is None and dataset.id.get_offset() is not None, f"{name} is not contiguous"
        assert not dataset.id.get_create_plist().get_obj_track_times(), f"{name} has time stamps"


def check_types(shard, count):
    shapes = {"image": ((SIZE, SIZE, 3), "u1"), "mask": ((SIZE, SIZE), "u1"), "core": ((SIZE, SIZE), "u1"),
              "color": ((3,), "<f4"), "palette": ((4, 4), "<f4"), "quality": ((), "<f4"),
              "quality_parts": ((3,), "<f4"), "room": ((3,), "<u8"), "checksum": ((), "<u8")}
    for name, (shape, kind) in shapes.items():
        assert shard[name].shape == (count, *shape), (name, shard[name].shape)
        assert shard[name].dtype == np.dtype(kind), (name, shard[name].dtype)
    for name in ("id", "caption"):
        assert shard[name].shape == (count,) and shard[name].dtype.kind == "S", name


def check_attributes(shard):
    assert shard.attrs["format"] == b"limewash-shard" and shard.attrs["version"] == 1
    assert (shard.attrs["height"], shard.attrs["width"]) == (SIZE, SIZE)
    assert list(shard.attrs["quality_part_names"]) == [b"wall_share", b"connected_pieces", b"color_homogeneity"]
    configuration = json.loads(shard.attrs["configuration"])
    assert configuration["size"] == SIZE and configuration["shard_size"] == SHARD_SIZE, configuration
    assert configuration["erosion.kernel"] == 5 and configuration["wall_share"] == [0.1, 0.95], configuration
    assert not {"images", "masks", "out"} & set(configuration)


def check_sample(shard, i, rooms):
    name = shard["id"][i].decode()
    photo = expected.read_photo(rooms / "images" / name)
    mask = expected.read_mask(rooms / "masks" / name)
    image, core = shard["image"][i], shard["core"][i]
    assert (image == expected.scale_photo(photo, SIZE)).all(), name
    assert (shard["mask"][i] == 255 * expected.scale_mask(mask, SIZE)).all(), name
    assert (core == 255 * expected.scale_mask(expected.erode(mask), SIZE)).all(), name
    assert np.abs(shard["color"][i] - expected.median_color(image, core == 255)).max() < 1e-6, name

    palette = shard["palette"][i]
    assert abs(palette[:, 3].sum() - 1) < 1e-5 and (np.diff(palette[:, 3]) <= 0).all(), palette
    pixels = image[core == 255] / 255
    error = np.linalg.norm(pixels[:, None] - palette[None, :, :3], axis=2).min(axis=1).mean()
    assert error < np.linalg.norm(pixels - pixels.mean(axis=0), axis=1).mean(), "the palette explains nothing"

    parts = shard["quality_parts"][i]
    assert ((parts >= 0) & (parts <= 1)).all() and abs(shard["quality"][i] - parts.prod() ** (1 / 3)) < 1e-5
    assert list(shard["room"][i]) == [42, int(pathlib.Path(name).stem.split("-")[1]), SOURCE_SIZE], name
    fields = ("image", "mask", "core", "color", "palette", "quality", "quality_parts", "room")
    data = b"".join(shard[field][i].tobytes() for field in fields)
    data += shard["id"][i] + b"\0" + shard["caption"][i] + b"\0"
    assert shard["checksum"][i] == xxh3(data), name
    return name


def main():
    limewash = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        rooms, dataset = pathlib.Path(folder, "rooms"), pathlib.Path(folder, "dataset")
        run(limewash, "synthesize", "--out", rooms, "--count", ROOMS, "--size", SOURCE_SIZE)
        line = run(limewash, "prepare", "--images", rooms / "images", "--masks", rooms / "masks", "--out", dataset,
                   "--size", SIZE, "--set", f"prepare.shard_size={SHARD_SIZE}", "--json")
        assert line.count("\n") == 1, line
        report = json.loads(line)
        assert report["photos"] == ROOMS and report["kept"] + sum(report["rejected"].values()) == ROOMS, report
        assert report["kept"] > SHARD_SIZE, report
        index = json.loads((dataset / "index.json").read_text())
        assert index["format"] == "limewash-dataset" and index["version"] == 1 and index["complete"]
        assert index["samples"] == report["kept"] and len(index["rejections"]) == sum(report["rejected"].values())
        names = []
        for number, entry in enumerate(index["shards"]):
            assert entry["file"] == f"shard-{number:05d}.h5"
            assert entry["bytes"] == (dataset / entry["file"]).stat().st_size
            with h5py.File(dataset / entry["file"]) as shard:
                check_storage(shard)
                check_types(shard, entry["samples"])
                check_attributes(shard)
                assert shard.attrs["fingerprint"].decode() == entry["fingerprint"]
                names += [check_sample(shard, i, rooms) for i in range(entry["samples"])]
        assert names == sorted(names) and len(names) == report["kept"]
    print(f"h5py read {len(names)} samples of {len(index['shards'])} shards as docs/formats.md says")


if __name__ == "__main__":
    main()
