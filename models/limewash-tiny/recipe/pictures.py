"""Dead-leaves pictures: overlapping shapes of power-law size with light and grain. Their statistics are closer to
those of photographs than the rooms' are, so the autoencoder does not forget what rooms lack."""

import math

import torch


def _grain(generator, size, slope):
    """1/f^slope noise [size, size], unit deviation."""
    frequency = torch.sqrt(
        torch.fft.fftfreq(size)[:, None] ** 2 + torch.fft.rfftfreq(size)[None] ** 2
    ).clamp(min=1 / size)
    spectrum = torch.fft.rfft2(torch.randn(size, size, generator=generator)) / frequency**slope
    noise = torch.fft.irfft2(spectrum, s=(size, size))
    return (noise - noise.mean()) / noise.std()


def dead_leaves(generator, size, shapes=36):
    """One picture, u8 [3, size, size]."""

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(*shape, generator=generator)

    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    palette = uniform(0, 1, 6, 3)
    canvas = palette[0].view(3, 1, 1).expand(3, size, size).clone()
    for _ in range(shapes):
        radius = 0.04 / math.sqrt(float(uniform(0.008, 1, 1)))
        center = uniform(-0.1, 1.1, 2)
        angle = float(uniform(0, math.pi, 1))
        aspect = float(uniform(0.3, 1, 1))
        u = ((x - center[0]) * math.cos(angle) + (y - center[1]) * math.sin(angle)) / radius
        v = ((y - center[1]) * math.cos(angle) - (x - center[0]) * math.sin(angle)) / (radius * aspect)
        distance = torch.maximum(u.abs(), v.abs()) if uniform(0, 1, 1) < 0.5 else torch.hypot(u, v)
        softness = radius * size * float(uniform(0.2, 1.5, 1))
        alpha = ((1 - distance) * softness + 0.5).clamp(0, 1)
        color = (palette[int(torch.randint(6, (1,), generator=generator))] + uniform(-0.15, 0.15, 3)).view(3, 1, 1)
        light = 1 + float(uniform(-0.3, 0.3, 1)) * u.clamp(-1, 1)
        if uniform(0, 1, 1) < 0.3:
            light = light + float(uniform(0.02, 0.2, 1)) * _grain(generator, size, float(uniform(0.3, 1.3, 1)))
        canvas = canvas * (1 - alpha) + alpha * color * light
    canvas = canvas + float(uniform(0, 0.05, 1)) * _grain(generator, size, 1.0)
    return (canvas.clamp(0, 1) * 255).round().to(torch.uint8)


def dead_leaves_pictures(count, size, seed):
    """u8 [count, 3, size, size]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([dead_leaves(generator, size) for _ in range(count)])
