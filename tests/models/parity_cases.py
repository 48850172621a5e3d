"""What tests/models/parity_table.py compares: networks with random weights, and what the reference libraries compute
of them. Each case is a row's name, a function, a seed and the function's options."""

import json
import os
import pathlib
import random
import resource
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

CONFIGS = ROOT / "tests/golden/public_configs"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
STEPS, LEARNING_RATE = 20, 1e-4
GIB = 2**30


def public_config(name):
    config = json.loads((CONFIGS / name / "config.json").read_text())
    return {key: value for key, value in config.items() if not key.startswith("_")}


# What the reference computes. Each function is given a folder and returns (part, inputs, compute): `compute(kind)` is
# run in fp32 and again once the networks are bf16.


def unet_case(folder, seed, config, size, batch=1, text=77):
    import reference_models as reference
    import torch

    unet = reference.make_unet(seed, **config)
    unet.save_pretrained(folder / "model")
    inputs = unet_inputs(seed, config, size, batch, text)

    def compute(kind):
        unet.to(kind)
        arguments = [inputs["sample"].to(kind), inputs["timestep"], inputs["encoder_hidden_states"].to(kind)]
        return {"sample": reference.run_unet(unet, *arguments)}

    return "unet", inputs, compute


def unet_inputs(seed, config, size, batch, text):
    import reference_models as reference
    import torch

    draw = random.Random(seed)
    return {
        "sample": reference.normal(seed + 1, batch, config["in_channels"], *size),
        "timestep": torch.tensor([draw.randint(0, 999) for _ in range(batch)]),
        "encoder_hidden_states": reference.normal(seed + 2, batch, text, config["cross_attention_dim"]),
    }


def make_adapter(folder, seed, config, rank, embedding, targets=TARGETS):
    import reference_models as reference

    unet = reference.make_unet(seed, **config)
    unet.save_pretrained(folder / "model")
    unet.requires_grad_(False)
    adapter = reference.ReferenceAdapter(unet, seed, rank, 2 * rank, targets, embedding)
    adapter.save(folder / "adapter")
    parameters = adapter.parameters()
    unet.requires_grad_(False)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    return adapter, parameters


def gradients_case(folder, seed, config, size, batch=1, text=77, rank=16, embedding=1024, targets=TARGETS):
    import reference_models as reference

    adapter, parameters = make_adapter(folder, seed, config, rank, embedding, targets)
    inputs = unet_inputs(seed, config, size, batch, text)
    inputs["image_embeds"] = reference.normal(seed + 3, batch, embedding)
    inputs["grad_sample"] = reference.normal(seed + 4, batch, config["out_channels"], *size)

    def compute(kind):
        adapter.unet.to(kind)
        output = adapter.forward(
            inputs["sample"].to(kind),
            inputs["timestep"],
            inputs["encoder_hidden_states"].to(kind),
            inputs["image_embeds"].to(kind),
        )
        for parameter in parameters.values():
            parameter.grad = None
        output.backward(inputs["grad_sample"].to(kind))
        return {"sample": output.detach()} | {f"grad.{name}": value.grad for name, value in parameters.items()}

    return "unet", inputs, compute


def plus_case(folder, seed, config, size, resampler, hidden_states, batch=1, text=77, gradients=False):
    """An IP-Adapter Plus that projects `hidden_states` states of the image encoder; its tensors' gradients, too."""
    import reference_ip_adapter as ip
    import reference_models as reference

    unet = reference.make_unet(seed, **config)
    unet.save_pretrained(folder / "model")
    (folder / "adapter").mkdir()
    file = folder / "adapter" / "ip_adapter.safetensors"
    projection = ip.make_resampler(seed + 5, output_dim=config["cross_attention_dim"], **resampler)
    ip.save_adapter(ip.plus_adapter(unet, seed + 6, projection), file)
    ip.load_adapters(unet, [file], [1.0])
    unet.requires_grad_(False)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(gradients and ("_ip." in name or name.startswith("encoder_hid_proj.")))
    inputs = unet_inputs(seed, config, size, batch, text)
    inputs["penultimate_hidden_state"] = reference.normal(seed + 3, batch, hidden_states, resampler["embedding_dim"])
    if gradients:
        inputs["grad_sample"] = reference.normal(seed + 4, batch, config["out_channels"], *size)

    def compute(kind):
        unet.to(kind)
        cast = {name: value.to(kind) if value.is_floating_point() else value for name, value in inputs.items()}
        unet.zero_grad()
        output = ip.run_unet(unet, cast, [cast["penultimate_hidden_state"]])
        if not gradients:
            return {"sample": output.detach()}
        output.backward(cast["grad_sample"])
        found = ip.public_projection_gradients(ip.projection_layer(unet))
        named = {f"grad.image_proj.{name}": value for name, value in found.items()}
        named |= {f"grad.ip_adapter.{name}": value for name, value in ip.attention_gradients(unet).items()}
        return {"sample": output.detach()} | named

    return "unet", inputs, compute


