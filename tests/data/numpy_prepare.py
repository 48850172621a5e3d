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


def centre_part(array, height, width):
    """The largest centred part that is shaped like height x width; the other side to the nearest, halves up."""
    rows, columns = array.shape[:2]
    if columns * height >= rows * width:
        columns = min(columns, max(1, (2 * rows * width + height) // (2 * height)))
    else:
        rows = min(rows, max(1, (2 * columns * height + width) // (2 * width)))
    top, left = (array.shape[0] - rows) // 2, (array.shape[1] - columns) // 2
    return array[top:top + rows, left:left + columns]


def centre_square(array):
    return centre_part(array, 1, 1)


def overlaps(source, target):
    """[target, source]: how much of each source pixel lies in each target pixel, in 1/target of a pixel."""
    rows = np.arange(target)[:, None] * source
    columns = np.arange(source)[None, :] * target
    return np.clip(np.minimum(rows + source, columns + target) - np.maximum(rows, columns), 0, None)


def area_sums(part, height, width):
    """Area sums in integers: mean * rows * columns."""
    rows, columns = overlaps(part.shape[0], height), overlaps(part.shape[1], width)
    return np.einsum("ys,st...,xt->yx...", rows, part.astype(np.int64), columns, optimize=True)


def scale_photo(photo, height, width=None):
    part = centre_part(photo, height, width or height)
    whole = part.shape[0] * part.shape[1]
    return ((2 * area_sums(part, height, width or height) + whole) // (2 * whole)).astype(np.uint8)


def scale_mask(mask, height, width=None):
    part = centre_part(mask, height, width or height)
    return 2 * area_sums(part, height, width or height) > part.shape[0] * part.shape[1]


def without_extremes(pixels):
    """Highlights and deep shadow are left out, unless they are more than half."""
    extreme = (pixels >= 250).all(axis=1) | (pixels <= 10).all(axis=1)
    return pixels[~extreme] if 2 * (~extreme).sum() >= len(pixels) else pixels


def median_color(image, core):
    return np.median(without_extremes(image[core]), axis=0) / 255


def mean_color(image, core):
    return without_extremes(image[core]).mean(axis=0) / 255
