#!/usr/bin/env python3
"""`limewash import` on checkpoints in the original layout that are made here from diffusers' networks: the folder that
it writes holds the same tensors, and diffusers and transformers load it. Then every name of full-size SD 1 and SD 2
against diffusers' own conversion."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
import original_layout as original  # noqa: E402
import reference_models as reference  # noqa: E402

LEVELS = dict(
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    layers_per_block=2,
)
SD1_UNET = dict(LEVELS, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8)
SD2_UNET = dict(
    LEVELS,
    block_out_channels=(320, 640, 1280, 1280),
    cross_attention_dim=1024,
    attention_head_dim=(5, 10, 20, 20),
    use_linear_projection=True,
)
FULL_VAE = dict(
    block_out_channels=(128, 256, 512, 512),
    down_block_types=("DownEncoderBlock2D",) * 4,
    up_block_types=("UpDecoderBlock2D",) * 4,
    layers_per_block=2,
    latent_channels=4,
)


class Checks:
    def __init__(self):
        self.failures = 0

    def check(self, what, holds, detail=""):
        self.failures += not holds
        print(f"{'ok    ' if holds else 'FAILED'} {what}{'' if holds else ': ' + str(detail)}")

    def close(self, what, found, wanted):
        # Not bit for bit: kernels round differently when weights lie elsewhere in memory.
        difference = ((found - wanted).abs().max() / wanted.abs().max()).item()
        self.check(what, difference <= 1e-5, difference)

    def same_tensors(self, what, found, wanted):
        found = {name.removeprefix("text_model."): value for name, value in found.items()}
        wanted = {name.removeprefix("text_model."): value for name, value in wanted.items()}
        different = [n for n in wanted if n not in found or not torch.equal(found[n], wanted[n])]
        self.check(what, set(found) == set(wanted) and not different, different[:3] or set(found) ^ set(wanted))


def tiny_networks(seed, generation, in_channels):
    wide = generation == 2
    context = 128 if wide else 64
    unet = reference.make_unet(
        seed,
        **LEVELS
        | dict(
            in_channels=in_channels,
            block_out_channels=(64, 128, 128, 192) if wide else (32, 64, 96, 96),
            layers_per_block=1 + seed % 2,
            cross_attention_dim=context,
            attention_head_dim=(1, 2, 2, 3) if wide else 8,
            use_linear_projection=wide,
        ),
    )
    vae = reference.make_vae(seed + 1, **FULL_VAE | dict(block_out_channels=(32, 32, 64, 64), layers_per_block=1))
    text = reference.make_text_encoder(
        seed + 2,
        hidden_size=context,
        intermediate_size=80,
        num_hidden_layers=3,
        num_attention_heads=context // 64,
        hidden_act="gelu" if wide else "quick_gelu",
        vocab_size=50,
        max_position_embeddings=11,
        bos_token_id=48,
        eos_token_id=49,
        pad_token_id=49,
    )
    return unet, vae, text


def checkpoint_of(unet, vae, text, generation):
    tensors = original.unet_tensors(unet.state_dict(), unet.config)
    tensors |= original.vae_tensors(vae.state_dict(), len(vae.config.block_out_channels))
    if generation == 1:
        tensors |= original.clip_tensors(text.state_dict())
        tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(11)[None]
    else:
        tensors |= original.open_clip_tensors(text.state_dict())
        tensors["cond_stage_model.model.text_projection"] = torch.ones(4, 4)
        tensors["cond_stage_model.model.logit_scale"] = torch.tensor(4.6)
        tensors["cond_stage_model.model.transformer.resblocks.23.ln_1.weight"] = torch.ones(4)
    tensors["betas"] = torch.ones(1000)
    tensors["first_stage_model.loss.logvar"] = torch.zeros(())
    averaged = {}
    for name, value in tensors.items():
        if name.startswith("model.diffusion_model."):
            averaged["model_ema." + name.removeprefix("model.").replace(".", "")] = value + 1
    return {name: value.contiguous() for name, value in (tensors | averaged).items()}


def write_tokenizer(folder):
    folder.mkdir()
    vocabulary = {f"t{i}": i for i in range(48)} | {"<|startoftext|>": 48, "<|endoftext|>": 49}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def run(program, *words, expected=0):
    done = subprocess.run([str(word) for word in (program, "import", *words)], capture_output=True, text=True)
    if done.returncode != expected:
        raise SystemExit(f"import {words} gave {done.returncode}: {done.stdout}{done.stderr}")
    return done


def check_import(checks, program, folder, seed, generation, in_channels):
    what = f"SD {generation}, {in_channels} channels"
    unet, vae, text = tiny_networks(seed, generation, in_channels)
    tensors = checkpoint_of(unet, vae, text, generation)
    torch.save({"epoch": 1, "state_dict": tensors}, folder / "model.ckpt")
    save_file(tensors, folder / "model.safetensors")
    write_tokenizer(folder / "tokenizer")
    common = ["--prediction", "v_prediction"] if generation == 2 else []

    out = folder / "out"
    line = json.loads(
        run(program, "--checkpoint", folder / "model.ckpt", "--out", out, "--tokenizer", folder / "tokenizer", "--json", *common).stdout
    )
    checks.check(f"{what}: the report", line["generation"] == f"SD {generation}" and line["in_channels"] == in_channels, line)
    checks.same_tensors(f"{what}: unet", load_file(out / "unet/diffusion_pytorch_model.safetensors"), unet.state_dict())
    checks.same_tensors(f"{what}: vae", load_file(out / "vae/diffusion_pytorch_model.safetensors"), vae.state_dict())
    checks.same_tensors(f"{what}: text encoder", load_file(out / "text_encoder/model.safetensors"), text.state_dict())

    with torch.no_grad():
        sample = reference.normal(seed, 1, in_channels, 16, 16)
        states = reference.normal(seed + 1, 1, 5, unet.config.cross_attention_dim)
        again = UNet2DConditionModel.from_pretrained(out / "unet").eval()
        checks.close(
            f"{what}: diffusers' UNet computes the same",
            *(reference.run_unet(network, sample, torch.tensor([7]), states) for network in (again, unet)),
        )
        pixels = reference.normal(seed + 2, 1, 3, 32, 32)
        again = AutoencoderKL.from_pretrained(out / "vae").eval()
        checks.close(
            f"{what}: diffusers' VAE computes the same",
            *(network.encode(pixels).latent_dist.mean for network in (again, vae)),
        )
        ids = torch.tensor([[48, 3, 17, 49, 49]])
        again = CLIPTextModel.from_pretrained(out / "text_encoder").eval()
        checks.close(
            f"{what}: transformers' text encoder computes the same",
            *(network(ids).last_hidden_state for network in (again, text)),
        )
    schedule = DDIMScheduler.from_pretrained(out / "scheduler")
    wanted = "v_prediction" if generation == 2 else "epsilon"
    checks.check(f"{what}: prediction type", schedule.config.prediction_type == wanted)

    run(program, "--checkpoint", folder / "model.safetensors", "--out", folder / "half", "--precision", "fp16", *common)
    half = {name: value.half() for name, value in unet.state_dict().items()}
    checks.same_tensors(f"{what}: fp16 unet", load_file(folder / "half/unet/diffusion_pytorch_model.safetensors"), half)
    run(program, "--checkpoint", folder / "model.safetensors", "--out", folder / "ema", "--ema", *common)
    averaged = {name: value + 1 for name, value in unet.state_dict().items()}
    checks.same_tensors(f"{what}: averaged unet", load_file(folder / "ema/unet/diffusion_pytorch_model.safetensors"), averaged)
    return tensors


def check_refusals(checks, program, folder, tensors):
    out = folder / "refused"

    def refused(what, changed, expected, *words, status=1):
        save_file(changed, folder / "bad.safetensors")
        done = run(program, "--checkpoint", folder / "bad.safetensors", "--out", out, *words, expected=status)
        checks.check(f"refused: {what}", expected in done.stderr + done.stdout and not out.exists(), done.stderr)

    unet_name = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight"
    refused("a missing tensor", {k: v for k, v in tensors.items() if k != unet_name}, "down_blocks.0.resnets.0.conv1.weight")
    refused("a missing network", {k: v for k, v in tensors.items() if not k.startswith("first_stage")}, "the VAE")
    refused("a surplus tensor", tensors | {"model.diffusion_model.extra.weight": torch.ones(2)}, "extra.weight")
    refused("a wrong shape", tensors | {"model.diffusion_model.out.0.weight": torch.ones(5)}, "conv_norm_out.weight")
    refused("an unknown precision", tensors, "--precision", "--precision", "fp8", status=2)
    (folder / "full").mkdir()
    (folder / "full/file").write_text("x")
    done = run(program, "--checkpoint", folder / "model.ckpt", "--out", folder / "full", expected=2)
    checks.check("refused: a folder that has files", "which exists" in done.stderr + done.stdout)
    left = [path.name for path in folder.iterdir() if ".tmp-" in path.name]
    checks.check("no temporary folder is left", not left, left)


def marked(names):
    """A tensor for each name that tells it from all others, in any shape that a conversion wants."""
    return {name: torch.full((1, 1, 1, 1), float(place)) for place, name in enumerate(names)}


def check_names(checks, program, what, network, names, converted, layers, prefix):
    """`converted` is diffusers' name -> marked tensor."""
    plain = [name.removeprefix(prefix) for name in names]
    text = "".join(f"{network} {name}\n" for name in plain)
    done = subprocess.run([program, str(layers), "4"], input=text, capture_output=True, text=True, check=True)
    ours = dict(zip(names, done.stdout.split("\n")))
    theirs = {names[int(value.flatten()[0])]: name for name, value in converted.items()}
    wrong = [(name, ours[name], theirs.get(name)) for name in names if ours[name] != theirs.get(name)]
    checks.check(f"{what}: {len(names)} names as diffusers translates them", not wrong and len(theirs) == len(names), wrong[:3])


