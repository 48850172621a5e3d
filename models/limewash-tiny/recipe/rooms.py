"""Read what `limewash synthesize` writes: images/ID.png, masks/ID.png, repaints/ID-K.png."""

import dataclasses
import pathlib

import numpy as np
import torch
from PIL import Image


@dataclasses.dataclass
class Rooms:
    """Procedural rooms in memory. N rooms of S x S pixels, K exact repaints each."""

    images: torch.Tensor  # u8 [N, 3, S, S]
    masks: torch.Tensor  # bool [N, S, S], True = wall
    repaints: torch.Tensor  # u8 [N, K, 3, S, S]

    def __len__(self):
        return len(self.images)

    def slice(self, start, stop):
        return Rooms(self.images[start:stop], self.masks[start:stop], self.repaints[start:stop])


def read_rgb(path):
    """u8 [3, H, W]."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def read_rooms(folder, minimum_wall_share=0.08):
    """All rooms of `folder` in name order; rooms with hardly any wall are left out."""
    folder = pathlib.Path(folder)
    images, masks, repaints = [], [], []
    names = sorted(path.stem for path in (folder / "images").glob("*.png"))
    if not names:
        raise SystemExit(f"{folder / 'images'}: no .png rooms; make them with `limewash synthesize`")
    for name in names:
        with Image.open(folder / "masks" / f"{name}.png") as image:
            mask = torch.from_numpy(np.array(image.convert("L")) > 127)
        if mask.float().mean() < minimum_wall_share:
            continue
        paths = sorted(
            (folder / "repaints").glob(f"{name}-*.png"), key=lambda path: int(path.stem.rsplit("-", 1)[1])
        )
        if not paths:
            raise SystemExit(f"{folder / 'repaints'}: no repaints of {name}; set synthesize.repaints")
        images.append(read_rgb(folder / "images" / f"{name}.png"))
        masks.append(mask)
        repaints.append(torch.stack([read_rgb(path) for path in paths]))
    return Rooms(torch.stack(images), torch.stack(masks), torch.stack(repaints))


def read_photos(folder, size):
    """Real photos with masks for measuring only, cropped to the centre square and scaled: [(name, u8 image, mask)]."""
    photos = []
    for path in sorted((pathlib.Path(folder) / "images").iterdir()):
        mask_path = pathlib.Path(folder) / "masks" / f"{path.stem}.png"
        with Image.open(path) as image, Image.open(mask_path) as mask:
            side = min(image.size)
            left, top = (image.size[0] - side) // 2, (image.size[1] - side) // 2
            box = (left, top, left + side, top + side)
            pixels = np.array(image.convert("RGB").resize((size, size), Image.Resampling.BOX, box))
            wall = np.array(mask.convert("L").resize((size, size), Image.Resampling.BOX, box)) > 127
        photos.append((path.stem, torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), torch.from_numpy(wall)))
    return photos


def to_pixels(images):
    """u8 [..., 3, H, W] -> float in [-1, 1]."""
    return images.float() / 127.5 - 1


def to_numpy(pixels):
    """[-1, 1] [N, 3, H, W] -> float [N, H, W, 3] in [0, 1]."""
    return (pixels.clamp(-1, 1) * 0.5 + 0.5).permute(0, 2, 3, 1).contiguous().numpy()
