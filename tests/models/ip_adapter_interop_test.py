#!/usr/bin/env python3
"""IP-Adapters to and from diffusers: files of both kinds and several at once on networks of sizes drawn from a seed,
read by `limewash model run`; and files that limewash wrote, loaded into a diffusers pipeline."""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open

import parity_test
from parity_test import draw_unet, reference

import reference_ip_adapter as ip  # beside reference_models, which parity_test makes known


class Interop(parity_test.Parity):
    def __init__(self, program, write_ip_adapter, folder):
        super().__init__(program, folder)
        self.write_ip_adapter = write_ip_adapter

    def compare_one(self, what, found, wanted):
        self.compare(what, {"values": found}, {"values": wanted.detach()})


def make_unet(draw, seed):
    return reference.make_unet(seed, **draw_unet(draw, draw.randint(5, 20), draw.choice([4, 9])))


def draw_plus(draw, context):
    """diffusers reads a depth of 4 and heads of 64 only."""
    return dict(
        embedding_dim=draw.randint(6, 24),
        dim=draw.randint(5, 24),
        output_dim=context,
        depth=4,
        heads=draw.randint(1, 3),
        head_dim=64,
        num_queries=draw.randint(1, 9),
    )


def unet_inputs(draw, seed, unet):
    config, batch = unet.config, draw.randint(1, 3)
    return {
        "sample": reference.normal(seed, batch, config.in_channels, draw.randint(8, 14), draw.randint(8, 14)),
        "timestep": torch.tensor([draw.randint(0, 999) for _ in range(batch)]),
        "encoder_hidden_states": reference.normal(seed + 1, batch, draw.randint(1, 9), config.cross_attention_dim),
    }


def fresh(folder):
    return UNet2DConditionModel.from_pretrained(folder).requires_grad_(False)


def check_files_of_diffusers(interop, draw, seed):
    """One of the Plus kind with all its gradients, from both file types; then with one of the base kind beside it."""
    unet = make_unet(draw, seed)
    folder = interop.folder / "unet"
    unet.save_pretrained(folder)
    inputs = unet_inputs(draw, seed + 1, unet)
    batch = inputs["sample"].shape[0]
    sizes = draw_plus(draw, unet.config.cross_attention_dim)
    scales = [draw.choice([1.0, 0.6]), draw.choice([0.5, 1.3])]
    plus_dict = ip.plus_adapter(unet, seed + 3, ip.make_resampler(seed + 2, **sizes))
    plus, pickle = interop.folder / "ip-adapter-plus.safetensors", interop.folder / "ip-adapter-plus.bin"
    ip.save_adapter(plus_dict, plus, ip_adapter_scale=scales[0])
    torch.save(plus_dict, pickle)
    embedding = draw.randint(6, 14)
    base = interop.folder / "ip-adapter.safetensors"
    ip.save_adapter(ip.base_adapter(unet, seed + 4, embedding), base, ip_adapter_scale=scales[1])
    states = reference.normal(seed + 5, batch, draw.randint(1, 9), sizes["embedding_dim"])
    embeds = reference.normal(seed + 6, batch, embedding)
    probe = reference.normal(seed + 7, batch, 4, *inputs["sample"].shape[2:])

    network = fresh(folder)
    ip.load_adapters(network, [plus], scales[:1])
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("_ip." in name or name.startswith("encoder_hid_proj."))
    tokens = ip.projection_layer(network)(states)
    sample = ip.run_unet(network, inputs, [states])
    (sample * probe).sum().backward()
    what = f"plus {sizes}"
    found = interop.run("ip-projection", folder, {"penultimate_hidden_state": states}, [plus])
    interop.compare_one(f"{what}: tokens", found["ip_hidden_states"], tokens)
    found = interop.run("ip-projection", folder, {"penultimate_hidden_state": states}, [pickle])
    interop.compare_one(f"{what}: tokens out of a .bin", found["ip_hidden_states"], tokens)
    given = inputs | {"penultimate_hidden_state": states, "grad_sample": probe}
    found = interop.run("unet", folder, given, [plus], "--gradients")
    interop.compare_one(f"{what}: sample", found.pop("sample"), sample)
    wanted = ip.public_projection_gradients(ip.projection_layer(network))
    wanted = {f"grad.image_proj.{name}": value for name, value in wanted.items()}
    wanted |= {f"grad.ip_adapter.{name}": value for name, value in ip.attention_gradients(network).items()}
    interop.compare_gradients(what, found, wanted)

    network = fresh(folder)
    ip.load_adapters(network, [plus, base], scales)
    with torch.no_grad():
        sample = ip.run_unet(network, inputs, [states, embeds])
    given = inputs | {"penultimate_hidden_state_0": states, "image_embeds_1": embeds}
    found = interop.run("unet", folder, given, [plus, base])
    interop.compare_one(f"two at once, scales {scales}: sample", found["sample"], sample)
    projected = interop.run("ip-projection", folder, {"image_embeds": embeds}, [base])["ip_hidden_states"]
    given = inputs | {"ip_hidden_states_0": tokens, "ip_hidden_states_1": projected}
    found = interop.run("unet", folder, given, [plus, base])
    interop.compare_one("two at once, from their tokens: sample", found["sample"], sample)
    swapped = inputs | {"image_embeds_0": embeds, "penultimate_hidden_state_1": states}
    found = interop.run("unet", folder, swapped, [base, plus])
    interop.compare_one("two at once, the other order: sample", found["sample"], sample)