def check_full_size_names(checks, program):
    for what, config in (("SD 1 UNet", SD1_UNET), ("SD 2 UNet", SD2_UNET)):
        with torch.device("meta"):
            unet = UNet2DConditionModel(**config)
        names = list(original.unet_tensors(unet.state_dict(), unet.config))
        converted = single_file_utils.convert_ldm_unet_checkpoint(marked(names), dict(unet.config))
        checks.check(f"{what}: diffusers gets its own names back", set(converted) == set(unet.state_dict()))
        check_names(checks, program, what, "unet", names, converted, 2, "model.diffusion_model.")
    with torch.device("meta"):
        vae = AutoencoderKL(**FULL_VAE)
    names = list(original.vae_tensors(vae.state_dict(), 4))
    converted = single_file_utils.convert_ldm_vae_checkpoint(marked(names), dict(vae.config))
    checks.check("VAE: diffusers gets its own names back", set(converted) == set(vae.state_dict()))
    check_names(checks, program, "VAE", "vae", names, converted, 2, "first_stage_model.")
    with torch.device("meta"):
        text = CLIPTextModel(CLIPTextConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16))
    names = [name for name in original.open_clip_tensors(text.state_dict()) if ".in_proj_" not in name]
    converted = single_file_utils.convert_open_clip_checkpoint(text, marked(names))
    check_names(checks, program, "OpenCLIP", "open_clip", names, converted, 2, "cond_stage_model.model.")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limewash", required=True, help="the program")
    parser.add_argument("--translate-names", required=True, help="the test program of that name")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    checks = Checks()
    for seed, generation, in_channels in ((10, 1, 9), (21, 1, 4), (31, 2, 9)):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            tensors = check_import(checks, arguments.limewash, folder, seed, generation, in_channels)
            if seed == 10:
                check_refusals(checks, arguments.limewash, folder, tensors)
            if generation == 2:
                done = run(arguments.limewash, "--checkpoint", folder / "model.ckpt", "--out", folder / "no", expected=2)
                checks.check("SD 2 without a prediction type is refused", "--prediction" in done.stderr + done.stdout)
    check_full_size_names(checks, arguments.translate_names)
    print(f"{checks.failures} checks failed")
    sys.exit(1 if checks.failures else 0)


if __name__ == "__main__":
    main()
