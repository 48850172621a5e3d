"""What is lost by encoding and decoding: PSNR, and the wall's colour difference."""

import numpy as np
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from autoencoder import decode, encode
from rooms import to_numpy, to_pixels


def wall_lab(image, mask):
    """Lab of the wall's median colour: float [H, W, 3] in [0, 1], bool [H, W]."""
    return rgb2lab(np.median(image[mask], axis=0)[None, None])[0, 0]


def wall_difference(image, other, mask):
    """CIEDE2000 between the two median wall colours."""
    return float(deltaE_ciede2000(wall_lab(image, mask), wall_lab(other, mask)))


def round_trip(model, images, masks):
    """(PSNR of each [N], wall CIEDE2000 of each with enough wall, decoded [N, H, W, 3])."""
    pixels = to_pixels(images)
    decoded = decode(model, encode(model, pixels)).clamp(-1, 1)
    error = (decoded - pixels).div(2).square().mean((1, 2, 3))
    psnr = (-10 * torch.log10(error)).numpy()
    before, after = to_numpy(pixels), to_numpy(decoded)
    differences = [
        wall_difference(a, b, mask.numpy()) for a, b, mask in zip(before, after, masks) if mask.float().mean() > 0.08
    ]
    return psnr, np.array(differences), after


def summary(psnr, differences):
    return {
        "psnr": round(float(psnr.mean()), 2),
        "wall_delta_e_2000": round(float(np.median(differences)), 3),
        "wall_delta_e_2000_p90": round(float(np.percentile(differences, 90)), 3),
    }
