"""The photos that the arms learn from: procedural rooms, made and prepared once by the program.

clean       the rooms with right masks; targets are exact repaints
right       the same photos and right masks as `prepare` sees real photos: targets are the recolouring under the mask
corrupted   the same, but 30 % of the masks are wrong (IoU with the right one in [0.3, 0.7))
filtered    the corrupted ones without the photos that score lowest, as many as there are wrong masks
validation  other rooms, right masks; what every arm is measured on
"""

import json
import pathlib
import shutil

WRONG_SHARE = 0.3
WORST_IOU = 0.7
CORRUPTIONS = 8  # wrong masks rendered of a room, of which one below WORST_IOU is taken
KINDS = ("clean", "right", "corrupted", "filtered")


def choose_masks(rooms):
    """room -> (mask, kind, IoU): every room's right mask, but a wrong one for the first of each 10 / 3 rooms."""
    chosen, wrong = {}, 0
    for number, room in enumerate(rooms):
        name = pathlib.Path(room["image"]).name
        chosen[name] = (room["mask"], "none", 1.0)
        if wrong >= WRONG_SHARE * (number + 1):
            continue
        candidates = [one for one in room["corrupted"] if one["iou"] < WORST_IOU]
        if candidates:
            one = candidates[number % len(candidates)]
            chosen[name] = (one["mask"], one["kind"], one["iou"])
            wrong += 1
    return chosen


def scores(dataset):
    """Quality of every sample of a prepared dataset, by id."""
    import h5py

    found = {}
    for path in sorted(dataset.glob("shard-*.h5")):
        with h5py.File(path) as shard:
            found.update((name.decode(), float(value)) for name, value in zip(shard["id"], shard["quality"]))
    return found


def threshold(values, share):
    """The score that `share` of the photos are below."""
    return sorted(values)[round(share * len(values))]


class Rooms:
    """Datasets below `folder`; what is there already is taken as it is. `run` runs the program with arguments."""

    def __init__(self, folder, run, count, validation, size):
        self.folder, self.run, self.count, self.validation_count, self.size = folder, run, count, validation, size

    def path(self, kind):
        """The folder of a prepared dataset, made or not."""
        return self.folder / kind

    def dataset(self, kind):
        """`path`; made when it is not there."""
        # The last file that is written: what was cut short is gone on with.
        last = self.folder / "masks.json" if kind == "filtered" else self.path(kind) / "report.json"
        if not last.exists():
            getattr(self, "_make_" + kind)()
        return self.path(kind)

    def describe_masks(self):
        """What the wrong masks and the filter are, in numbers; None when they were not made."""
        try:
            return json.loads((self.folder / "masks.json").read_text())
        except FileNotFoundError:
            return None

    def _render(self, name, count, seed, corruptions=0):
        out = self.folder / name
        self.run("synthesize", "--out", out, "--count", count, "--size", self.size, "--seed", seed,
                 "--set", f"synthesize.corruptions={corruptions}", "--set", "synthesize.overwrite=true")
        return out, json.loads((out / "rooms.json").read_text())["rooms"]

    def _prepare(self, images, masks, name, *settings):
        sets = [part for setting in settings for part in ("--set", setting)]
        self.run("prepare", "--images", images, "--masks", masks, "--out", self.folder / name, "--size", self.size, *sets)

    def _make_clean(self):
        rooms, _ = self._render("rooms", self.count, 1, CORRUPTIONS)
        self._prepare(rooms / "images", rooms / "masks", "clean")

    def _make_validation(self):
        rooms, _ = self._render("rooms-validation", self.validation_count, 2)
        self._prepare(rooms / "images", rooms / "masks", "validation")

    def _photos(self):
        """The rooms as photos about which nothing is known, with right and with wrong masks."""
        photos = self.folder / "photos"
        if (photos / "chosen.json").exists():
            return photos
        self.dataset("clean")
        rooms = self.folder / "rooms"
        chosen = choose_masks(json.loads((rooms / "rooms.json").read_text())["rooms"])
        shutil.rmtree(photos, ignore_errors=True)
        shutil.copytree(rooms / "images", photos / "images")
        shutil.copytree(rooms / "masks", photos / "right")
        (photos / "wrong").mkdir()
        for name, (mask, _, _) in chosen.items():
            shutil.copy(rooms / mask, photos / "wrong" / name)
        (photos / "chosen.json").write_text(json.dumps(chosen, indent=1) + "\n")
        return photos

    # A wall share beyond the usual is one more way to be wrong; the studies must not drop it unasked.
    ANY_SHARE = "prepare.wall_share=[0.001,1.0]"

    def _make_right(self):
        photos = self._photos()
        self._prepare(photos / "images", photos / "right", "right", self.ANY_SHARE)

    def _make_corrupted(self):
        photos = self._photos()
        self._prepare(photos / "images", photos / "wrong", "corrupted", self.ANY_SHARE)

    def _make_filtered(self):
        photos, quality = self._photos(), scores(self.dataset("corrupted"))
        chosen = json.loads((photos / "chosen.json").read_text())
        wrong = {name for name, (_, kind, _) in chosen.items() if kind != "none"} & set(quality)
        lowest = threshold(quality.values(), len(wrong) / len(quality))
        self._prepare(photos / "images", photos / "wrong", "filtered", self.ANY_SHARE, f"prepare.quality_threshold={lowest}")
        kept = set(scores(self.folder / "filtered"))
        kinds = {}
        for name in sorted(wrong):
            kinds[chosen[name][1]] = kinds.get(chosen[name][1], 0) + 1
        (self.folder / "masks.json").write_text(json.dumps({
            "photos": len(quality), "wrong": len(wrong), "kinds": kinds, "threshold": lowest,
            "mean_iou": sum(chosen[name][2] for name in wrong) / len(wrong),
            "kept": len(kept), "wrong_kept": len(kept & wrong)}, indent=1) + "\n")