def check_odd_resampler(interop, draw, seed):
    """Depths and heads that diffusers has no class for, against PyTorch; the metadata says how wide a head is."""
    unet = make_unet(draw, seed)
    folder = interop.folder / "unet"
    unet.save_pretrained(folder)
    sizes = draw_plus(draw, unet.config.cross_attention_dim)
    sizes |= dict(depth=draw.randint(1, 6), head_dim=draw.randint(2, 9), ff_mult=draw.randint(1, 5))
    resampler = ip.make_resampler(seed + 1, **sizes)
    file = interop.folder / "odd.safetensors"
    ip.save_adapter(ip.plus_adapter(unet, seed + 2, resampler), file, ip_adapter_head_dim=sizes["head_dim"])
    states = reference.normal(seed + 3, 2, draw.randint(1, 9), sizes["embedding_dim"])
    found = interop.run("ip-projection", folder, {"penultimate_hidden_state": states}, [file])
    interop.compare_one(f"resampler {sizes}: tokens", found["ip_hidden_states"], resampler(states))


def check_full_size_resampler(interop, seed):
    """The projection of ip-adapter-plus_sd15 beside a small UNet, in fp32 and in bf16."""
    unet = reference.make_unet(seed, **draw_unet(random.Random(seed), 768, 9))
    folder, file = interop.folder / "unet", interop.folder / "full-size.safetensors"
    unet.save_pretrained(folder)
    sizes = dict(embedding_dim=1280, dim=768, output_dim=768, depth=4, heads=12, head_dim=64, num_queries=16)
    resampler = ip.make_resampler(seed + 1, **sizes)
    ip.save_adapter(ip.plus_adapter(unet, seed + 2, resampler), file)
    states = {"penultimate_hidden_state": reference.normal(seed + 3, 2, 257, 1280)}
    with torch.no_grad():
        wanted = resampler(*states.values())
        half = resampler.bfloat16()(states["penultimate_hidden_state"].bfloat16()).float()
    found = interop.run("ip-projection", folder, states, [file])["ip_hidden_states"]
    interop.compare_one("full-size resampler: tokens", found, wanted)
    found = interop.run("ip-projection", folder, states, [file], "--precision", "bf16")["ip_hidden_states"]
    ours, theirs = (found - wanted).norm() / wanted.norm(), (half - wanted).norm() / wanted.norm()
    interop.report(ours <= theirs, f"full-size resampler in bf16 differs by {ours:.1e}, PyTorch's by {theirs:.1e}")


