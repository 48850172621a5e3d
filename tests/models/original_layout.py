"""diffusers' and transformers' names -> those of Stable Diffusion's original checkpoints, written from the layout of
the original code (ldm/modules/diffusionmodules, open_clip). The tests' own inverse of what limewash and diffusers do."""

import re

import torch

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
UNET_OUTER = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def outer(name, table):
    for new, old in table.items():
        if name.startswith(new + "."):
            return old + name[len(new) :]
    return None


def unet_name(name, config):
    """`config` is diffusers': layers_per_block, and which up blocks have attention."""
    renamed = outer(name, UNET_OUTER)
    if renamed:
        return renamed
    step = config["layers_per_block"] + 1
    if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
        kind, place, rest = match.groups()
        return f"middle_block.1.{rest}" if kind == "attentions" else f"middle_block.{2 * int(place)}.{outer(rest, RESNET)}"
    side, block, kind, layer, rest = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name).groups()
    block, layer = int(block), int(layer)
    if side == "down":
        if kind == "downsamplers":
            return f"input_blocks.{(block + 1) * step}.0.op.{rest.removeprefix('conv.')}"
        start = f"input_blocks.{1 + block * step + layer}"
    else:
        if kind == "upsamplers":
            place = 2 if config["up_block_types"][block] == "CrossAttnUpBlock2D" else 1
            return f"output_blocks.{block * step + step - 1}.{place}.{rest}"
        start = f"output_blocks.{block * step + layer}"
    return f"{start}.1.{rest}" if kind == "attentions" else f"{start}.0.{outer(rest, RESNET)}"


def vae_name(name, levels):
    if name.startswith(("quant_conv", "post_quant_conv")):
        return name
    side, rest = name.split(".", 1)
    if match := re.fullmatch(r"mid_block\.resnets\.(\d)\.(.*)", rest):
        return f"{side}.mid.block_{int(match[1]) + 1}.{match[2]}"
    if match := re.fullmatch(r"mid_block\.attentions\.0\.(.*)", rest):
        return f"{side}.mid.attn_1.{outer(match[1], VAE_ATTENTION)}"
    if match := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", rest):
        which, block, kind, layer, rest = match.groups()
        level = int(block) if which == "down" else levels - 1 - int(block)
        if kind == "resnets":
            return f"{side}.{which}.{level}.block.{layer}.{rest.replace('conv_shortcut', 'nin_shortcut')}"
        return f"{side}.{which}.{level}.{which}sample.{rest}"
    return f"{side}.{rest.replace('conv_norm_out', 'norm_out')}"


def unet_tensors(state_dict, config):
    return {"model.diffusion_model." + unet_name(name, config): value for name, value in state_dict.items()}


def vae_tensors(state_dict, levels):
    tensors = {}
    for name, value in state_dict.items():
        linear = ".attentions." in name and value.dim() == 2
        tensors["first_stage_model." + vae_name(name, levels)] = value[:, :, None, None] if linear else value
    return tensors


def clip_tensors(state_dict):
    names = {name: name if name.startswith("text_model.") else "text_model." + name for name in state_dict}
    return {"cond_stage_model.transformer." + names[name]: value for name, value in state_dict.items()}


def open_clip_tensors(state_dict):
    flat = {name.removeprefix("text_model."): value for name, value in state_dict.items()}
    prefix = "cond_stage_model.model."
    tensors = {
        prefix + "positional_embedding": flat["embeddings.position_embedding.weight"],
        prefix + "token_embedding.weight": flat["embeddings.token_embedding.weight"],
        prefix + "ln_final.weight": flat["final_layer_norm.weight"],
        prefix + "ln_final.bias": flat["final_layer_norm.bias"],
    }
    for name, value in flat.items():
        match = re.fullmatch(r"encoder\.layers\.(\d+)\.(.*)", name)
        if not match:
            continue
        block = f"{prefix}transformer.resblocks.{match[1]}."
        if renamed := outer(match[2], OPEN_CLIP):
            tensors[block + renamed] = value
        elif ".q_proj." in name:
            parts = [flat[name.replace("q_proj", which)] for which in ("q_proj", "k_proj", "v_proj")]
            tensors[block + "attn.in_proj_" + name.rsplit(".", 1)[1]] = torch.cat(parts)
    return tensors
