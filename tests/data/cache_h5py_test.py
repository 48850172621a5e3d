#!/usr/bin/env python3
"""h5py reads the latent cache of `limewash train` as docs/formats.md says.  cache_h5py_test.py LIMEWASH SOURCE"""

import ctypes
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

ROOMS, SIZE, SCALE, K, V, BANK = 6, 64, 8, 3, 2, 70


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def xxh3(*arrays):
    data = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library.XXH3_64bits(data, len(data))


def check_piece(piece, shard, bank):
    side, samples = SIZE // SCALE, len(shard["id"])
    channels = piece["hole"].shape[2]
    shapes = {"target_mean": (V, K, channels, side, side), "target_deviation": (V, K, channels, side, side),
              "hole": (V, channels, side, side), "mask": (V, side, side), "core": (V, side, side), "color": (K, 3)}
    for name, shape in shapes.items():
        assert piece[name].shape == (samples, *shape) and piece[name].dtype == np.float32, (name, piece[name].shape)
    assert ("embedding" in piece) == (bank is None)
    assert piece.attrs["format"] == b"limewash-latents" and piece.attrs["version"] == 2
    part = {name: dataset[()] for name, dataset in piece.items()}

    for i in range(samples):
        sums = [xxh3(part["target_mean"][i, v, k], part["target_deviation"][i, v, k]) for v in range(V) for k in range(K)]
        sums += [xxh3(part["hole"][i, v], part["mask"][i, v], part["core"][i, v]) for v in range(V)]
        for k in range(K):
            own = [part["embedding"][i, k]] if bank is None else []
            sums.append(xxh3(*own, part["color"][i, k], part["swatch"][i, k:k + 1]))
        assert sums == list(part["checksum"][i]), i
        # Variant 0 is the sample itself; its core at latent size is the mean over 8 x 8 pixels.
        core = shard["core"][i].reshape(side, SCALE, side, SCALE).mean(axis=(1, 3)) / 255
        np.testing.assert_allclose(part["core"][i, 0], core, atol=1e-6)
        # The hole is the wall and its margin: nearest takes the upper left pixel.
        wall = shard["mask"][i][::SCALE, ::SCALE] == 255
        assert (part["mask"][i, 0][wall] == 1).all() and set(np.unique(part["mask"][i])) <= {0.0, 1.0}
        assert not np.array_equal(part["hole"][i, 0], part["hole"][i, 1]), "a variant is another picture"
    np.testing.assert_allclose(part["area"][..., 0], part["mask"].sum(axis=(2, 3), dtype=np.float64))
    np.testing.assert_allclose(part["area"][..., 1], part["core"].sum(axis=(2, 3), dtype=np.float64), rtol=1e-6)
    x = np.moveaxis(part["target_mean"], 3, -1).reshape(-1, channels).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    np.testing.assert_allclose(part["fit_gram"], x.T @ x, rtol=1e-9)
    summary = xxh3(part["checksum"], part["area"], part["fit_gram"], part["fit_response"])
    assert part["summary_checksum"][0] == summary
    # Nearly every target's own area-scaled colours follow from its latents: the map is a fit of them.
    response = np.linalg.solve(part["fit_gram"], part["fit_response"])
    colors = x @ response
    assert -0.2 < colors.min() and colors.max() < 1.2, (colors.min(), colors.max())
    if bank is not None:
        np.testing.assert_array_equal(bank[part["swatch"].astype(int)], part["color"])


def read_bank(folder):
    colors = []
    for path in sorted(folder.glob("references-*.h5")):
        with h5py.File(path) as file:
            assert file.attrs["format"] == b"limewash-references"
            for row in range(len(file["color"])):
                assert file["checksum"][row] == xxh3(file["embedding"][row], file["color"][row])
                assert np.isfinite(file["embedding"][row]).all() and np.any(file["embedding"][row])
            colors.append(file["color"][()])
    return np.concatenate(colors) if colors else None


def main():
    limewash, source = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        run(limewash, "synthesize", "--out", folder / "rooms", "--count", ROOMS, "--size", SIZE)
        run(limewash, "prepare", "--images", folder / "rooms/images", "--masks", folder / "rooms/masks",
            "--out", folder / "dataset", "--size", SIZE)
        for bank in (0, BANK):
            before = set((folder / "dataset").glob("cache-*"))
            settings = {"run.name": f"bank{bank}", "run.output": folder / "runs", "data.train": folder / "dataset",
                        "base.model": source / "models/limewash-tiny", "data.recolorings": K, "data.variants": V,
                        "reference.bank": bank, "training.steps": 1, "training.global_batch": 2,
                        "training.micro_batch": 1, "evaluation.every": 0}
            run(limewash, "train", *[word for key, value in settings.items() for word in ("--set", f"{key}={value}")])
            (cache,) = set((folder / "dataset").glob("cache-*")) - before
            (piece,) = cache.glob("piece-*.h5")
            colors = read_bank(cache)
            assert (colors is None) == (bank == 0) and (bank == 0 or colors.shape == (bank, 3))
            with h5py.File(piece) as file, h5py.File(folder / "dataset/shard-00000.h5") as shard:
                assert piece.name == f"piece-{file.attrs['key'].decode()}.h5"
                check_piece(file, shard, colors)
    print("h5py reads the latent cache as documented")


if __name__ == "__main__":
    main()
