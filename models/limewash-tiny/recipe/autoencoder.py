"""The autoencoder of limewash-tiny: an AutoencoderKL of 8 pixels a latent that keeps colour."""

import math
import time

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D

from pictures import dead_leaves_pictures
from rooms import to_pixels

# The first channels of every layer are a plain path for colour; four of them hold constants.
PATH = 8
CONSTANT = 3.0


def build():
    channels = (16, 32, 32, 32)
    model = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=128,
    )
    start_as_average(model)
    return model


@torch.no_grad()
def start_as_average(model):
    """Start the encoder as an 8 x 8 average of the pixels and the decoder as its enlargement.

    GroupNorm removes the mean, so a network started the usual way has to rediscover colour and does not within
    minutes. Here the first channels pass colour through every layer unchanged; two pairs of constant channels of
    +-CONSTANT fix the group's mean and deviation, so that even a normalised layer still shows the mean.
    """
    for name, module in model.named_modules():
        if isinstance(module, ResnetBlock2D):
            module.conv2.weight.mul_(0.1)
            module.conv2.bias.zero_()
            if module.conv_shortcut is not None:
                module.conv_shortcut.weight.mul_(0.3)
                module.conv_shortcut.bias.zero_()
                module.conv_shortcut.weight[:PATH] = 0
                for i in range(PATH):
                    module.conv_shortcut.weight[i, i] = 1
        elif name.endswith("to_out.0"):
            module.weight.mul_(0.1)
            module.bias.zero_()
    for conv, inputs in ((model.encoder.conv_in, 3), (model.decoder.conv_in, 4)):
        conv.weight[:PATH] = 0
        conv.bias[:PATH] = 0
        for i in range(inputs):
            conv.weight[i, i, 1, 1] = 1
        conv.bias[4:PATH] = torch.tensor([CONSTANT, -CONSTANT, CONSTANT, -CONSTANT])
    for block in model.encoder.down_blocks:
        for downsampler in block.downsamplers or []:
            downsampler.conv.weight[:PATH] = 0
            downsampler.conv.bias[:PATH] = 0
            for i in range(PATH):
                downsampler.conv.weight[i, i, 0:2, 0:2] = 0.25
    for block in model.decoder.up_blocks:
        for upsampler in block.upsamplers or []:
            upsampler.conv.weight[:PATH] = 0
            upsampler.conv.bias[:PATH] = 0
            for i in range(PATH):
                upsampler.conv.weight[i, i, 1, 1] = 1
    # The last norm and SiLU: scale back by the group's deviation, shift to where SiLU is nearly linear.
    shift = 2.5
    for half in (model.encoder, model.decoder):
        half.conv_norm_out.weight[:4] = CONSTANT / math.sqrt(2)
        half.conv_norm_out.bias[:4] = shift
        half.conv_out.weight.mul_(0.1)
        half.conv_out.bias.zero_()
        for i in range(3):
            half.conv_out.weight[i, :PATH] = 0
            half.conv_out.weight[i, i, 1, 1] = 1
            half.conv_out.bias[i] = -shift * 0.95
    for conv in (model.quant_conv, model.post_quant_conv):
        conv.weight.zero_()
        conv.bias.zero_()
        for i in range(4):
            conv.weight[i, i] = 1


def _batch(generator, rooms, pictures, size):
    """Four images in [-1, 1]: three rooms of any paint, one dead-leaves picture; flipped, zoomed, colours jittered."""

    def draw(high):
        return int(torch.randint(high, (1,), generator=generator))

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(*shape, generator=generator)

    images = []
    repaints = rooms.repaints.shape[1]
    for slot in range(4):
        if slot == 0:
            image = pictures[draw(len(pictures))]
        else:
            room, paint = draw(len(rooms)), draw(repaints + 1)
            image = rooms.images[room] if paint == repaints else rooms.repaints[room, paint]
        image = image.float() / 255
        if uniform(0, 1, 1) < 0.5:
            image = image.flip(2)
        if uniform(0, 1, 1) < 0.3:
            side = size // 2 + draw(size // 2)
            top, left = draw(size - side + 1), draw(size - side + 1)
            image = image[:, top : top + side, left : left + side]
            image = F.interpolate(image[None], (size, size), mode="bilinear", align_corners=False)[0]
        if uniform(0, 1, 1) < 0.5:
            gain = uniform(0.75, 1.15, 1) * uniform(0.9, 1.1, 3)
            image = (image * gain.view(3, 1, 1)).clamp(0, 1)
        images.append(image)
    return torch.stack(images) * 2 - 1


