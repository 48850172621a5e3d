#!/usr/bin/env python3
"""LoRA files that limewash writes, loaded by diffusers as its users load them, and files of diffusers, peft and
kohya's layout, loaded by limewash: the network with the LoRA gives the same output on both sides."""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.training_utils import _collate_lora_metadata
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

import parity_test
from parity_test import draw_unet, reference

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
FEED_FORWARD = ["ff.net.0.proj", "ff.net.2"]
CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv", "conv_in", "conv_out"]
OTHERS = ["proj_in", "proj_out", "time_emb_proj", "time_embedding.linear_1"]


class Interop(parity_test.Parity):
    def __init__(self, program, write_adapter, folder):
        super().__init__(program, folder)
        self.write_adapter = write_adapter

    def command(self, *words):
        subprocess.run([str(word) for word in words], check=True, capture_output=True)

    def export(self, adapter, out, form, *flags):
        self.command(self.program, "export", "--adapter", adapter, "--out", out, "--format", form, *flags)
        return out


def draw_inputs(draw, seed, channels, context):
    return {
        "sample": reference.normal(seed + 1, 2, channels, draw.randint(8, 17), draw.randint(8, 17)),
        "timestep": torch.tensor([draw.randint(0, 999) for _ in range(2)]),
        "encoder_hidden_states": reference.normal(seed + 2, 2, draw.randint(1, 9), context),
    }


def present(unet, names):
    """Those that some layer of this UNet has."""
    paths = [name for name, _ in unet.named_modules()]
    return [name for name in names if any(path == name or path.endswith("." + name) for path in paths)]


def pipeline_with_lora(unet_folder, file):
    pipe = reference.make_pipeline(UNet2DConditionModel.from_pretrained(unet_folder))
    pipe.load_lora_weights(file.parent, weight_name=file.name)
    return pipe


def check_written(interop, draw, seed):
    """What limewash trained, exported in each layout, in diffusers."""
    channels, context = draw.choice([4, 9]), draw.randint(5, 20)
    unet = reference.make_unet(seed, **draw_unet(draw, context, channels))
    unet_folder, folder = interop.folder / "unet", interop.folder / "written"
    unet.save_pretrained(unet_folder)
    inputs = draw_inputs(draw, seed, channels, context)
    plain = reference.run_unet(unet, *inputs.values())
    targets = present(unet, ATTENTION + FEED_FORWARD + CONVOLUTIONS + OTHERS)
    rank = draw.randint(2, 5)
    settings = {
        "one rank": [],
        "patterns": [f"rank_pattern={{attn2.to_q: {rank + 2}, conv1: 1}}", "alpha_pattern={ff.*: 7, conv_in: 0.5}"],
        "rank-stabilised": ["use_rslora=true", f"rank_pattern={{to_k: {rank + 1}}}"],
    }
    for name, words in settings.items():
        interop.command(interop.write_adapter, unet_folder, folder, rank, rank + 2.5, 0, *targets, *words)
        ours = interop.run("unet", unet_folder, inputs, folder)["sample"]
        if (ours - plain).abs().max() < 0.01:
            interop.report(False, f"{name}: the LoRA changes nothing")
        kohya = interop.export(folder, interop.folder / "kohya.safetensors", "kohya")
        files = {"peft's names": folder / "pytorch_lora_weights.safetensors", "kohya's names": kohya}
        if name == "patterns":
            for form in ("peft", "kohya"):
                folded = interop.folder / f"{form}-folded.safetensors"
                files[f"{form}, alpha folded"] = interop.export(folder, folded, form, "--fold-alpha")
        for layout, file in files.items():
            pipe = pipeline_with_lora(unet_folder, file)
            expected = reference.run_unet(pipe.unet, *inputs.values())
            interop.compare(f"written, {name}, {layout}, in diffusers", {"sample": ours}, {"sample": expected})
            if file.parent != folder:
                again = interop.run("unet", unet_folder, inputs, file)
                interop.compare(f"written, {name}, {layout}, in limewash", again, {"sample": expected})
        if name != "patterns":
            continue
        half = interop.export(folder, interop.folder / "half.safetensors", "kohya", "--precision", "bf16")
        expected = reference.run_unet(pipeline_with_lora(unet_folder, half).unet.float(), *inputs.values())
        outputs = interop.run("unet", unet_folder, inputs, half)
        interop.compare(f"written, {name}, kohya's names in bf16", outputs, {"sample": expected})
        # From kohya's names back to peft's: they say nothing without the modules of the UNet.
        back = interop.export(kohya, interop.folder / "back.safetensors", "peft", "--model", unet_folder)
        outputs = interop.run("unet", unet_folder, inputs, back)
        interop.compare(f"written, {name}, kohya's names turned into peft's", outputs, {"sample": ours})


@torch.no_grad()
def randomize_lora(model, seed):
    """Random weights for every LoRA, with changes that keep the network from amplifying rounding."""
    for index, (name, parameter) in enumerate(sorted(model.named_parameters())):
        if ".lora_A." in name:
            parameter.copy_(reference.normal(seed + index, *parameter.shape) / parameter[0].numel() ** 0.5)
        elif ".lora_B." in name:
            parameter.copy_(0.1 * reference.normal(seed + index, *parameter.shape) / parameter.shape[1] ** 0.5)


