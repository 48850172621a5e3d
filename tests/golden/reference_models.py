"""Small random networks of the reference libraries, and their outputs, named as limewash names them."""

import json
import pathlib

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.training_utils import _collate_lora_metadata
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection


@torch.no_grad()
def randomize(module, seed):
    """Replace all weights by seeded ones that keep activations near 1, so that every layer matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(module.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1:
            is_scale = name.endswith("weight")
            parameter.copy_(noise * 0.2 + (1.0 if is_scale else 0.0))
        else:
            fan_in = parameter[0].numel()
            parameter.copy_(noise / fan_in**0.5)
    return module.eval()


def make_unet(seed, **config):
    return randomize(UNet2DConditionModel(**config), seed)


def make_vae(seed, **config):
    return randomize(AutoencoderKL(**config), seed)


def make_autoencoder_tiny(seed, **config):
    return randomize(AutoencoderTiny(**config), seed)


def make_text_encoder(seed, **config):
    return randomize(CLIPTextModel(CLIPTextConfig(**config)), seed)


def make_image_encoder(seed, **config):
    return randomize(CLIPVisionModelWithProjection(CLIPVisionConfig(**config)), seed)


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def attention_places(unet):
    """(N of the IP-Adapter file, path) of each cross-attention, in the order of unet.attn_processors."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    return [(place, name) for place, name in enumerate(names) if name.endswith("attn2")]


def make_pipeline(unet):
    """The parts of a pipeline that loading adapters needs."""
    return StableDiffusionPipeline(
        vae=None,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


class ReferenceAdapter:
    """A LoRA by peft and an IP-Adapter by diffusers inside `unet`, with random weights."""

    def __init__(self, unet, seed, rank, alpha, targets, embedding_size, tokens=4, scale=1.0):
        self.unet, self.scale = unet, scale
        width = unet.config.cross_attention_dim
        self.places = attention_places(unet)
        modules = dict(unet.named_modules())
        ip = {
            "proj.weight": normal(seed, tokens * width, embedding_size) / embedding_size**0.5,
            "proj.bias": 0.2 * normal(seed + 1, tokens * width),
            "norm.weight": 1 + 0.2 * normal(seed + 2, width),
            "norm.bias": 0.2 * normal(seed + 3, width),
        }
        attention = {}
        for place, path in self.places:
            inner = modules[path].to_k.weight.shape[0]
            attention[f"{place}.to_k_ip.weight"] = normal(seed + 10 + place, inner, width) / width**0.5
            attention[f"{place}.to_v_ip.weight"] = normal(seed + 110 + place, inner, width) / width**0.5
        self.ip_file = {f"image_proj.{key}": value for key, value in ip.items()}
        self.ip_file |= {f"ip_adapter.{key}": value for key, value in attention.items()}
        # The LoRA first, as its targets must not match anything of the IP-Adapter.
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), init_lora_weights=False)
        unet.add_adapter(config)
        with torch.no_grad():
            for index, (name, parameter) in enumerate(sorted(unet.named_parameters())):
                if ".lora_A." in name:
                    parameter.copy_(normal(seed + 1000 + index, *parameter.shape) / parameter[0].numel() ** 0.5)
                elif ".lora_B." in name:
                    # A change of a third: far larger ones make a network that amplifies rounding.
                    size = 0.3 * rank / alpha / rank**0.5
                    parameter.copy_(size * normal(seed + 1000 + index, *parameter.shape))
        unet._load_ip_adapter_weights([{"image_proj": ip, "ip_adapter": attention}], low_cpu_mem_usage=False)
        for path, processor in unet.attn_processors.items():
            if path.endswith("attn2.processor"):
                processor.scale = [scale]

    def save(self, folder):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        StableDiffusionPipeline.save_lora_weights(
            folder,
            unet_lora_layers=get_peft_model_state_dict(self.unet),
            **_collate_lora_metadata({"unet": self.unet}),
        )
        tensors = {key: value.contiguous() for key, value in self.ip_file.items()}
        save_file(tensors, folder / "ip_adapter.safetensors", {"format": "pt", "ip_adapter_scale": str(self.scale)})

    def parameters(self):
        """The live tensors by the name that they have in the files."""
        named = {}
        for name, parameter in self.unet.named_parameters():
            if ".lora_A.default." in name or ".lora_B.default." in name:
                named["unet." + name.replace(".default.", ".")] = parameter
        projection = self.unet.encoder_hid_proj.image_projection_layers[0]
        named["image_proj.proj.weight"] = projection.image_embeds.weight
        named["image_proj.proj.bias"] = projection.image_embeds.bias
        named["image_proj.norm.weight"] = projection.norm.weight
        named["image_proj.norm.bias"] = projection.norm.bias
        processors = self.unet.attn_processors
        for place, path in self.places:
            named[f"ip_adapter.{place}.to_k_ip.weight"] = processors[path + ".processor"].to_k_ip[0].weight
            named[f"ip_adapter.{place}.to_v_ip.weight"] = processors[path + ".processor"].to_v_ip[0].weight
        return named

    def tokens(self, image_embeds):
        projection = self.unet.encoder_hid_proj.image_projection_layers[0]
        return projection(image_embeds)

    def forward(self, sample, timestep, encoder_hidden_states, image_embeds):
        return self.unet(
            sample,
            timestep,
            encoder_hidden_states,
            added_cond_kwargs={"image_embeds": [image_embeds[:, None, :]]},
        ).sample


@torch.no_grad()
def run_unet(unet, sample, timestep, encoder_hidden_states):
    return unet(sample, timestep, encoder_hidden_states).sample


@torch.no_grad()
def run_vae_encode(vae, sample):
    latents = vae.encode(sample).latent_dist
    return {"mean": latents.mean.contiguous(), "std": latents.std.contiguous()}


@torch.no_grad()
def run_autoencoder_tiny_encode(vae, sample):
    latents = vae.encode(sample).latents
    return {"latents": latents, "mean": latents.clone(), "std": torch.zeros_like(latents)}


@torch.no_grad()
def run_vae_decode(vae, latents):
    return {"sample": vae.decode(latents).sample}


@torch.no_grad()
def run_text_encoder(encoder, input_ids):
    output = encoder(input_ids)
    return {"last_hidden_state": output.last_hidden_state, "pooler_output": output.pooler_output}


@torch.no_grad()
def run_image_encoder(encoder, pixel_values):
    output = encoder(pixel_values, output_hidden_states=True)
    return {
        "image_embeds": output.image_embeds,
        "penultimate_hidden_state": output.hidden_states[-2],
    }


def edit_json(path, **changes):
    path = pathlib.Path(path)
    values = json.loads(path.read_text())
    values.update(changes)
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
