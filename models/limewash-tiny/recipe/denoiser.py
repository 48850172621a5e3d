"""The inpainting UNet and, with it, the text encoder: v-prediction at zero terminal SNR."""

import copy
import dataclasses
import math
import time

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from skimage.color import rgb2lab

import autoencoder
import holes
from rooms import to_pixels
from text import tokenize
from words import TEMPLATES, caption

CONTEXT = 64  # width of text states and reference tokens


def scheduler():
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def build(seed):
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=9,
        out_channels=4,
        block_out_channels=(48, 96),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=CONTEXT,
        attention_head_dim=2,  # diffusers' name for the number of heads
        norm_num_groups=8,
    )


@dataclasses.dataclass
class Latents:
    """Scaled latents of N rooms and K paints."""

    targets: torch.Tensor  # [N, K, 4, h, w]
    holes: torch.Tensor  # [N, 2, 4, h, w]: empty, shading
    masks: torch.Tensor  # [N, 1, h, w], 1 = hole
    walls: torch.Tensor  # [N, 1, h, w], share of the pixel that is wall
    paints: torch.Tensor  # [N, K, 3], sRGB: the wall's median


def encode_rooms(vae, rooms):
    factor = vae.config.scaling_factor
    count, repaints = rooms.repaints.shape[:2]
    targets, hole_latents = [], []
    paints = torch.zeros(count, repaints, 3)
    hole = holes.dilate(rooms.masks)
    for i in range(count):
        pixels = to_pixels(rooms.repaints[i])
        targets.append(autoencoder.encode(vae, pixels))
        for k in range(repaints):
            paints[i, k] = (pixels[k][:, rooms.masks[i]].median(dim=1).values + 1) / 2
        source = to_pixels(rooms.images[i : i + 1])
        filled = torch.cat(
            [
                holes.empty_hole(source, hole[i : i + 1]),
                holes.shading_hole(source, rooms.masks[i : i + 1], hole[i : i + 1]),
            ]
        )
        hole_latents.append(autoencoder.encode(vae, filled))
    return Latents(
        torch.stack(targets) * factor,
        torch.stack(hole_latents) * factor,
        holes.latent_mask(hole),
        torch.nn.functional.avg_pool2d(rooms.masks[:, None].float(), 8),
        paints,
    )


def caption_ids(tokenizer, paints):
    """int64 [N, K, templates, L]."""
    lab = rgb2lab(paints.numpy().astype(np.float64))
    prompts = [caption(color, i) for row in lab for color in row for i in range(len(TEMPLATES))]
    return tokenize(tokenizer, prompts).view(*paints.shape[:2], len(TEMPLATES), -1)


class Average:
    """Exponential moving average of a module's weights, faster at the start."""

    def __init__(self, module):
        self.module = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module, step):
        decay = min(0.998, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - decay)


def train(
    latents,
    tokenizer,
    unet,
    text_encoder,
    steps,
    seed,
    batch=16,
    learning_rate=1.5e-3,
    noisy=0.5,
    publish=None,
    publish_every=0,
):
    """(UNet, text encoder), averaged. `noisy` > 0 draws noisy steps more often: colour is decided there.

    40 % of the prompts are empty, so that without words the network invents a plausible paint.
    """
    generator = torch.Generator().manual_seed(seed)
    alphas = scheduler().alphas_cumprod
    captions = caption_ids(tokenizer, latents.paints)
    empty = tokenize(tokenizer, [""])[0]
    unet.train().to(memory_format=torch.channels_last)
    text_encoder.train()
    parameters = [*unet.parameters(), *text_encoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    averages = Average(unet), Average(text_encoder)
    count, repaints = latents.targets.shape[:2]
    losses, start = [], time.time()
    for step in range(steps):
        decay = 0.5 * (1 + math.cos(math.pi * step / steps)) * 0.98 + 0.02
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1, (step + 1) / 100) * decay
        room = torch.randint(count, (batch,), generator=generator)
        paint = torch.randint(repaints, (batch,), generator=generator)
        kind = torch.randint(2, (batch,), generator=generator)
        template = torch.randint(len(TEMPLATES), (batch,), generator=generator)
        ids = captions[room, paint, template]
        ids[torch.rand(batch, generator=generator) < 0.4] = empty
        uniform = torch.rand(batch, generator=generator)
        timestep = (1000 * (1 - (1 - uniform) ** (1 + noisy))).long().clamp(max=999)
        target = latents.targets[room, paint]
        noise = torch.randn(target.shape, generator=generator)
        signal = alphas[timestep].view(-1, 1, 1, 1).sqrt()
        sigma = (1 - alphas[timestep]).view(-1, 1, 1, 1).sqrt()
        noisy_latents = signal * target + sigma * noise
        sample = torch.cat([noisy_latents, latents.masks[room], latents.holes[room, kind]], 1)
        states = text_encoder(ids).last_hidden_state
        output = unet(sample.contiguous(memory_format=torch.channels_last), timestep, states).sample
        loss = (output - (signal * noise - sigma * target)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        averages[0].update(unet, step)
        averages[1].update(text_encoder, step)
        losses.append(loss.item())
        if (step + 1) % 200 == 0:
            print(f"unet step {step + 1} loss {np.mean(losses[-200:]):.4f} {time.time() - start:.0f} s", flush=True)
        if publish and publish_every and (step + 1) % publish_every == 0:
            publish(averages[0].module, averages[1].module)
    return averages[0].module, averages[1].module


@torch.no_grad()
def sample(unet, text_encoder, tokenizer, latents, prompts, hole, steps=20, seed=0):
    """Scaled latents [N, 4, h, w] of the rooms of `latents`, by DDIM. `hole`: 0 empty, 1 shading."""
    states = text_encoder(tokenize(tokenizer, prompts)).last_hidden_state
    ddim = scheduler()
    ddim.set_timesteps(steps)
    z = torch.randn(latents.holes[:, hole].shape, generator=torch.Generator().manual_seed(seed))
    for t in ddim.timesteps:
        output = unet(torch.cat([z, latents.masks, latents.holes[:, hole]], 1), t, states).sample
        z = ddim.step(output, t, z).prev_sample
    return z