def train(rooms, steps, seed, learning_rate=1.5e-3, report=None, report_every=0):
    """A trained model whose posterior has almost no variance. The first 85 % of the steps run in bfloat16."""
    torch.manual_seed(seed)
    model = build().to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed + 1)
    size = rooms.images.shape[-1]
    pictures = dead_leaves_pictures(400, size, seed + 2)
    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    start = time.time()
    for step in range(steps):
        decay = 0.5 * (1 + math.cos(math.pi * step / steps)) * 0.98 + 0.02
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1, (step + 1) / 50) * decay
        pixels = _batch(generator, rooms, pictures, size).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=step < 0.85 * steps):
            latents = model.encode(pixels).latent_dist.mean.float()
            noise = 0.05 * latents.detach().std() * torch.randn(latents.shape, generator=generator)
            difference = model.decode(latents + noise).sample.float() - pixels
        loss = _loss(difference) + 1e-4 * latents.square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if report_every and (step + 1) % report_every == 0:
            print(f"vae step {step + 1} loss {loss.item():.4f} {time.time() - start:.0f} s {report(model)}", flush=True)
    model.eval().requires_grad_(False)
    with torch.no_grad():
        model.quant_conv.weight[4:] = 0
        model.quant_conv.bias[4:] = -12.0
    return model


def _loss(difference):
    # The last term watches colour over areas, which is what the product is measured by.
    loss = difference.square().mean() + 0.2 * difference.abs().mean()
    return loss + 0.2 * F.avg_pool2d(difference, 16).abs().mean()


def polish(model, rooms, steps, seed, learning_rate=5e-4):
    """Train the decoder alone a little longer, in fp32. The encoder, and so every latent, stays as it is."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    size = rooms.images.shape[-1]
    pictures = dead_leaves_pictures(400, size, seed + 2)
    parameters = [*model.decoder.parameters(), *model.post_quant_conv.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(parameters, learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        pixels = _batch(generator, rooms, pictures, size).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            latents = model.encode(pixels).latent_dist.mean
            latents = latents + 0.02 * latents.std() * torch.randn(latents.shape, generator=generator)
        loss = _loss(model.decode(latents).sample - pixels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return model.eval().requires_grad_(False)


@torch.no_grad()
def encode(model, pixels, batch=32):
    """Posterior means, unscaled [N, 4, S/8, S/8]."""
    return torch.cat([model.encode(pixels[i : i + batch]).latent_dist.mean for i in range(0, len(pixels), batch)])


@torch.no_grad()
def decode(model, latents, batch=32):
    return torch.cat([model.decode(latents[i : i + batch]).sample for i in range(0, len(latents), batch)])


@torch.no_grad()
def normalize_latents(model, rooms):
    """Fold the channels' means into the two 1 x 1 convolutions, which is exact, and set scaling_factor = 1 / std.

    The walls and rooms are then centred: with no signal at all, at zero terminal SNR, zero is the best guess.
    """
    latents = encode(model, to_pixels(rooms.repaints[:200, 0]))
    mean = latents.mean((0, 2, 3))
    model.post_quant_conv.bias += model.post_quant_conv.weight[:, :, 0, 0] @ mean
    model.quant_conv.bias[:4] -= mean
    latents = latents - mean.view(1, 4, 1, 1)
    model.register_to_config(scaling_factor=round(1 / latents.std().item(), 5))
    return mean, latents.std((0, 2, 3))
