"""Photometric and geometric changes that make rooms stand for photographs: what a camera, its processing and a
file format do, and surfaces that are less clean than rendered ones."""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F


def _some(count, probability, generator):
    """f32 [N, 1, 1, 1] of zeros and ones."""
    return (torch.rand(count, 1, 1, 1, generator=generator) < probability).float()


def _field(count, channels, size, cells, generator):
    """Smooth noise of deviation about 1, [N, C, S, S]."""
    grid = torch.randn(count, channels, cells, cells, generator=generator)
    return F.interpolate(grid, (size, size), mode="bicubic", align_corners=False)


def _jpeg(photo, quality):
    buffer = io.BytesIO()
    pixels = (photo.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def _blur(photos, sigma):
    radius = max(1, math.ceil(2 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    line = (line / line.sum()).view(1, 1, 1, -1).expand(3, 1, 1, -1)
    photos = F.pad(photos, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(photos, line, groups=3), line.transpose(2, 3), groups=3)


def photometric(photos, generator):
    """[N, 3, S, S] in [0, 1]."""
    n, _, size, _ = photos.shape

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    # Surfaces: stains and texture, of many sizes.
    texture = sum(
        _some(n, 0.25, generator) * _field(n, 1, size, cells, generator) * torch.rand(n, 1, 1, 1, generator=generator)
        for cells in (size // 2, size // 4, size // 8)
    )
    photos = photos * torch.exp(0.12 * texture)
    # Light: uneven, and tinted.
    photos = photos * torch.exp(0.25 * _some(n, 0.5, generator) * _field(n, 1, size, 4, generator))
    photos = photos * torch.exp(0.06 * _some(n, 0.3, generator) * _field(n, 3, size, 4, generator))
    # Camera: white balance, exposure, contrast, saturation.
    photos = photos * torch.exp(0.1 * normal(n, 3, 1, 1)) * torch.exp(0.2 * normal(n, 1, 1, 1))
    photos = photos.clamp(1e-4, 1) ** torch.exp(0.25 * normal(n, 1, 1, 1))
    grey = photos.mean(1, keepdim=True)
    kept = torch.where(_some(n, 0.3, generator) > 0, torch.rand(n, 1, 1, 1, generator=generator), torch.ones(1))
    kept = kept * (1 - _some(n, 0.08, generator))
    photos = grey + (photos - grey) * kept
    for part in photos.chunk(4):
        if torch.rand(1, generator=generator) < 0.5:
            part.copy_(_blur(part, 0.4 + 1.2 * torch.rand(1, generator=generator).item()))
    strength = 0.05 * torch.rand(n, 1, 1, 1, generator=generator) * _some(n, 0.7, generator)
    photos = (photos + strength * normal(n, 3, size, size)).clamp(0, 1)
    for i in torch.nonzero(torch.rand(n, generator=generator) < 0.3).flatten().tolist():
        photos[i] = _jpeg(photos[i], int(torch.randint(20, 95, (1,), generator=generator)))
    return photos


def geometric(photos, masks, truths, generator):
    """Flipped, and cut to a part: all three alike. [N, C, S, S] each."""
    n, _, size, _ = photos.shape
    stacked = torch.cat([photos, masks, truths], 1)
    result = torch.empty_like(stacked)
    for i in range(n):
        picture = stacked[i]
        if torch.rand(1, generator=generator) < 0.5:
            picture = picture.flip(-1)
        if torch.rand(1, generator=generator) < 0.5:
            side = int(size * (0.65 + 0.35 * torch.rand(1, generator=generator).item()))
            top, left = (int(torch.randint(0, size - side + 1, (1,), generator=generator)) for _ in range(2))
            part = picture[None, :, top : top + side, left : left + side]
            picture = F.interpolate(part, (size, size), mode="bilinear", align_corners=False)[0]
        result[i] = picture
    return result[:, :3], (result[:, 3:4] > 0.5).float(), (result[:, 4:] > 0.5).float()


def _shapes(count, size, generator):
    """Ellipses and boxes, turned, of any size up to half of the picture: bool [N, 1, S, S]."""

    def uniform(low, high):
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)

    line = (torch.arange(size) + 0.5) / size
    x, y = line.view(1, 1, 1, -1) - uniform(0, 1), line.view(1, 1, -1, 1) - uniform(0, 1)
    angle = uniform(0, math.pi)
    u = (x * angle.cos() + y * angle.sin()) / uniform(0.02, 0.25)
    v = (y * angle.cos() - x * angle.sin()) / uniform(0.02, 0.25)
    boxes = _some(count, 0.5, generator) > 0
    return torch.where(boxes, torch.maximum(u.abs(), v.abs()) < 1, u**2 + v**2 < 1)


def _wall_colors(photos, truths):
    """The wall's mean, [N, 3, 1, 1]."""
    return (photos * truths).sum((2, 3), keepdim=True) / truths.sum((2, 3), keepdim=True).clamp(min=1)


def clutter(photos, masks, truths, generator, most=7):
    """Things in front of wall and room that no renderer knows: parts of other rooms, plain and textured shapes, some in
    the very colour of the wall. The mask goes around most of them."""
    n, _, size, _ = photos.shape
    busy = torch.rand(n, 1, 1, 1, generator=generator)
    own = _wall_colors(photos, truths)
    for i in range(most):
        shape = _shapes(n, size, generator) & (torch.rand(n, 1, 1, 1, generator=generator) < busy)
        noise = _field(n, 1, size, int(torch.randint(4, 48, (1,), generator=generator)), generator)
        plain = torch.rand(n, 3, 1, 1, generator=generator) * torch.exp(0.15 * noise)
        alike = own * torch.exp(0.1 * torch.randn(n, 3, 1, 1, generator=generator)) * torch.exp(0.05 * noise)
        other = photos.roll(i + 1, 0).flip(-1)
        choice = torch.rand(n, 1, 1, 1, generator=generator)
        content = torch.where(choice < 0.4, other, torch.where(choice < 0.7, plain, alike))
        photos = torch.where(shape, content.clamp(0, 1), photos)
        seen = shape & (torch.rand(n, 1, 1, 1, generator=generator) < 0.9)
        masks, truths = masks * ~seen, truths * ~shape
    return photos, masks, truths


def walls(photos, truths, generator):
    """Walls of several paints, and of stone or paper: the right mask stays what it is."""
    n, _, size, _ = photos.shape
    angle = 2 * math.pi * torch.rand(n, 1, 1, 1, generator=generator)
    line = (torch.arange(size) + 0.5) / size
    side = line.view(1, 1, 1, -1) * angle.cos() + line.view(1, 1, -1, 1) * angle.sin()
    beyond = side > side.mean((2, 3), keepdim=True) + 0.25 * torch.randn(n, 1, 1, 1, generator=generator)
    tint = torch.exp(0.4 * torch.randn(n, 3, 1, 1, generator=generator))
    painted = torch.where((beyond & (truths > 0)) & (_some(n, 0.2, generator) > 0), photos * tint, photos)
    cells = int(torch.randint(6, size // 2, (1,), generator=generator))
    relief = 0.2 * torch.rand(n, 1, 1, 1, generator=generator) * _field(n, 1, size, cells, generator)
    return torch.where((truths > 0) & (_some(n, 0.25, generator) > 0), painted * torch.exp(relief), painted).clamp(0, 1)
