#!/usr/bin/env python3
"""Write tests/golden/ip_adapter: IP-Adapters of the Plus kind, alone and beside one of the base kind, as diffusers
computes them, and the names and shapes of full-size files. Run with the Python of .venv, after make_golden.py;
nothing here comes from limewash's own code."""

import argparse
import json
import pathlib
import shutil

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionModelWithProjection

import reference_ip_adapter as ip
import reference_models as reference

SCALE_BASE, SCALE_PLUS = 0.7, 0.4

# diffusers reads four layers and heads of 64 only; no other size here is a usual one.
PLUS = dict(embedding_dim=11, dim=14, output_dim=15, depth=4, heads=1, head_dim=64, num_queries=5)
ODD = dict(embedding_dim=13, dim=17, output_dim=9, depth=3, heads=3, head_dim=5, num_queries=6, ff_mult=2)
PLUS_SD15 = dict(embedding_dim=1280, dim=768, output_dim=768, depth=4, heads=12, head_dim=64, num_queries=16)
BASE_SD15 = {"proj.weight": (3072, 1024), "proj.bias": (3072,), "norm.weight": (768,), "norm.bias": (768,)}

UNET_SD15 = dict(
    sample_size=64,
    in_channels=9,
    out_channels=4,
    block_out_channels=(320, 640, 1280, 1280),
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    layers_per_block=2,
    cross_attention_dim=768,
    attention_head_dim=8,
)


def write(path, tensors):
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, path)


def fresh_unet(golden):
    return UNet2DConditionModel.from_pretrained(golden / "base/unet").requires_grad_(False)


def make_plus(golden, out):
    unet = fresh_unet(golden)
    resampler = ip.make_resampler(200, **PLUS)
    ip.save_adapter(ip.plus_adapter(unet, 300, resampler), out / "plus.safetensors", ip_adapter_scale=SCALE_PLUS)
    inputs = load_file(golden / "base/unet_inputs.safetensors")
    hidden_states = reference.normal(210, 2, 7, PLUS["embedding_dim"])
    probe = reference.normal(211, 2, 4, 11, 13)

    ip.load_adapters(unet, [out / "plus.safetensors"], [SCALE_PLUS])
    projection = ip.projection_layer(unet)
    unet.requires_grad_(False)
    projection.requires_grad_(True)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(parameter.requires_grad or "_ip." in name)
    sample = ip.run_unet(unet, inputs, [hidden_states])
    (sample * probe).sum().backward()
    tensors = {"penultimate_hidden_state": hidden_states, "probe": probe, "sample": sample}
    tensors["ip_hidden_states"] = projection(hidden_states)
    gradients = ip.public_projection_gradients(projection)
    tensors |= {f"gradient.image_proj.{name}": value for name, value in gradients.items()}
    tensors |= {f"gradient.ip_adapter.{name}": value for name, value in ip.attention_gradients(unet).items()}
    write(out / "plus_outputs.safetensors", tensors)
    return hidden_states, inputs, probe


def make_pair(golden, out, hidden_states, inputs, probe):
    """The base kind's golden adapter and the one above, at once."""
    unet = fresh_unet(golden)
    files = [golden / "base/adapter/ip_adapter.safetensors", out / "plus.safetensors"]
    ip.load_adapters(unet, files, [SCALE_BASE, SCALE_PLUS])
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_("_ip." in name)
    image_embeds = load_file(golden / "base/adapter_outputs.safetensors")["image_embeds"]
    sample = ip.run_unet(unet, inputs, [image_embeds, hidden_states])
    (sample * probe).sum().backward()
    tensors = {"sample": sample}
    for place in range(2):
        gradients = ip.attention_gradients(unet, place)
        tensors |= {f"gradient_{place}.ip_adapter.{name}": value for name, value in gradients.items()}
    write(out / "pair_outputs.safetensors", tensors)


def make_odd(out):
    resampler = ip.make_resampler(220, **ODD)
    hidden_states = reference.normal(221, 2, 4, ODD["embedding_dim"])
    probe = reference.normal(222, 2, ODD["num_queries"], ODD["output_dim"])
    tokens = resampler(hidden_states)
    (tokens * probe).sum().backward()
    tensors = {"penultimate_hidden_state": hidden_states, "probe": probe, "ip_hidden_states": tokens}
    tensors |= {f"weight.{name}": value for name, value in resampler.state_dict().items()}
    tensors |= {f"gradient.{name}": parameter.grad for name, parameter in resampler.named_parameters()}
    write(out / "resampler.safetensors", tensors)


def make_dropped(golden, out):
    """What Plus gets for a dropped reference: the hidden states of an input of zeros, not of a black picture."""
    encoder = CLIPVisionModelWithProjection.from_pretrained(golden / "base/image_encoder")
    size = encoder.config.image_size
    write(out / "dropped.safetensors", reference.run_image_encoder(encoder, torch.zeros(1, 3, size, size)))


def make_full_size_names(out):
    """Names and shapes of ip-adapter_sd15 and ip-adapter-plus_sd15; no weights."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNET_SD15)
        resampler = ip.Resampler(**PLUS_SD15)
    unet.save_config(out / "sd15_unet")
    modules, attention = dict(unet.named_modules()), {}
    for place, path in reference.attention_places(unet):
        for name in ("to_k", "to_v"):
            attention[f"ip_adapter.{place}.{name}_ip.weight"] = list(getattr(modules[path], name).weight.shape)
    base = {f"image_proj.{name}": list(shape) for name, shape in BASE_SD15.items()}
    plus = {f"image_proj.{name}": list(value.shape) for name, value in resampler.state_dict().items()}
    assert len(attention) == 32 and len(plus) == 51
    names = {"base": base | attention, "plus": plus | attention}
    (out / "sd15_names.json").write_text(json.dumps(names, indent=1, sort_keys=True) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--golden", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    golden = parser.parse_args().golden
    torch.set_num_threads(1)
    out = golden / "ip_adapter"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    make_pair(golden, out, *make_plus(golden, out))
    make_odd(out)
    make_dropped(golden, out)
    make_full_size_names(out)
    total = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{total / 2**10:.0f} KiB in {out}")


if __name__ == "__main__":
    main()
