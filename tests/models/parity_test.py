#!/usr/bin/env python3
"""Runs `limewash model run` on networks of sizes drawn from a seed, and compares every part with diffusers,
transformers and peft; then loads an adapter that limewash wrote into a diffusers pipeline."""

import argparse
import math
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
import reference_models as reference  # noqa: E402

TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4


class Parity:
    def __init__(self, program, folder):
        self.program, self.folder, self.failures = program, folder, 0

    def start(self, part, model, inputs, adapters=(), *options):
        """`limewash model run`, to its end; its outputs are in y.safetensors when it succeeded."""
        adapters = [adapters] if isinstance(adapters, pathlib.Path) else adapters
        tensors = {key: value.detach().contiguous() for key, value in inputs.items()}
        save_file(tensors, self.folder / "x.safetensors")
        (self.folder / "y.safetensors").unlink(missing_ok=True)
        command = [self.program, "model", "run", part, "--model", model, *options]
        command += ["--inputs", self.folder / "x.safetensors", "--outputs", self.folder / "y.safetensors"]
        for adapter in adapters:
            command += ["--adapter", adapter]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True)

    def run(self, part, model, inputs, adapters=(), *options):
        done = self.start(part, model, inputs, adapters, *options)
        if done.returncode != 0:
            raise RuntimeError(f"model run {part}: exit {done.returncode}\n{done.stderr}")
        return load_file(self.folder / "y.safetensors")

    def report(self, ok, what):
        self.failures += not ok
        print(f"{'ok    ' if ok else 'FAILED'} {what}")

    def check_refusal(self, what, status, word, *run):
        """This run ends with the status, says the word, and writes nothing."""
        done = self.start(*run)
        refused = done.returncode == status and word in done.stderr
        silent = not (self.folder / "y.safetensors").exists()
        self.report(refused and silent, f"{what} is refused: {done.stderr.strip()}")

    def compare_gradients(self, what, outputs, expected):
        """Tensor by tensor, relative to the largest number in it, or to a thousandth of the largest of all: where one
        key is all that attention sees, gradients are zero but for rounding. One line for them all."""
        found, floor = [], max(wanted.abs().max().item() for wanted in expected.values()) / 1000
        for name, wanted in expected.items():
            same_shape = name in outputs and outputs[name].shape == wanted.shape
            scale = max(wanted.abs().max().item(), floor)
            difference = (outputs[name] - wanted).abs().max().item() / scale if same_shape else math.inf
            found.append((math.inf if math.isnan(difference) else difference, name))
        surplus = {name for name in outputs if name.startswith("grad.")} - set(expected)
        if surplus:
            self.report(False, f"{what}: gradients that the reference lacks: {sorted(surplus)}")
        worst, where = max(found)
        failed = worst > GRADIENT_TOLERANCE
        self.failures += failed
        print(f"{'FAILED' if failed else 'ok    '} {what}: {len(found)} gradients, {where} differs by {worst:.1e}")

    def compare(self, what, outputs, expected):
        for name, wanted in expected.items():
            scale = max(1.0, wanted.abs().max().item())
            difference = (outputs[name] - wanted).abs().max().item() / scale
            failed = outputs[name].shape != wanted.shape or not difference <= TOLERANCE
            self.failures += failed
            print(f"{'FAILED' if failed else 'ok    '} {what}: {name} {tuple(wanted.shape)} differs by {difference:.1e}")
        if set(outputs) != set(expected):
            self.failures += 1
            print(f"FAILED {what}: outputs are {sorted(outputs)}, expected {sorted(expected)}")


