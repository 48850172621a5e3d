"""Read what `limewash synthesize` with `synthesize.corruptions` writes."""

import dataclasses
import json
import pathlib

import numpy as np
import torch
from PIL import Image


@dataclasses.dataclass
class Samples:
    """Wrong masks of rooms, several to a room. N masks of S x S pixels."""

    photos: torch.Tensor  # u8 [R, 3, S, S]
    truths: torch.Tensor  # bool [R, S, S], True = wall
    room: torch.Tensor  # i64 [N]: which photo
    masks: torch.Tensor  # bool [N, S, S]
    kinds: list  # N names
    ious: torch.Tensor  # f32 [N]

    def __len__(self):
        return len(self.masks)

    def of_kinds(self, wanted):
        keep = torch.tensor([i for i, kind in enumerate(self.kinds) if wanted(kind)])
        kinds = [self.kinds[i] for i in keep]
        return dataclasses.replace(
            self, room=self.room[keep], masks=self.masks[keep], kinds=kinds, ious=self.ious[keep]
        )


def read_photo(path):
    """u8 [3, H, W]."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def read_mask(path):
    """bool [H, W]."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("L")) > 127)


def read_samples(folder, minimum_wall_share=0.08):
    """All wrong masks of a folder; rooms with hardly any wall are left out."""
    folder = pathlib.Path(folder)
    photos, truths, rooms, masks, kinds, ious = [], [], [], [], [], []
    for entry in json.loads((folder / "rooms.json").read_text())["rooms"]:
        truth = read_mask(folder / entry["mask"])
        if truth.float().mean() < minimum_wall_share:
            continue
        if "corrupted" not in entry:
            raise SystemExit(f"{folder}: has no wrong masks; set synthesize.corruptions")
        for wrong in entry["corrupted"]:
            rooms.append(len(photos))
            masks.append(read_mask(folder / wrong["mask"]))
            kinds.append(wrong["kind"])
            ious.append(wrong["iou"])
        photos.append(read_photo(folder / entry["image"]))
        truths.append(truth)
    return Samples(
        torch.stack(photos), torch.stack(truths), torch.tensor(rooms), torch.stack(masks), kinds, torch.tensor(ious)
    )
