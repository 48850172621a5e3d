#!/usr/bin/env python3
"""Write tests/golden/public_configs/parameter_counts.json: how many tensors and parameters the networks of the
public config.json files beside it have, by diffusers and transformers. No weights are made for it."""

import json
import pathlib

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

FOLDER = pathlib.Path(__file__).parent / "public_configs"
DIFFUSERS = {kind.__name__: kind for kind in (AutoencoderKL, AutoencoderTiny, UNet2DConditionModel)}


def build(config):
    if "_class_name" in config:
        return DIFFUSERS[config["_class_name"]].from_config(config)
    if config["model_type"] == "clip_text_model":
        return CLIPTextModel(CLIPTextConfig(**config))
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**config))


def main():
    counts = {}
    for path in sorted(FOLDER.glob("*/config.json")):
        with torch.device("meta"):
            network = build(json.loads(path.read_text()))
        shapes = [parameter.numel() for parameter in network.parameters()]
        counts[path.parent.name] = {"tensors": len(shapes), "parameters": sum(shapes)}
        print(path.parent.name, counts[path.parent.name])
    (FOLDER / "parameter_counts.json").write_text(json.dumps(counts, indent=2) + "\n")


if __name__ == "__main__":
    main()
