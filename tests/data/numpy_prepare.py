"""What `limewash prepare` does to one photo, written a second time in NumPy and PIL from docs/formats.md."""

import numpy as np
from PIL import Image


def read_photo(path):
    return np.asarray(Image.open(path).convert("RGB"))


def read_mask(path):
    return np.asarray(Image.open(path).convert("L")) > 127


def erode(mask, kernel=5, iterations=2):
    """What lies beyond the border counts as wall."""
    reach = kernel // 2
    for _ in range(iterations):
        padded = np.pad(mask, reach, constant_values=True)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel))
        mask = windows.all(axis=(2, 3))
    return mask


def centre_square(array):
    height, width = array.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return array[top:top + side, left:left + side]


def overlaps(source, target):
    """[target, source]: how much of each source pixel lies in each target pixel, in 1/target of a pixel."""
    rows = np.arange(target)[:, None] * source
    columns = np.arange(source)[None, :] * target
    return np.clip(np.minimum(rows + source, columns + target) - np.maximum(rows, columns), 0, None)


def area_sums(square, size):
    """Area sums in integers: mean * side * side."""
    weights = overlaps(square.shape[0], size)
    return np.einsum("ys,st...,xt->yx...", weights, square.astype(np.int64), weights, optimize=True)


def scale_photo(photo, size):
    square = centre_square(photo)
    whole = square.shape[0] ** 2
    return ((2 * area_sums(square, size) + whole) // (2 * whole)).astype(np.uint8)


def scale_mask(mask, size):
    square = centre_square(mask)
    return 2 * area_sums(square, size) > square.shape[0] ** 2


def median_color(image, core):
    pixels = image[core]
    extreme = (pixels >= 250).all(axis=1) | (pixels <= 10).all(axis=1)
    if 2 * (~extreme).sum() >= len(pixels):
        pixels = pixels[~extreme]
    return np.median(pixels, axis=0) / 255