def draw_unet(draw, context, in_channels):
    levels = draw.randint(2, 4)
    groups = draw.choice([1, 2, 3])
    heads = [draw.choice([1, 2, 3]) for _ in range(levels)]
    cross = [draw.random() < 0.7 for _ in range(levels - 1)] + [draw.random() < 0.3]
    # diffusers builds an IP-Adapter for whole heads only, so widths are multiples of groups and heads.
    widths = [groups * heads[level] * draw.randint(2, 5) for level in range(levels)]
    # A layer norm over very few numbers is so ill-conditioned that gradients through it differ by rounding alone.
    widths = [width * -(-8 // width) for width in widths]
    return dict(
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=tuple(widths),
        down_block_types=tuple("CrossAttnDownBlock2D" if c else "DownBlock2D" for c in cross),
        up_block_types=tuple("CrossAttnUpBlock2D" if c else "UpBlock2D" for c in reversed(cross)),
        layers_per_block=draw.randint(1, 3),
        norm_num_groups=groups,
        cross_attention_dim=context,
        attention_head_dim=tuple(heads),
        use_linear_projection=draw.random() < 0.5,
        flip_sin_to_cos=draw.random() < 0.5,
        freq_shift=draw.randint(0, 1),
        downsample_padding=draw.randint(0, 1),
        transformer_layers_per_block=draw.randint(1, 2),
    )


def check_unet(parity, draw, seed, in_channels):
    context = draw.randint(5, 20)
    config = draw_unet(draw, context, in_channels)
    unet = reference.make_unet(seed, **config)
    folder = parity.folder / "unet"
    unet.save_pretrained(folder)
    batch, height, width = draw.randint(1, 3), draw.randint(8, 19), draw.randint(8, 19)
    inputs = {
        "sample": reference.normal(seed + 1, batch, in_channels, height, width),
        "timestep": torch.tensor([draw.randint(0, 999) for _ in range(batch)]),
        "encoder_hidden_states": reference.normal(seed + 2, batch, draw.randint(1, 9), context),
    }
    expected = reference.run_unet(unet, *inputs.values())
    parity.compare(f"unet {config}", parity.run("unet", folder, inputs), {"sample": expected})

    rank = draw.randint(1, 5)
    targets = ["to_q", "to_k", "to_v", "to_out.0"] + draw.choice([[], ["proj_in", "proj_out"], ["ff.net.2"]])
    embedding = draw.randint(6, 14)
    scale = draw.choice([1.0, 0.5])
    adapter = reference.ReferenceAdapter(unet, seed, rank, rank + 3, targets, embedding, scale=scale)
    adapter.save(parity.folder / "adapter")
    image_embeds = reference.normal(seed + 3, batch, embedding)
    with torch.no_grad():
        tokens = adapter.tokens(image_embeds).reshape(batch, 4, context)
        expected = adapter.forward(*inputs.values(), image_embeds)
    projected = parity.run("ip-projection", folder, {"image_embeds": image_embeds}, parity.folder / "adapter")
    parity.compare("ip-projection", projected, {"ip_hidden_states": tokens})
    outputs = parity.run("unet", folder, inputs | projected, parity.folder / "adapter")
    parity.compare(f"unet with rank {rank} on {targets}", outputs, {"sample": expected})

    parameters = adapter.parameters()
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    grad_sample = reference.normal(seed + 4, batch, 4, height, width)
    adapter.forward(*inputs.values(), image_embeds).backward(grad_sample)
    given = inputs | {"image_embeds": image_embeds, "grad_sample": grad_sample}
    outputs = parity.run("unet", folder, given, parity.folder / "adapter", "--gradients")
    gradients = {f"grad.{name}": parameter.grad for name, parameter in parameters.items()}
    parity.compare_gradients(f"unet with rank {rank} on {targets}", outputs, gradients)


def check_written_adapter(parity, draw, seed, write_adapter):
    """An adapter file of limewash's, loaded by diffusers as its users load one."""
    context, embedding = draw.randint(5, 20), draw.randint(6, 14)
    unet = reference.make_unet(seed, **draw_unet(draw, context, 9))
    unet_folder, folder = parity.folder / "unet", parity.folder / "written"
    unet.save_pretrained(unet_folder)
    rank = draw.randint(1, 5)
    targets = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.0.proj"]
    command = [write_adapter, unet_folder, folder, rank, rank + 2.5, embedding, *targets]
    subprocess.run([str(word) for word in command], check=True)

    pipe = reference.make_pipeline(UNet2DConditionModel.from_pretrained(unet_folder))
    pipe.load_lora_weights(folder, weight_name="pytorch_lora_weights.safetensors")
    pipe.load_ip_adapter(folder, subfolder="", weight_name="ip_adapter.safetensors", image_encoder_folder=None)
    image_embeds = reference.normal(seed + 1, 2, embedding)
    inputs = {
        "sample": reference.normal(seed + 2, 2, 9, 12, 10),
        "timestep": torch.tensor([3, 777]),
        "encoder_hidden_states": reference.normal(seed + 3, 2, 5, context),
    }
    plain = reference.run_unet(unet, *inputs.values())
    with torch.no_grad():
        conditions = {"image_embeds": [image_embeds[:, None, :]]}
        expected = pipe.unet(*inputs.values(), added_cond_kwargs=conditions).sample
    if (expected - plain).abs().max() < 0.01:
        parity.failures += 1
        print("FAILED diffusers took no notice of the adapter")
    projected = parity.run("ip-projection", unet_folder, {"image_embeds": image_embeds}, folder)
    outputs = parity.run("unet", unet_folder, inputs | projected, folder)
    parity.compare("an adapter written by limewash, in diffusers", outputs, {"sample": expected})


def check_vae(parity, draw, seed):
    levels, groups = draw.randint(1, 4), draw.choice([1, 2, 3])
    config = dict(
        block_out_channels=tuple(groups * draw.randint(2, 5) for _ in range(levels)),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=draw.randint(1, 3),
        norm_num_groups=groups,
        latent_channels=draw.randint(2, 5),
    )
    vae = reference.make_vae(seed, **config)
    folder = parity.folder / "vae"
    vae.save_pretrained(folder)
    step = 2 ** (levels - 1)
    pixels = reference.normal(seed + 1, 2, 3, step * draw.randint(2, 4), step * draw.randint(2, 4))
    latents = reference.normal(seed + 2, 2, config["latent_channels"], draw.randint(2, 6), draw.randint(2, 6))
    outputs = parity.run("vae-encode", folder, {"sample": pixels})
    parity.compare(f"vae-encode {config}", outputs, reference.run_vae_encode(vae, pixels))
    outputs = parity.run("vae-decode", folder, {"latents": latents})
    parity.compare(f"vae-decode {config}", outputs, reference.run_vae_decode(vae, latents))


def draw_autoencoder_tiny(draw):
    encoder, decoder = draw.randint(1, 4), draw.randint(1, 4)
    return dict(
        encoder_block_out_channels=(draw.randint(3, 9),) * encoder,
        decoder_block_out_channels=(draw.randint(3, 9),) * decoder,
        num_encoder_blocks=tuple(draw.randint(1, 3) for _ in range(encoder)),
        num_decoder_blocks=tuple(draw.randint(1, 3) for _ in range(decoder)),
        act_fn=draw.choice(["relu", "silu", "gelu", "mish"]),
        latent_channels=draw.randint(2, 5),
        upsampling_scaling_factor=draw.randint(2, 3),
    )


def check_autoencoder_tiny(parity, draw, seed):
    config = draw_autoencoder_tiny(draw)
    vae = reference.make_autoencoder_tiny(seed, **config)
    folder = parity.folder / "vae_tiny"
    vae.save_pretrained(folder)
    pixels = reference.normal(seed + 1, 2, 3, draw.randint(5, 25), draw.randint(5, 25))
    latents = reference.normal(seed + 2, 2, config["latent_channels"], draw.randint(2, 6), draw.randint(2, 6))
    outputs = parity.run("vae-encode", folder, {"sample": pixels})
    parity.compare(f"vae-encode {config}", outputs, reference.run_autoencoder_tiny_encode(vae, pixels))
    outputs = parity.run("vae-decode", folder, {"latents": latents})
    parity.compare(f"vae-decode {config}", outputs, reference.run_vae_decode(vae, latents))


def draw_transformer(draw):
    heads = draw.randint(1, 4)
    return dict(
        hidden_size=heads * draw.randint(2, 7),
        intermediate_size=draw.randint(8, 40),
        num_hidden_layers=draw.randint(1, 4),
        num_attention_heads=heads,
        hidden_act=draw.choice(["quick_gelu", "gelu"]),
    )


def check_text_encoder(parity, draw, seed):
    vocabulary, length = draw.randint(20, 60), draw.randint(5, 20)
    end = draw.choice([2, vocabulary - 1])
    config = draw_transformer(draw) | dict(
        vocab_size=vocabulary, max_position_embeddings=length, bos_token_id=0, eos_token_id=end, pad_token_id=1
    )
    encoder = reference.make_text_encoder(seed, **config)
    folder = parity.folder / "text_encoder"
    encoder.save_pretrained(folder)
    ids = torch.tensor([[draw.randrange(vocabulary) for _ in range(draw.randint(3, length))]])
    outputs = parity.run("text-encoder", folder, {"input_ids": ids})
    parity.compare(f"text-encoder {config}", outputs, reference.run_text_encoder(encoder, ids))


def check_image_encoder(parity, draw, seed):
    patch = draw.randint(2, 6)
    size = patch * draw.randint(2, 5) + draw.randint(0, patch - 1)
    config = draw_transformer(draw) | dict(image_size=size, patch_size=patch, projection_dim=draw.randint(4, 20))
    encoder = reference.make_image_encoder(seed, **config)
    folder = parity.folder / "image_encoder"
    encoder.save_pretrained(folder)
    pixels = reference.normal(seed + 1, 2, 3, size, size)
    outputs = parity.run("image-encoder", folder, {"pixel_values": pixels})
    parity.compare(f"image-encoder {config}", outputs, reference.run_image_encoder(encoder, pixels))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limewash", required=True, help="the program")
    parser.add_argument("--write-adapter", required=True, help="the test program of that name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        parity = Parity(arguments.limewash, pathlib.Path(folder))
        for round_number in range(arguments.rounds):
            seed = 1000 * arguments.seed + 100 * round_number
            draw = random.Random(seed)
            check_unet(parity, draw, seed, in_channels=9 if round_number % 2 == 0 else 4)
            check_vae(parity, draw, seed + 20)
            check_autoencoder_tiny(parity, draw, seed + 30)
            check_text_encoder(parity, draw, seed + 40)
            check_image_encoder(parity, draw, seed + 60)
            check_written_adapter(parity, draw, seed + 80, arguments.write_adapter)
    print(f"{parity.failures} comparisons failed")
    sys.exit(1 if parity.failures else 0)


if __name__ == "__main__":
    main()
