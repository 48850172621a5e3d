#!/usr/bin/env python3
"""Write the golden tensors of tests/golden: inputs, outputs and gradients of diffusers, transformers and peft
on tiny seeded networks. Run with the Python of .venv; nothing here comes from limewash's own code."""

import argparse
import json
import pathlib
import shutil

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor

import reference_models as reference

CONTEXT, EMBEDDING = 15, 10

# Three heads, widths that are no powers of two, two layers, sizes that the down-sampling does not divide.
UNET_9 = dict(
    in_channels=9,
    out_channels=4,
    block_out_channels=(12, 18),
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    layers_per_block=2,
    norm_num_groups=3,
    cross_attention_dim=CONTEXT,
    attention_head_dim=3,
)
UNET_4 = dict(
    in_channels=4,
    out_channels=4,
    block_out_channels=(10, 15, 20),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    norm_num_groups=5,
    norm_eps=1e-4,
    cross_attention_dim=9,
    attention_head_dim=(2, 5, 3),  # 3 heads do not divide 20 channels: the inner width is 18
    use_linear_projection=True,
    transformer_layers_per_block=(1, 1, 2),
    flip_sin_to_cos=False,
    freq_shift=1,
    center_input_sample=True,
    downsample_padding=0,
    mid_block_scale_factor=1.5,
)
VAE = dict(
    block_out_channels=(6, 9, 12),
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    layers_per_block=2,
    norm_num_groups=3,
    latent_channels=4,
    scaling_factor=0.3,
)
VAE_PLAIN = dict(
    block_out_channels=(4, 8),
    down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2,
    layers_per_block=1,
    norm_num_groups=2,
    latent_channels=3,
    mid_block_add_attention=False,
    use_quant_conv=False,
    use_post_quant_conv=False,
)
VAE_TINY = dict(
    encoder_block_out_channels=(6, 6, 6),
    decoder_block_out_channels=(5, 5),
    num_encoder_blocks=(1, 2, 1),
    num_decoder_blocks=(2, 1),
    act_fn="silu",
    latent_channels=3,
    upsampling_scaling_factor=3,
    latent_magnitude=2,
    latent_shift=0.25,
    scaling_factor=0.8,
)
TEXT = dict(
    vocab_size=40,
    hidden_size=CONTEXT,
    intermediate_size=22,
    num_hidden_layers=2,
    num_attention_heads=3,
    max_position_embeddings=9,
    hidden_act="quick_gelu",
    bos_token_id=38,
    eos_token_id=39,
    pad_token_id=39,
)
VISION = dict(
    hidden_size=18,
    intermediate_size=25,
    num_hidden_layers=3,
    num_attention_heads=3,
    image_size=14,
    patch_size=4,
    projection_dim=EMBEDDING,
    hidden_act="gelu",
)
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.0.proj", "time_emb_proj"]


def write(folder, name, tensors):
    tensors = {key: value.detach().contiguous() for key, value in tensors.items()}
    save_file(tensors, folder / f"{name}.safetensors")


def make_base(out):
    """A whole base model with the public SD 1.5 key layouts, and an adapter for its UNet."""
    unet = reference.make_unet(1, **UNET_9)
    unet.save_pretrained(out / "unet")
    vae = reference.make_vae(2, **VAE)
    vae.save_pretrained(out / "vae")
    text = reference.make_text_encoder(3, **TEXT)
    text.save_pretrained(out / "text_encoder")
    vision = reference.make_image_encoder(4, **VISION)
    vision.save_pretrained(out / "image_encoder")
    use_old_layouts(out)
    DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    ).save_pretrained(out / "scheduler")
    processor = CLIPImageProcessor(size={"shortest_edge": 14}, crop_size={"height": 14, "width": 14})
    processor.save_pretrained(out / "image_encoder")
    make_tokenizer(out / "tokenizer")
    (out / "model_index.json").write_text('{\n  "_class_name": "StableDiffusionInpaintPipeline"\n}\n')

    sample = reference.normal(20, 2, 9, 11, 13)
    timestep = torch.tensor([7, 981])
    states = reference.normal(21, 2, 6, CONTEXT)
    inputs = {"sample": sample, "timestep": timestep, "encoder_hidden_states": states}
    write(out, "unet_inputs", inputs)
    write(out, "unet_outputs", {"sample": reference.run_unet(unet, sample, timestep, states)})

    pixels = reference.normal(22, 2, 3, 20, 12).clamp(-1, 1)
    latents = reference.normal(23, 2, 4, 5, 3)
    write(out, "vae_inputs", {"sample": pixels, "latents": latents})
    write(out, "vae_outputs", reference.run_vae_encode(vae, pixels) | reference.run_vae_decode(vae, latents))

    ids = torch.tensor([[38, 5, 39, 39, 7, 39, 39], [38, 1, 2, 3, 4, 39, 0]])
    empty = torch.tensor([[38, 39, 39, 39, 39, 39, 39, 39, 39]])
    empty_state = reference.run_text_encoder(text, empty)["last_hidden_state"]
    write(out, "text_inputs", {"input_ids": ids})
    write(out, "text_outputs", reference.run_text_encoder(text, ids) | {"empty_prompt": empty_state})
    pixel_values = reference.normal(24, 2, 3, 14, 14)
    write(out, "vision_inputs", {"pixel_values": pixel_values})
    write(out, "vision_outputs", reference.run_image_encoder(vision, pixel_values))
    make_pictures(out, processor, vision)
    make_adapter(out, unet, sample, timestep, states)


