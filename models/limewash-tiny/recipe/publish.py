"""Write the diffusers folder in half precision, with the keys of the public SD 1.5 files, and check it."""

import json
import pathlib

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

import vision
from denoiser import scheduler

DIFFUSION_FILE = "diffusion_pytorch_model.safetensors"
TRANSFORMER_FILE = "model.safetensors"
CLASSES = {
    "unet": (UNet2DConditionModel, DIFFUSION_FILE),
    "vae": (AutoencoderKL, DIFFUSION_FILE),
    "text_encoder": (CLIPTextModel, TRANSFORMER_FILE),
    "image_encoder": (CLIPVisionModelWithProjection, TRANSFORMER_FILE),
}
MODEL_INDEX = {
    "_class_name": "StableDiffusionInpaintPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


# Of diffusers' bookkeeping, no part of a network's description.
INTERNAL_KEYS = ("_name_or_path", "_use_default_values")


def public_key(part, key):
    """Newer transformers drop the text encoder's prefix; the public files have it."""
    if part == "text_encoder" and not key.startswith("text_model."):
        return f"text_model.{key}"
    return key


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_part(folder, part, model):
    """config.json and the fp16 weights of one network."""
    path = pathlib.Path(folder) / part
    path.mkdir(parents=True, exist_ok=True)
    if part in ("unet", "vae"):
        config = {key: value for key, value in model.config.items() if key not in INTERNAL_KEYS}
        config["_class_name"] = type(model).__name__
        config["_diffusers_version"] = MODEL_INDEX["_diffusers_version"]
    else:
        config = model.config.to_diff_dict()
        # What readers of config.json need, whatever the defaults of their version.
        for key in (
            "hidden_size",
            "intermediate_size",
            "projection_dim",
            "num_hidden_layers",
            "num_attention_heads",
            "hidden_act",
            "layer_norm_eps",
            "vocab_size",
            "max_position_embeddings",
            "image_size",
            "patch_size",
            "num_channels",
            "bos_token_id",
            "eos_token_id",
            "pad_token_id",
        ):
            if hasattr(model.config, key):
                config[key] = getattr(model.config, key)
        for key in ("transformers_version", "dtype", "torch_dtype"):
            config.pop(key, None)
        config["architectures"] = [type(model).__name__]
    _write_json(path / "config.json", config)
    tensors = {
        public_key(part, key): value.detach().to(torch.float16).contiguous()
        for key, value in model.state_dict().items()
        if not key.endswith("position_ids")
    }
    for key, value in tensors.items():
        if not torch.isfinite(value).all():
            raise SystemExit(f"{part}: {key} is not finite in half precision")
    save_file(tensors, path / CLASSES[part][1], metadata={"format": "pt"})
    (path / CLASSES[part][1]).chmod(0o644)


def write_folder(folder, parts):
    """Everything but the tokenizer, which `text.write_tokenizer` wrote."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, model in parts.items():
        write_part(folder, part, model)
    vision.write_preprocessor(folder / "image_encoder")
    _write_json(folder / "model_index.json", MODEL_INDEX)
    path = folder / "scheduler"
    path.mkdir(exist_ok=True)
    config = {key: value for key, value in scheduler().config.items() if value is not None and key not in INTERNAL_KEYS}
    config["_class_name"] = "DDIMScheduler"
    config["_diffusers_version"] = MODEL_INDEX["_diffusers_version"]
    _write_json(path / "scheduler_config.json", config)


def load_part(folder, part):
    """One network from the folder, computing in fp32; every key must be there and wanted."""
    kind, name = CLASSES[part]
    path = pathlib.Path(folder) / part
    model, info = kind.from_pretrained(path, torch_dtype=torch.float32, output_loading_info=True)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        wrong = [key for key in info[problem] if not str(key).endswith("position_ids")]
        if wrong:
            raise SystemExit(f"{path / name}: {problem} {wrong}")
    stored = load_file(path / name)
    for key, value in model.state_dict().items():
        if not key.endswith("position_ids") and not torch.equal(value, stored[public_key(part, key)].float()):
            raise SystemExit(f"{path / name}: {key} is not what was read back")
    return model.float().eval().requires_grad_(False)


def check_folder(folder, limit_mib=12):
    """Load every part strictly; the whole must stay small. Returns parameters per part."""
    folder = pathlib.Path(folder)
    CLIPTokenizer.from_pretrained(folder / "tokenizer")
    DDIMScheduler.from_pretrained(folder / "scheduler")
    counts = {part: sum(p.numel() for p in load_part(folder, part).parameters()) for part in CLASSES}
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if total > limit_mib * 2**20:
        raise SystemExit(f"{folder}: {total / 2**20:.1f} MiB, expected at most {limit_mib}")
    return counts
