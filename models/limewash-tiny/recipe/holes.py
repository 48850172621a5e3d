"""What the network may see of the wall: nothing (`empty`), or its light without its colour (`shading`)."""

import torch
import torch.nn.functional as F

MARGIN = 2  # pixels by which the hole is larger than the wall: anti-aliased edges hold the old colour


def to_linear(srgb):
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear):
    linear = linear.clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def dilate(masks):
    """bool [N, S, S] -> float [N, 1, S, S], the wall and a square margin around it."""
    return F.max_pool2d(masks[:, None].float(), 2 * MARGIN + 1, stride=1, padding=MARGIN)


def latent_mask(hole):
    """[N, 1, S, S] -> [N, 1, S/8, S/8], nearest, as diffusers' pipeline takes it."""
    return F.interpolate(hole, size=(hole.shape[-2] // 8, hole.shape[-1] // 8))


def empty_hole(pixels, hole):
    """Pixels in [-1, 1] with zero, mid-grey, in the hole."""
    return pixels * (1 - hole)


def shading_hole(pixels, masks, hole):
    """Mid-grey times the luminance relative to the wall's median, in linear light."""
    linear = to_linear(pixels * 0.5 + 0.5)
    luminance = (linear * torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)).sum(1)
    median = torch.stack([values[mask].median() for values, mask in zip(luminance, masks)])
    relative = (luminance / median.clamp(min=1e-4).view(-1, 1, 1)).clamp(0.1, 2.2)
    grey = to_srgb(to_linear(torch.tensor(0.5)) * relative)[:, None] * 2 - 1
    return pixels * (1 - hole) + grey * hole
