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

ROOMS, SOURCE_SIZE, SIZE, SHARD_SIZE = 24, 96, 64, 5
VALIDATION, TEST = 0.25, 0.2
# Of docs/formats.md.
QUALITY_WEIGHTS = {"wall_share": 0.02, "connected_pieces": 0.02, "boundary_roughness": 0.03, "edge_agreement": 0.05,
                   "color_homogeneity": 0.5, "leakage": 0.06, "foreign_objects": 1, "region_agreement": 1,
                   "second_mask_iou": 0.1, "classifier": 0.3}


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def xxh3(data):
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library.XXH3_64bits(data, len(data))


def check_storage(shard, compression):
    for name, dataset in shard.items():
        settings = dataset.id.get_create_plist()
        assert not settings.get_obj_track_times(), f"{name} has time stamps"
        if compression == "gzip" and name in ("image", "mask", "core"):
            assert dataset.chunks == (1, *dataset.shape[1:]), (name, dataset.chunks)
            assert settings.get_nfilters() == 1 and dataset.compression == "gzip", name
        else:
            assert dataset.chunks is None and dataset.id.get_offset() is not None, f"{name} is not contiguous"


def check_types(shard, count):
    shapes = {"image": ((SIZE, SIZE, 3), "u1"), "mask": ((SIZE, SIZE), "u1"), "core": ((SIZE, SIZE), "u1"),
              "color": ((3,), "<f4"), "palette": ((4, 4), "<f4"), "quality": ((), "<f4"),
              "quality_parts": ((len(shard.attrs["quality_part_names"]),), "<f4"), "wall_share": ((), "<f4"),
              "room": ((3,), "<u8"), "source": ((), "<u8"), "checksum": ((), "<u8")}
    for name, (shape, kind) in shapes.items():
        assert shard[name].shape == (count, *shape), (name, shard[name].shape)
        assert shard[name].dtype == np.dtype(kind), (name, shard[name].dtype)
    for name in ("id", "caption"):
        assert shard[name].shape == (count,) and shard[name].dtype.kind == "S", name


def check_attributes(shard, split):
    assert shard.attrs["format"] == b"limewash-shard" and shard.attrs["version"] == 2
    assert shard.attrs["split"].decode() == split, split
    assert (shard.attrs["height"], shard.attrs["width"]) == (SIZE, SIZE)
    assert [name.decode() for name in shard.attrs["quality_part_names"]] == list(QUALITY_WEIGHTS)
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

    parts, weights = shard["quality_parts"][i], np.array(list(QUALITY_WEIGHTS.values()))
    known = ~np.isnan(parts)
    assert known.tolist() == [True] * 8 + [False] * 2, parts  # no second mask, no classifier
    assert ((parts[known] >= 0) & (parts[known] <= 1)).all(), parts
    mean = np.exp((weights[known] * np.log(np.maximum(parts[known], 0.02))).sum() / weights[known].sum())
    assert abs(shard["quality"][i] - mean) < 1e-5, (shard["quality"][i], mean)
    assert list(shard["room"][i]) == [42, int(pathlib.Path(name).stem.split("-")[1]), SOURCE_SIZE], name
    assert abs(shard["wall_share"][i] - (shard["mask"][i] == 255).mean()) < 1e-6, name
    fields = ("image", "mask", "core", "color", "palette", "quality", "quality_parts", "room")
    data = b"".join(shard[field][i].tobytes() for field in fields)
    data += shard["id"][i] + b"\0" + shard["caption"][i] + b"\0"
    assert shard["checksum"][i] == xxh3(data), name
    return name


def side_of(name):
    """As docs/formats.md says of splits."""
    place = xxh3(name.encode()) / 2**64
    return "validation" if place < VALIDATION else "test" if place >= 1 - TEST else "train"


def check_dataset(limewash, rooms, dataset, compression):
    line = run(limewash, "prepare", "--images", rooms / "images", "--masks", rooms / "masks", "--out", dataset, "--size", SIZE,
               "--set", f"prepare.shard_size={SHARD_SIZE}", "--set", f"prepare.compression={compression}",
               "--set", f"prepare.validation_share={VALIDATION}", "--set", f"prepare.test_share={TEST}", "--json")
    assert line.count("\n") == 1, line
    report = json.loads(line)
    assert report["photos"] == ROOMS and report["kept"] + sum(report["rejected"].values()) == ROOMS, report
    assert report["kept"] > SHARD_SIZE and sum(report["splits"].values()) == report["kept"], report
    index = json.loads((dataset / "index.json").read_text())
    assert index["format"] == "limewash-dataset" and index["version"] == 2 and index["complete"]
    assert index["samples"] == report["kept"] and len(index["rejections"]) == sum(report["rejected"].values())
    names, shares = {}, []
    for number, entry in enumerate(index["shards"]):
        assert entry["file"] == f"shard-{number:05d}.h5"
        assert entry["bytes"] == (dataset / entry["file"]).stat().st_size
        with h5py.File(dataset / entry["file"]) as shard:
            check_storage(shard, compression)
            check_types(shard, entry["samples"])
            check_attributes(shard, entry["split"])
            assert shard.attrs["fingerprint"].decode() == entry["fingerprint"]
            names.setdefault(entry["split"], []).extend(check_sample(shard, i, rooms) for i in range(entry["samples"]))
            shares += list(shard["wall_share"])
    assert sum(map(len, names.values())) == report["kept"]
    for side, photos in names.items():
        assert photos == sorted(photos) and {side_of(name) for name in photos} == {side}, (side, photos)
    shown = report["distributions"]["wall_share"]
    for name, share in (("min", 0), ("p25", 0.25), ("median", 0.5), ("p95", 0.95), ("max", 1)):
        assert abs(shown[name] - np.quantile(shares, share)) < 1e-4, (name, shown)
    return names, len(index["shards"])


def main():
    limewash = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        rooms = pathlib.Path(folder, "rooms")
        run(limewash, "synthesize", "--out", rooms, "--count", ROOMS, "--size", SOURCE_SIZE)
        names, shards = check_dataset(limewash, rooms, pathlib.Path(folder, "plain"), "none")
        assert len(names) == 3, names
        assert check_dataset(limewash, rooms, pathlib.Path(folder, "gzip"), "gzip") == (names, shards)
    print(f"h5py read {sum(map(len, names.values()))} samples of {shards} shards, contiguous and gzip, as docs/formats.md says")


if __name__ == "__main__":
    main()
