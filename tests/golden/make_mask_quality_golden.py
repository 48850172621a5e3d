"""What models/mask-quality gives in Python: tests/golden/mask_quality/probabilities.safetensors.

    python tests/golden/make_mask_quality_golden.py
"""

import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "models/mask-quality/recipe"))

import make  # noqa: E402
import network  # noqa: E402

# Height and width: as it is, larger, smaller, and one side each.
SHAPES = ((128, 128), (160, 144), (96, 64), (150, 80))


def picture(height, width, generator):
    """A noisy room: a wall over a floor, a box in front; and a mask that is partly wrong."""
    photo = np.zeros((height, width, 3))
    photo[:] = generator.uniform(90, 230, 3)
    floor = int(height * generator.uniform(0.55, 0.8))
    photo[floor:] = generator.uniform(20, 200, 3)
    top, left = height // 4, width // 3
    photo[top : top + height // 4, left : left + width // 4] = generator.uniform(0, 255, 3)
    photo *= np.linspace(1.1, 0.7, width)[None, :, None]
    photo += generator.normal(0, 4, photo.shape)
    mask = np.zeros((height, width), np.uint8)
    mask[: int(floor * generator.uniform(0.7, 1.3)), : int(width * generator.uniform(0.6, 1))] = 255
    return photo.clip(0, 255).round().astype(np.uint8), mask


def main():
    net = make.load(ROOT / "models/mask-quality")
    generator = np.random.default_rng(11)
    tensors = {}
    with torch.no_grad():
        for i, (height, width) in enumerate(SHAPES):
            photo, mask = (torch.from_numpy(array) for array in picture(height, width, generator))
            pixels = photo.permute(2, 0, 1)[None].float() / 255
            logits, _ = net(network.scale(pixels), network.scale(mask[None, None].float() / 255))
            tensors[f"photo.{i}"], tensors[f"mask.{i}"] = photo.contiguous(), mask
            tensors[f"probabilities.{i}"] = logits.softmax(1)[0]
            print(height, width, tensors[f"probabilities.{i}"].tolist())
    folder = ROOT / "tests/golden/mask_quality"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "probabilities.safetensors")
    (folder / "probabilities.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
