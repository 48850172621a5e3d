"""IP-Adapters with random weights: files as they are published, and what diffusers computes with them."""

import torch
from safetensors.torch import save_file
from torch import nn

import reference_models as reference


class PerceiverAttention(nn.Module):
    def __init__(self, dim, heads, head_dim):
        super().__init__()
        inner = heads * head_dim
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, image, latents):
        image, latents = self.norm1(image), self.norm2(latents)
        key, value = self.to_kv(torch.cat([image, latents], dim=1)).chunk(2, dim=-1)
        query, key, value = (
            tensor.unflatten(-1, (self.heads, -1)).transpose(1, 2) for tensor in (self.to_q(latents), key, value)
        )
        weights = torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, dim=-1)
        return self.to_out((weights @ value).transpose(1, 2).flatten(2))


class Resampler(nn.Module):
    """The projection of IP-Adapter Plus at any depth and width of a head, with the keys of the public files."""

    def __init__(self, embedding_dim, dim, output_dim, depth, heads, head_dim, num_queries, ff_mult=4):
        super().__init__()
        self.latents = nn.Parameter(torch.empty(1, num_queries, dim))
        self.proj_in, self.proj_out = nn.Linear(embedding_dim, dim), nn.Linear(dim, output_dim)
        self.norm_out = nn.LayerNorm(output_dim)
        self.layers = nn.ModuleList()
        for _ in range(depth):
            feed_forward = nn.Sequential(
                nn.LayerNorm(dim),
                nn.Linear(dim, ff_mult * dim, bias=False),
                nn.GELU(),
                nn.Linear(ff_mult * dim, dim, bias=False),
            )
            self.layers.append(nn.ModuleList([PerceiverAttention(dim, heads, head_dim), feed_forward]))

    def forward(self, hidden_states):
        image = self.proj_in(hidden_states)
        latents = self.latents.expand(hidden_states.shape[0], -1, -1)
        for attention, feed_forward in self.layers:
            latents = latents + attention(image, latents)
            latents = latents + feed_forward(latents)
        return self.norm_out(self.proj_out(latents))


def make_resampler(seed, **sizes):
    return reference.randomize(Resampler(**sizes), seed)


def attention_tensors(unet, seed):
    """Keys and values of each cross-attention, by the number that the file gives it."""
    modules, tensors = dict(unet.named_modules()), {}
    for place, path in reference.attention_places(unet):
        inner, width = modules[path].to_k.weight.shape
        tensors[f"{place}.to_k_ip.weight"] = reference.normal(seed + place, inner, width) / width**0.5
        tensors[f"{place}.to_v_ip.weight"] = reference.normal(seed + 100 + place, inner, width) / width**0.5
    return tensors


def base_adapter(unet, seed, embedding_size, tokens=4):
    """A state dict of the base kind: {"image_proj": {...}, "ip_adapter": {...}}."""
    width = unet.config.cross_attention_dim
    projection = {
        "proj.weight": reference.normal(seed, tokens * width, embedding_size) / embedding_size**0.5,
        "proj.bias": 0.2 * reference.normal(seed + 1, tokens * width),
        "norm.weight": 1 + 0.2 * reference.normal(seed + 2, width),
        "norm.bias": 0.2 * reference.normal(seed + 3, width),
    }
    return {"image_proj": projection, "ip_adapter": attention_tensors(unet, seed + 10)}


def plus_adapter(unet, seed, resampler):
    """The same of the Plus kind."""
    projection = {key: value.detach().clone() for key, value in resampler.state_dict().items()}
    return {"image_proj": projection, "ip_adapter": attention_tensors(unet, seed + 10)}


def save_adapter(state_dict, path, **metadata):
    flat = {f"{part}.{key}": value for part, values in state_dict.items() for key, value in values.items()}
    metadata = {key: str(value) for key, value in metadata.items()}
    save_file({key: value.contiguous() for key, value in flat.items()}, path, {"format": "pt"} | metadata)


def load_adapters(unet, files, scales):
    """Put IP-Adapter files into a UNet, as users of diffusers do."""
    pipe = reference.make_pipeline(unet)
    pipe.load_ip_adapter(
        [str(file.parent) for file in files],
        subfolder="",
        weight_name=[file.name for file in files],
        image_encoder_folder=None,
    )
    pipe.set_ip_adapter_scale(list(scales))


def run_unet(unet, inputs, features):
    """`features`: one tensor for each adapter, [N, E] or [N, P, C]."""
    conditions = {"image_embeds": [feature[:, None] for feature in features]}
    return unet(
        inputs["sample"], inputs["timestep"], inputs["encoder_hidden_states"], added_cond_kwargs=conditions
    ).sample


def projection_layer(unet, place=0):
    return unet.encoder_hid_proj.image_projection_layers[place]


def public_projection_gradients(projection):
    """Gradients of diffusers' projection of the Plus kind by the names of the public file."""
    gradients, halves = {}, {}
    for name, parameter in projection.named_parameters():
        parts = name.split(".")
        if parts[0] != "layers":
            gradients[name] = parameter.grad
            continue
        layer, rest = ".".join(parts[:2]), ".".join(parts[2:])
        if rest in ("attn.to_k.weight", "attn.to_v.weight"):
            halves[layer, rest[8]] = parameter.grad
            continue
        renamed = {
            "ln0": "0.norm1",
            "ln1": "0.norm2",
            "attn.to_q": "0.to_q",
            "attn.to_out.0": "0.to_out",
            "ff.0": "1.0",
            "ff.1.net.0.proj": "1.1",
            "ff.1.net.2": "1.3",
        }
        gradients[f"{layer}.{renamed[rest.rpartition('.')[0]]}.{parts[-1]}"] = parameter.grad
    for layer in {layer for layer, _ in halves}:
        gradients[f"{layer}.0.to_kv.weight"] = torch.cat([halves[layer, "k"], halves[layer, "v"]])
    return gradients


def attention_gradients(unet, place=0):
    """Gradients of one adapter's keys and values by the names of the public file."""
    gradients = {}
    for number, path in reference.attention_places(unet):
        processor = unet.attn_processors[path + ".processor"]
        gradients[f"{number}.to_k_ip.weight"] = processor.to_k_ip[place].weight.grad
        gradients[f"{number}.to_v_ip.weight"] = processor.to_v_ip[place].weight.grad
    return gradients