def steps_case(folder, seed, config, size, batch=1, text=77, rank=16, embedding=1024, targets=TARGETS):
    import reference_models as reference
    import torch

    adapter, parameters = make_adapter(folder, seed, config, rank, embedding, targets)
    batches = []
    for step in range(STEPS):
        inputs = unet_inputs(seed + 10 * step, config, size, batch, text)
        inputs["image_embeds"] = reference.normal(seed + 10 * step + 3, batch, embedding)
        inputs["target"] = reference.normal(seed + 10 * step + 4, batch, config["out_channels"], *size)
        batches.append(inputs)

    def compute(kind):
        optimizer = torch.optim.AdamW(parameters.values(), lr=LEARNING_RATE, weight_decay=0.01)
        losses = []
        for inputs in batches:
            optimizer.zero_grad()
            output = adapter.forward(
                *(inputs[name] for name in ("sample", "timestep", "encoder_hidden_states", "image_embeds"))
            )
            loss = torch.nn.functional.mse_loss(output, inputs["target"])
            loss.backward()
            losses.append(loss.item())
            optimizer.step()
        return {"losses": torch.tensor(losses)} | {name: value.detach() for name, value in parameters.items()}

    named = {f"{name}_{step}": value for step, inputs in enumerate(batches) for name, value in inputs.items()}
    return "adamw-steps", named, compute


def encode_case(folder, seed, config, size, tiny=False):
    import reference_models as reference

    vae = (reference.make_autoencoder_tiny if tiny else reference.make_vae)(seed, **config)
    vae.save_pretrained(folder / "model")
    inputs = {"sample": reference.normal(seed + 1, 1, 3, *size).clamp(-1, 1)}
    run = reference.run_autoencoder_tiny_encode if tiny else reference.run_vae_encode
    return "vae-encode", inputs, lambda kind: run(vae.to(kind), inputs["sample"].to(kind))


def decode_case(folder, seed, config, size, tiny=False):
    import reference_models as reference

    vae = (reference.make_autoencoder_tiny if tiny else reference.make_vae)(seed, **config)
    vae.save_pretrained(folder / "model")
    inputs = {"latents": reference.normal(seed + 1, 1, config["latent_channels"], *size)}
    return "vae-decode", inputs, lambda kind: reference.run_vae_decode(vae.to(kind), inputs["latents"].to(kind))


def text_case(folder, seed, config, batch=1):
    import reference_models as reference
    import torch

    encoder = reference.make_text_encoder(seed, **config)
    encoder.save_pretrained(folder / "model")
    draw = random.Random(seed)
    vocabulary, length = config["vocab_size"], config["max_position_embeddings"]
    ids = [[draw.randrange(vocabulary) for _ in range(length)] for _ in range(batch)]
    inputs = {"input_ids": torch.tensor(ids)}
    return "text-encoder", inputs, lambda kind: reference.run_text_encoder(encoder.to(kind), inputs["input_ids"])


def image_case(folder, seed, config, batch=1):
    import reference_models as reference

    encoder = reference.make_image_encoder(seed, **config)
    encoder.save_pretrained(folder / "model")
    inputs = {"pixel_values": reference.normal(seed + 1, batch, 3, config["image_size"], config["image_size"])}

    def compute(kind):
        return reference.run_image_encoder(encoder.to(kind), inputs["pixel_values"].to(kind))

    return "image-encoder", inputs, compute


