"""More paints of a room from the repaints there are.

In linear light a pixel is `rest + light * paint`, channel by channel: a line through the room's renderings. Its
slope and offset, by least squares, give the room in any paint, also in ones that no wall of the folder has.
"""

import torch

from holes import to_linear, to_srgb
from rooms import Rooms


def wall_median(image, mask):
    """sRGB [3] in [0, 1] of a u8 image."""
    return image[:, mask].float().median(dim=1).values / 255


def fit_lines(images, mask):
    """u8 [R, 3, S, S] -> offset and slope, each [3, S, S], in linear light."""
    linear = to_linear(images.float() / 255)
    paints = to_linear(torch.stack([wall_median(image, mask) for image in images]))
    paints = paints - (mean := paints.mean(0))
    middle = linear.mean(0)
    slope = (paints[:, :, None, None] * (linear - middle)).sum(0)
    slope = slope / paints.square().sum(0).clamp(min=1e-6).view(3, 1, 1)
    return middle - slope * mean.view(3, 1, 1), slope


def wide_paints(rooms, count, seed):
    """The rooms with `count` further repaints each: sRGB uniform in [30, 240], as references are drawn."""
    generator = torch.Generator().manual_seed(seed)
    repaints = []
    for image, mask, known in zip(rooms.images, rooms.masks, rooms.repaints):
        offset, slope = fit_lines(torch.cat([image[None], known]), mask)
        paints = to_linear((30 + 210 * torch.rand(count, 3, generator=generator)) / 255)
        more = to_srgb(offset + slope * paints.view(count, 3, 1, 1))
        repaints.append(torch.cat([known, (more * 255).round().to(torch.uint8)]))
    return Rooms(rooms.images, rooms.masks, torch.stack(repaints))
