#!/usr/bin/env python3
"""`limewash prepare` on the real photos of ../shared/rooms beside the repository, where they stand: what it rejects,
and its masks and colours against NumPy and PIL.  rooms_test.py LIMEWASH REPOSITORY"""

import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

import numpy_prepare as expected

SIZE = 128
SKIPPED = 77


def main():
    limewash, repository = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    rooms = repository.parent / "shared" / "rooms"
    if not rooms.is_dir():
        print(f"SKIPPED data.rooms: the photos of ../shared/rooms are not beside {repository.name}")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        command = [limewash, "prepare", "--images", rooms / "images", "--masks", rooms / "masks", "--out", folder,
                   "--size", str(SIZE), "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        report = json.loads(done.stdout)
        assert (report["photos"], report["kept"]) == (7, 5), report
        assert report["rejected"] == {"empty mask": 1, "too little wall": 1}, report
        assert "rejected no_wall.jpg: the mask is empty" in done.stderr, done.stderr
        assert "rejected outdoor_quay.jpg: wall share 2.5 % < 10 %" in done.stderr, done.stderr
        with h5py.File(pathlib.Path(folder, "shard-00000.h5")) as shard:
            names = [name.decode() for name in shard["id"]]
            assert names == ["bedroom.jpg", "dark_room.jpg", "few_walls.jpg", "hotel_room.png", "living_room.jpg"]
            for i, name in enumerate(names):
                photo = expected.read_photo(rooms / "images" / name)
                mask = expected.read_mask((rooms / "masks" / name).with_suffix(".png"))
                core = expected.scale_mask(expected.erode(mask), SIZE)
                image = expected.scale_photo(photo, SIZE)
                assert (shard["mask"][i] == 255 * expected.scale_mask(mask, SIZE)).all(), name
                assert (shard["core"][i] == 255 * core).all(), name
                # Two JPEG decoders may differ in the last bit.
                assert np.abs(shard["image"][i].astype(int) - image).max() <= 2, name
                difference = np.abs(shard["color"][i] - expected.median_color(image, core)).max()
                assert difference <= 1 / 255 + 1e-6, (name, difference)
                print(f"{name}: color {np.round(255 * shard['color'][i], 1)}, off by {255 * difference:.2f}/255")
    return 0


if __name__ == "__main__":
    sys.exit(main())