def use_old_layouts(out):
    """What public files look like: transformers 4's prefix and position ids, the VAE's first attention names."""
    path = out / "text_encoder/model.safetensors"
    tensors = {f"text_model.{key}": value for key, value in load_file(path).items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(TEXT["max_position_embeddings"])[None]
    save_file(tensors, path, {"format": "pt"})
    path = out / "image_encoder/model.safetensors"
    tensors = load_file(path)
    tensors["vision_model.embeddings.position_ids"] = torch.arange(10)[None]
    save_file(tensors, path, {"format": "pt"})
    path = out / "vae/diffusion_pytorch_model.safetensors"
    tensors = {}
    for key, value in load_file(path).items():
        for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        tensors[key] = value
    save_file(tensors, path, {"format": "pt"})


def make_tokenizer(out):
    out.mkdir(parents=True, exist_ok=True)
    vocab = {f"t{index}": index for index in range(38)} | {"<|startoftext|>": 38, "<|endoftext|>": 39}
    (out / "vocab.json").write_text(json.dumps(vocab) + "\n")
    (out / "merges.txt").write_text("#version: 0.2\n")
    special = {
        "bos_token": {"content": "<|startoftext|>", "lstrip": False},
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (out / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")


def make_pictures(out, processor, vision):
    """Pictures of several sizes through CLIPImageProcessor and the encoder."""
    tensors = {}
    for size in (14, 9, 37):
        pixels = (reference.normal(30 + size, 2, 3, size, size).sigmoid() * 255).round().to(torch.uint8)
        images = [picture.permute(1, 2, 0).numpy() for picture in pixels]
        values = processor(images=images, return_tensors="pt")["pixel_values"]
        tensors[f"rgb_{size}"] = pixels
        tensors[f"image_embeds_{size}"] = reference.run_image_encoder(vision, values)["image_embeds"]
    write(out, "pictures", tensors)


def make_adapter(out, unet, sample, timestep, states):
    adapter = reference.ReferenceAdapter(unet, 100, 3, 5, TARGETS, EMBEDDING, scale=0.7)
    adapter.save(out / "adapter")
    image_embeds = reference.normal(40, 2, EMBEDDING)
    probe = reference.normal(41, 2, 4, 11, 13)
    parameters = adapter.parameters()
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    output = adapter.forward(sample, timestep, states, image_embeds)
    (output * probe).sum().backward()
    tensors = {"image_embeds": image_embeds, "probe": probe, "sample": output}
    tensors["ip_hidden_states"] = adapter.tokens(image_embeds)
    tensors |= {f"gradient.{name}": parameter.grad for name, parameter in parameters.items()}
    write(out, "adapter_outputs", tensors)


def make_variants(out):
    """The other options of the networks, and half precision files."""
    unet = reference.make_unet(5, **UNET_4).half().float()
    unet.half().save_pretrained(out / "unet", variant="fp16")
    unet.float()
    sample, timestep = reference.normal(50, 3, 4, 9, 10), torch.tensor([0, 500, 999])
    states = reference.normal(51, 3, 4, 9)
    tensors = {"sample": sample, "timestep": timestep, "encoder_hidden_states": states}
    with torch.no_grad():
        residuals, middle = control_residuals(unet, sample)
        tensors |= {f"down_block_residual_{i}": value for i, value in enumerate(residuals)}
        tensors["mid_block_residual"] = middle
        controlled = unet(
            sample,
            timestep,
            states,
            down_block_additional_residuals=residuals,
            mid_block_additional_residual=middle,
        ).sample
    write(out, "unet_inputs", tensors)
    plain = reference.run_unet(unet, sample, timestep, states)
    write(out, "unet_outputs", {"sample": plain, "controlled_sample": controlled})

    vae = reference.make_vae(6, **VAE_PLAIN)
    vae.bfloat16().save_pretrained(out / "vae")
    vae.float()
    pixels, latents = reference.normal(52, 1, 3, 6, 10), reference.normal(53, 1, 3, 4, 3)
    write(out, "vae_inputs", {"sample": pixels, "latents": latents})
    write(out, "vae_outputs", reference.run_vae_encode(vae, pixels) | reference.run_vae_decode(vae, latents))

    make_tiny_vae(out)

    # As transformers 5 writes it, with the end token of files from before its id was corrected.
    text = reference.make_text_encoder(7, **(TEXT | dict(eos_token_id=2, hidden_act="gelu")))
    text.save_pretrained(out / "text_encoder")
    ids = torch.tensor([[38, 5, 39, 39], [38, 2, 3, 39]])
    write(out, "text_inputs", {"input_ids": ids})
    write(out, "text_outputs", reference.run_text_encoder(text, ids))


def make_tiny_vae(out):
    vae = reference.make_autoencoder_tiny(8, **VAE_TINY)
    vae.save_pretrained(out / "vae_tiny")
    pixels, latents = reference.normal(55, 2, 3, 11, 14), 2 * reference.normal(56, 2, 3, 5, 4)
    write(out, "vae_tiny_inputs", {"sample": pixels, "latents": latents})
    with torch.no_grad():
        # The network's own forward keeps the latents as bytes between both sides.
        stored = vae.scale_latents(latents)
        tensors = {"latents": vae.encode(pixels).latents, "sample": vae.decode(latents).sample}
        tensors |= {"scaled": stored, "unscaled": vae.unscale_latents(stored)}
    write(out, "vae_tiny_outputs", tensors)


def control_residuals(unet, sample):
    """Random residuals of the shapes that a ControlNet would give."""
    shapes = []
    hooks = [
        block.register_forward_hook(lambda _m, _i, output: shapes.extend(tuple(r.shape) for r in output[1]))
        for block in unet.down_blocks
    ]
    middle = []
    hooks.append(unet.mid_block.register_forward_hook(lambda _m, _i, output: middle.append(tuple(output.shape))))
    unet(sample, torch.tensor(1), reference.normal(54, sample.shape[0], 2, unet.config.cross_attention_dim))
    for hook in hooks:
        hook.remove()
    first = (sample.shape[0], unet.config.block_out_channels[0], *sample.shape[2:])
    residuals = [reference.normal(60 + i, *shape) for i, shape in enumerate([first, *shapes])]
    return residuals, reference.normal(59, *middle[0])


SCHEDULES = {
    "scaled_linear_leading": dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1),
    "linear_trailing_v": dict(timestep_spacing="trailing", prediction_type="v_prediction"),
    "zero_snr_linspace_v": dict(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        rescale_betas_zero_snr=True,
        timestep_spacing="linspace",
        prediction_type="v_prediction",
    ),
}


def make_schedules(out):
    for name, options in SCHEDULES.items():
        options = dict(clip_sample=False, set_alpha_to_one=False) | options
        scheduler = DDIMScheduler(**options)
        folder = out / name
        scheduler.save_pretrained(folder)
        z0, noise = reference.normal(70, 4, 2, 3, 5), reference.normal(71, 4, 2, 3, 5)
        timesteps = torch.tensor([0, 3, 500, 999])
        training = DDPMScheduler.from_config(scheduler.config)
        tensors = {
            "alphas_cumprod": scheduler.alphas_cumprod,
            "z0": z0,
            "noise": noise,
            "timesteps": timesteps,
            "noisy": training.add_noise(z0, noise, timesteps),
            "velocity": training.get_velocity(z0, noise, timesteps),
        }
        for steps in (1, 2, 7, 20, 50, 333, 1000):
            # 1000 steps with an offset run off diffusers' own table.
            if steps == 1000 and options.get("steps_offset"):
                continue
            scheduler.set_timesteps(steps)
            tensors[f"steps_{steps}"] = scheduler.timesteps.to(torch.int64)
        write(folder, "expected", tensors)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    np.random.seed(0)
    for name, make in (("base", make_base), ("variants", make_variants), ("schedules", make_schedules)):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
        make(out / name)
    total = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{total / 2**20:.2f} MiB in {out}")


if __name__ == "__main__":
    main()