def compute_reference(case, seed, options, folder):
    """The body of the reference's process."""
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(os.cpu_count())
    part, inputs, compute = case(folder, seed, **options)
    save_file({key: value.contiguous() for key, value in inputs.items()}, folder / "inputs.safetensors")
    about = {"part": part, "gradients": "grad_sample" in inputs}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        if part == "adamw-steps" and name == "bf16":
            continue  # an optimizer on bf16 weights is no reference for one on fp32 weights
        outputs = compute(kind)
        about.setdefault("peak_gib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB)
        outputs = {key: value.float().contiguous().clone() for key, value in outputs.items()}
        save_file(outputs, folder / f"{name}.safetensors")
    (folder / "about.json").write_text(json.dumps(about))


# What is compared.


def tiny_cases(rounds):
    """(table row, case function, seed, options) on sizes drawn from seeds."""
    import parity_test

    cases = []
    for number in range(rounds):
        seed = 5000 + 100 * number
        draw = random.Random(seed)
        config = parity_test.draw_unet(draw, draw.randint(5, 20), 9 if number % 2 == 0 else 4)
        size = (draw.randint(8, 19), draw.randint(8, 19))
        shape = dict(config=config, size=size, batch=draw.randint(1, 3), text=draw.randint(1, 9))
        adapter = dict(rank=draw.randint(2, 5), embedding=draw.randint(6, 14))
        adapter["targets"] = TARGETS + draw.choice([[], ["proj_in", "ff.net.2"], ["conv1", "ff.net.0.proj"]])
        cases.append(("UNet", unet_case, seed, shape))
        cases.append(("LoRA and IP-Adapter gradients", gradients_case, seed + 1, shape | adapter))
        cases.append((f"{STEPS} AdamW steps", steps_case, seed + 2, shape | adapter))

        levels, groups = draw.randint(2, 4), draw.choice([1, 2, 3])
        vae = dict(
            block_out_channels=tuple(groups * draw.randint(2, 5) for _ in range(levels)),
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            layers_per_block=draw.randint(1, 3),
            norm_num_groups=groups,
            latent_channels=draw.randint(2, 5),
        )
        pixels = tuple(2 ** (levels - 1) * draw.randint(2, 5) for _ in range(2))
        latents = (draw.randint(3, 9), draw.randint(3, 9))
        cases.append(("VAE encoder", encode_case, seed + 3, dict(config=vae, size=pixels)))
        cases.append(("VAE decoder", decode_case, seed + 4, dict(config=vae, size=latents)))
        tiny = parity_test.draw_autoencoder_tiny(draw)
        odd = (draw.randint(9, 30), draw.randint(9, 30))
        tiny = dict(config=tiny, tiny=True)
        cases.append(("AutoencoderTiny encoder", encode_case, seed + 5, tiny | dict(size=odd)))
        cases.append(("AutoencoderTiny decoder", decode_case, seed + 6, tiny | dict(size=latents)))
        text = parity_test.draw_transformer(draw) | dict(vocab_size=50, max_position_embeddings=draw.randint(5, 20))
        text |= dict(bos_token_id=0, eos_token_id=2, pad_token_id=1)
        cases.append(("CLIP text", text_case, seed + 7, dict(config=text, batch=2)))
        patch = draw.randint(2, 6)
        image = parity_test.draw_transformer(draw) | dict(
            image_size=patch * draw.randint(2, 5) + draw.randint(0, patch - 1), patch_size=patch, projection_dim=9
        )
        cases.append(("CLIP vision", image_case, seed + 8, dict(config=image, batch=2)))
        # diffusers takes four layers, and heads of 64 numbers, for granted.
        plus = dict(embedding_dim=draw.randint(6, 14), dim=draw.randint(9, 30), depth=4)
        plus |= dict(heads=draw.randint(1, 2), head_dim=64, num_queries=draw.randint(2, 9))
        plus = shape | dict(resampler=plus, hidden_states=draw.randint(3, 11))
        cases.append(("UNet with IP-Adapter Plus", plus_case, seed + 9, plus))
        cases.append(("IP-Adapter Plus gradients", plus_case, seed + 10, plus | dict(gradients=True)))
    return cases


def full_cases():
    sd15, sd2 = public_config("sd15_inpainting_unet"), public_config("sd2_inpainting_unet")
    vae, taesd = public_config("sd15_vae"), public_config("taesd")
    photo, latents = (512, 512), (64, 64)
    adapted = dict(config=sd15, size=(32, 32))
    # ip-adapter-plus_sd15 behind CLIP vision H.
    plus = dict(embedding_dim=1280, dim=768, depth=4, heads=12, head_dim=64, num_queries=16)
    plus = adapted | dict(resampler=plus, hidden_states=257)
    return [
        ("UNet, SD 1.5 inpainting, 64 x 64 latents", unet_case, 1, dict(config=sd15, size=latents)),
        ("UNet, SD 2 inpainting, 64 x 64 latents", unet_case, 2, dict(config=sd2, size=latents)),
        ("LoRA (rank 16) and IP-Adapter gradients, SD 1.5, 32 x 32 latents", gradients_case, 3, adapted),
        ("UNet with IP-Adapter Plus, SD 1.5, 32 x 32 latents", plus_case, 12, plus),
        ("IP-Adapter Plus gradients, SD 1.5, 32 x 32 latents", plus_case, 13, plus | dict(gradients=True)),
        (
            f"{STEPS} AdamW steps, LoRA (rank 16) and IP-Adapter, SD 1.5, 16 x 16 latents",
            steps_case,
            4,
            adapted | dict(size=(16, 16)),
        ),
        ("VAE encoder, SD, 512 x 512", encode_case, 5, dict(config=vae, size=photo)),
        ("VAE decoder, SD, 512 x 512", decode_case, 6, dict(config=vae, size=latents)),
        ("AutoencoderTiny encoder, TAESD, 512 x 512", encode_case, 7, dict(config=taesd, size=photo, tiny=True)),
        ("AutoencoderTiny decoder, TAESD, 512 x 512", decode_case, 8, dict(config=taesd, size=latents, tiny=True)),
        ("CLIP text L (SD 1.5)", text_case, 9, dict(config=public_config("sd15_text_encoder"))),
        ("CLIP text H (SD 2)", text_case, 10, dict(config=public_config("sd2_text_encoder"))),
        ("CLIP vision H (IP-Adapter)", image_case, 11, dict(config=public_config("ip_adapter_image_encoder"))),
    ]