def kohya_state(model):
    """The LoRA of `model` under the names that kohya's trainer gives, with its alphas."""
    tensors = {}
    for path, module in model.named_modules():
        if not hasattr(module, "lora_A") or "default" not in module.lora_A:
            continue
        name = "lora_unet_" + path.replace(".", "_")
        tensors[name + ".lora_down.weight"] = module.lora_A["default"].weight.detach().contiguous()
        tensors[name + ".lora_up.weight"] = module.lora_B["default"].weight.detach().contiguous()
        tensors[name + ".alpha"] = torch.tensor(float(module.lora_alpha["default"]))
    return tensors


def check_read(interop, draw, seed):
    """What peft trained, saved in each layout, in limewash."""
    channels, context = draw.choice([4, 9]), draw.randint(5, 20)
    config = draw_unet(draw, context, channels)
    unet_folder = interop.folder / "unet"
    reference.make_unet(seed, **config).save_pretrained(unet_folder)
    inputs = draw_inputs(draw, seed, channels, context)
    rank = draw.randint(2, 5)
    everything = ATTENTION + FEED_FORWARD + CONVOLUTIONS + OTHERS
    settings = {
        "attention": dict(target_modules=ATTENTION),
        "everything": dict(target_modules=everything),
        "patterns": dict(
            target_modules=everything,
            exclude_modules=["mid_block.resnets.0.conv1"],
            rank_pattern={"attn2.to_q": rank + 3, r"conv\d": rank + 1},
            alpha_pattern={"^conv_in": 3, r".*ff\.net\.(0\.proj|2)": 11},
        ),
        "regular expression": dict(target_modules=r".*attn2\.to_[qv]|.*conv_shortcut"),
        "rank-stabilised": dict(target_modules=everything, use_rslora=True),
    }
    for name, options in settings.items():
        unet = reference.make_unet(seed, **config)
        plain = reference.run_unet(unet, *inputs.values())
        if isinstance(options["target_modules"], list):
            options = options | {"target_modules": present(unet, options["target_modules"])}
        lora = LoraConfig(r=rank, lora_alpha=rank + 3, init_lora_weights=False, **options)
        unet.add_adapter(lora)
        randomize_lora(unet, seed + 500)
        expected = reference.run_unet(unet, *inputs.values())
        if (expected - plain).abs().max() < 0.01:
            interop.report(False, f"{name}: the LoRA changes nothing")
        layers, metadata = get_peft_model_state_dict(unet), _collate_lora_metadata({"unet": unet})

        def place(what):
            return interop.folder / f"{what}-{name.replace(' ', '-')}"

        StableDiffusionPipeline.save_lora_weights(place("peft"), unet_lora_layers=layers, **metadata)
        files = {"peft's names": place("peft") / "pytorch_lora_weights.safetensors"}
        if name != "rank-stabilised":  # kohya's trainer knows no such scale
            files["kohya's names"] = interop.folder / "from-kohya.safetensors"
            text = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(2, 3)}
            save_file(kohya_state(unet) | text, files["kohya's names"])
        if name == "patterns":
            converted = convert_state_dict_to_diffusers(layers)
            StableDiffusionPipeline.save_lora_weights(place("diffusers"), unet_lora_layers=converted, **metadata)
            files["diffusers' names"] = place("diffusers")
            unet.save_lora_adapter(place("bare"), weight_name="bare.safetensors")
            files["names without unet."] = place("bare") / "bare.safetensors"
        for layout, file in files.items():
            outputs = interop.run("unet", unet_folder, inputs, file)
            interop.compare(f"read, {name}, {layout}", outputs, {"sample": expected})

        if name in ("attention", "patterns"):
            wrapped = get_peft_model(reference.make_unet(seed, **config), lora)
            randomize_lora(wrapped, seed + 500)
            expected = reference.run_unet(wrapped, *inputs.values())
            for kind, safe in {"peft's folder": True, "peft's folder, pickled": False}.items():
                wrapped.save_pretrained(place(kind), safe_serialization=safe)
                if (place(kind) / "adapter_model.bin").exists() == safe:
                    interop.report(False, f"{kind}: peft wrote another kind of file")
                outputs = interop.run("unet", unet_folder, inputs, place(kind))
                interop.compare(f"read, {name}, {kind}", outputs, {"sample": expected})
        if name == "attention":
            half = interop.folder / "half-read.safetensors"
            save_file({key: value.half() for key, value in kohya_state(unet).items()}, half)
            expected = reference.run_unet(pipeline_with_lora(unet_folder, half).unet.float(), *inputs.values())
            outputs = interop.run("unet", unet_folder, inputs, half)
            interop.compare("read, kohya's names in fp16", outputs, {"sample": expected})


def check_refused(interop, seed):
    """DoRA computes something else: its files are refused by name."""
    unet = reference.make_unet(seed, **draw_unet(random.Random(seed), 8, 4))
    unet_folder, folder = interop.folder / "unet", interop.folder / "dora"
    unet.save_pretrained(unet_folder)
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"], use_dora=True))
    layers = get_peft_model_state_dict(unet)
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    inputs = draw_inputs(random.Random(seed), seed, 4, 8)
    interop.check_refusal("DoRA", 1, "DoRA", "unet", unet_folder, inputs, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limewash", required=True, help="the program")
    parser.add_argument("--write-adapter", required=True, help="the test program of that name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        interop = Interop(arguments.limewash, arguments.write_adapter, pathlib.Path(folder))
        for round_number in range(arguments.rounds):
            seed = 7000 * arguments.seed + 100 * round_number
            draw = random.Random(seed)
            check_written(interop, draw, seed)
            check_read(interop, draw, seed + 30)
            check_refused(interop, seed + 60)
    print(f"{interop.failures} comparisons failed")
    sys.exit(1 if interop.failures else 0)


if __name__ == "__main__":
    main()