def check_written(interop, draw, seed, kind):
    """A file of limewash's in a diffusers pipeline."""
    unet = make_unet(draw, seed)
    folder, out = interop.folder / "unet", interop.folder / f"written-{kind}"
    unet.save_pretrained(folder)
    out.mkdir(exist_ok=True)
    sizes = draw_plus(draw, unet.config.cross_attention_dim)
    size = sizes["embedding_dim"]
    scale = draw.choice([0.4, 1.0])
    tokens = 4 if kind == "base" else sizes["num_queries"]
    command = [interop.write_ip_adapter, folder, out, kind, tokens, size, scale]
    if kind == "plus":
        command += [sizes["dim"], 4, sizes["heads"], 64, 4]
    subprocess.run([str(word) for word in command], check=True)
    file = out / "ip_adapter.safetensors"
    with safe_open(file, "pt") as content:
        metadata = content.metadata()
    said = {"ip_adapter_kind": kind, "ip_adapter_tokens": str(tokens), "hole": "shading"}
    interop.report(all(metadata.get(key) == value for key, value in said.items()), f"metadata {metadata}")

    inputs = unet_inputs(draw, seed + 1, unet)
    batch = inputs["sample"].shape[0]
    shape = (batch, size) if kind == "base" else (batch, draw.randint(1, 9), size)
    features = reference.normal(seed + 2, *shape)
    network = fresh(folder)
    ip.load_adapters(network, [file], [scale])
    with torch.no_grad():
        sample = ip.run_unet(network, inputs, [features])
        plain = reference.run_unet(unet, *inputs.values())
    effect = (sample - plain).abs().max().item()
    interop.report(effect > 100 * parity_test.TOLERANCE, f"the adapter changes diffusers' sample by {effect:.1e}")
    name = "image_embeds" if kind == "base" else "penultimate_hidden_state"
    found = interop.run("unet", folder, inputs | {name: features}, [out])
    interop.compare_one(f"{kind} written by limewash, in diffusers: sample", found["sample"], sample)


def check_refusals(interop, seed):
    """Kinds that limewash does not compute are named."""
    unet = make_unet(random.Random(seed), seed)
    folder = interop.folder / "unet"
    unet.save_pretrained(folder)
    face = {"proj.0.weight": torch.ones(4, 2), "proj.2.weight": torch.ones(4, 4), "norm.weight": torch.ones(4)}
    torch.save({"image_proj": face, "ip_adapter": {}}, interop.folder / "face.bin")
    features = {"image_embeds": torch.ones(1, 2)}
    face_file, base = interop.folder / "face.bin", interop.folder / "base.safetensors"
    interop.check_refusal("FaceID", 1, "FaceID", "ip-projection", folder, features, face_file)
    ip.save_adapter(ip.base_adapter(unet, seed, 2), base)
    interop.check_refusal("a second adapter", 2, "--adapter once", "ip-projection", folder, features, [base, base])
    wrong = {"penultimate_hidden_state": torch.ones(1, 3, 2)}
    interop.check_refusal("the other kind's input", 1, "image_embeds", "ip-projection", folder, wrong, base)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limewash", required=True, help="the program")
    parser.add_argument("--write-ip-adapter", required=True, help="the test program of that name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        interop = Interop(arguments.limewash, arguments.write_ip_adapter, pathlib.Path(folder))
        for round_number in range(arguments.rounds):
            seed = 1000 * arguments.seed + 100 * round_number
            draw = random.Random(seed)
            check_files_of_diffusers(interop, draw, seed)
            check_odd_resampler(interop, draw, seed + 20)
            check_written(interop, draw, seed + 40, "base")
            check_written(interop, draw, seed + 60, "plus")
        check_full_size_resampler(interop, 1000 * arguments.seed + 90)
        check_refusals(interop, 1000 * arguments.seed + 80)
    print(f"{interop.failures} comparisons failed")
    sys.exit(1 if interop.failures else 0)


if __name__ == "__main__":
    main()
