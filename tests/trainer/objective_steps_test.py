"""20 optimizer steps of each objective equal those of a loop in diffusers, peft and the lpips package that makes the
same draws: losses, terms, shares of the gradient, and what the weights become."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import lpips
import torch
import torch.nn.functional as F
import yaml
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden"))
import reference_models as reference  # noqa: E402

STEPS, ROWS, SIDE, CROP, LEARNING_RATE = 20, 4, 12, 8, 1e-3
TOLERANCE = 1e-4
UNET = dict(
    in_channels=9,
    out_channels=4,
    block_out_channels=(8, 16),
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    layers_per_block=1,
    norm_num_groups=2,
    cross_attention_dim=10,
    attention_head_dim=2,
)
VAE = dict(
    block_out_channels=(4, 8, 8),
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    layers_per_block=1,
    norm_num_groups=2,
    latent_channels=4,
    scaling_factor=0.7,
)
SCHEDULE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
V = dict(prediction_type="v_prediction")
LATE = {"start_step": 4, "timestep_low": 100, "timestep_high": 900, "timestep_weight": "alpha_bar"}


def huber_c(options, alphas, timesteps):
    c, kind = options.get("huber_c", 0.1), options.get("huber_schedule", "constant")
    if kind == "exponential":
        return torch.exp(torch.log(torch.tensor(c)) / len(alphas) * timesteps)
    if kind == "snr":
        abar = alphas[timesteps]
        return (1 - c) / (1 + ((1 - abar) / abar) ** 0.5) ** 2 + c
    return torch.full(timesteps.shape, c)


def lab(rgb):
    """CIELAB of sRGB in the last dimension, by CIE's definition, over scikit-image's white and matrix."""
    from skimage.color import colorconv

    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    white = torch.tensor(colorconv.xyz_tristimulus_values(illuminant="D65", observer="2"), dtype=torch.float32)
    xyz = linear @ torch.tensor(colorconv.xyz_from_rgb, dtype=torch.float32).T / white
    f = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def pyramid(x, levels):
    """The bands of a Laplacian pyramid, finest first, and what is left."""
    bands = []
    while len(bands) < levels and min(x.shape[2:]) >= 4:
        small = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        bands.append(x - F.interpolate(small, size=x.shape[2:], mode="bilinear"))
        x = small
    return [*bands, x]


def region_mean(values, region):
    weight = F.adaptive_avg_pool2d(region, values.shape[2:])
    return (values * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-6)


class Discriminator(torch.nn.Sequential):
    """The network of models/discriminator.h, its weights by their order."""

    def __init__(self, tensors, name):
        layers, count = [], sum(key.startswith(name) and key.endswith("weight") for key in tensors)
        for number in range(count):
            weight, bias = tensors[f"{name}.{number}.weight"], tensors.get(f"{name}.{number}.bias")
            stride = 1 if number in (0, count - 1) else 2
            conv = torch.nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], stride, 1, bias=bias is not None)
            with torch.no_grad():
                conv.weight.copy_(weight)
                if bias is not None:
                    conv.bias.copy_(bias)
            layers += [conv] if number == count - 1 else [conv, torch.nn.LeakyReLU(0.2)]
        super().__init__(*layers)

    def named(self, name):
        convolutions = [layer for layer in self if isinstance(layer, torch.nn.Conv2d)]
        for number, layer in enumerate(convolutions):
            yield f"{name}.{number}.weight", layer.weight
            if layer.bias is not None:
                yield f"{name}.{number}.bias", layer.bias


class Loop:
    """The training in Python."""

    def __init__(self, folder, parts, batches, loss, draws):
        self.scheduler = DDPMScheduler(**json.loads((folder / "scheduler_config.json").read_text()))
        self.adapter, self.vae, self.lpips = parts
        self.batches, self.loss, self.draws = batches, loss, draws
        self.alphas = self.scheduler.alphas_cumprod
        for module in (self.adapter.unet, self.vae):
            module.requires_grad_(False)
        self.named = self.adapter.parameters()
        for parameter in self.named.values():
            parameter.requires_grad_(True)
        start = {key.removeprefix("start."): value for key, value in draws.items() if key.startswith("start.")}
        options = loss.get("adversarial", {})
        self.nets = {key: Discriminator(start, f"discriminator.{key}") for key in ("wall", "paint") if options.get(key)}

    def run(self):
        optimizer = torch.optim.AdamW(self.named.values(), lr=LEARNING_RATE, weight_decay=0.01)
        learned = [parameter for net in self.nets.values() for parameter in net.parameters()]
        other = torch.optim.AdamW(learned or [torch.zeros(1, requires_grad=True)], lr=2e-4, betas=(0.5, 0.99), weight_decay=0)
        losses, terms, shares, taught = [], [], [], []
        for step, batch in enumerate(self.batches):
            noise = batch["noise"] + self.draws[f"offset_{step}"][:, :, None, None]
            z_t = self.scheduler.add_noise(batch["z0"], noise, batch["timesteps"])
            output = self.adapter.forward(
                torch.cat([z_t, batch["mask"], batch["hole_latents"]], 1),
                batch["timesteps"],
                batch["encoder_hidden_states"],
                batch["image_embeds"],
            )
            predicted = self.predict(z_t, output, batch["timesteps"])
            parts = self.terms(step, batch, noise, output, predicted)
            norms = []
            for weight, value in parts.values():
                gradient = None
                if value.requires_grad:
                    (gradient,) = torch.autograd.grad(weight * value, output, retain_graph=True, allow_unused=True)
                norms.append(0.0 if gradient is None else gradient.norm().item())
            total = sum(weight * value for weight, value in parts.values())
            optimizer.zero_grad()
            total.backward()
            other.zero_grad()
            taught.append(self.teach(step, batch, predicted.detach()))
            optimizer.step()
            if self.nets:
                other.step()
            losses.append(total.item())
            terms.append([value.item() for _, value in parts.values()])
            shares.append([norm / sum(norms) for norm in norms])
        outputs = {"losses": losses, "terms": terms, "shares": shares, "discriminators": taught}
        outputs = {name: torch.tensor(value) for name, value in outputs.items()}
        for key, net in self.nets.items():
            outputs |= dict(net.named(f"discriminator.{key}"))
        return outputs | self.named

    def predict(self, z_t, output, timesteps):
        abar = self.alphas[timesteps].view(-1, 1, 1, 1)
        if self.scheduler.config.prediction_type == "v_prediction":
            return abar.sqrt() * z_t - (1 - abar).sqrt() * output
        return (z_t - (1 - abar).sqrt() * output) / abar.sqrt()

    def noise_term(self, batch, noise, output):
        options = self.loss.get("noise", {})
        target = noise
        if self.scheduler.config.prediction_type == "v_prediction":
            target = self.scheduler.get_velocity(batch["z0"], noise, batch["timesteps"])
        kind = options.get("kind", "mse")
        if kind == "mse":
            error = F.mse_loss(output, target, reduction="none")
        else:
            c = huber_c(options, self.alphas, batch["timesteps"]).view(-1, 1, 1, 1)
            error = 2 * (torch.sqrt((output - target) ** 2 + c**2) - c)
            error = c * error if kind == "huber" else error
        weights = torch.where(batch["mask"] > 0, options.get("inside", 1.0), options.get("outside", 1.0))
        weights = weights * batch["quality"].view(-1, 1, 1, 1)
        denominator = weights.sum()
        if gamma := options.get("min_snr_gamma"):
            snr = compute_snr(self.scheduler, batch["timesteps"])
            capped = torch.stack([snr, gamma * torch.ones_like(snr)], dim=1).min(dim=1)[0]
            v = self.scheduler.config.prediction_type == "v_prediction"
            weights = weights * (capped / (snr + 1 if v else snr)).view(-1, 1, 1, 1)
        return (error.mean(1, keepdim=True) * weights).sum() / denominator

    def rows(self, options, step, batch, core=False):
        """What each row weighs, and what all are divided by."""
        low, high = options.get("timestep_low", 0), options.get("timestep_high", 1000)
        counted = (batch["timesteps"] >= low) & (batch["timesteps"] < high) & (step >= options.get("start_step", 0))
        if core:
            counted &= batch["core"].sum((1, 2, 3)) > 0
        quality = batch["quality"] * counted
        weights = quality
        if options.get("timestep_weight") == "alpha_bar":
            weights = weights * self.alphas[batch["timesteps"]]
        return weights, quality.sum()

    def mean(self, rows, options, step, batch, core=False):
        weights, denominator = self.rows(options, step, batch, core)
        return (rows * weights).sum() / denominator if denominator > 0 else torch.zeros(())

    def decode(self, latents):
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample

    def crop(self, step, tensor):
        places = self.draws[f"crops_{step}"]
        return torch.stack([row[:, t : t + CROP, l : l + CROP] for row, (t, l) in zip(tensor, places.tolist())])

    def region_lab(self, step, latents, core, path):
        if path == "linear":
            affine = self.batches[0]["latent_to_rgb"]
            mean = (latents * core).sum((2, 3)) / core.sum((2, 3)).clamp_min(1e-6)
            return lab(mean @ affine[:-1] + affine[-1])
        if path == "crop":
            latents, core = self.crop(step, latents), self.crop(step, core)
        pixels = self.decode(latents)
        weight = F.interpolate(core, size=pixels.shape[2:], mode="nearest").squeeze(1).unsqueeze(-1)
        colors = lab((pixels / 2 + 0.5).permute(0, 2, 3, 1))
        return (colors * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-6)

    def color_term(self, step, batch, predicted):
        options = self.loss["color"]
        path = options.get("path", "linear")
        anchor = batch["asked_lab"]
        if options.get("anchor", "target") == "target":
            anchor = self.region_lab(step, batch["z0"], batch["core"], path).detach()
        ours = self.region_lab(step, predicted, batch["core"], path)
        return self.mean((((ours - anchor) / 10) ** 2).sum(1), options, step, batch, core=True)

    def terms(self, step, batch, noise, output, predicted):
        found = {"noise": (1.0, self.noise_term(batch, noise, output))}
        if options := self.loss.get("color"):
            found["color"] = (options["weight"], self.color_term(step, batch, predicted))
        perceptual = self.loss.get("perceptual", {})
        if options := perceptual.get("multi_scale"):
            pair = [predicted, batch["z0"]]
            if options.get("on") == "crop":
                pair = [self.decode(self.crop(step, latents)) for latents in pair]
            bands = [pyramid(x, options.get("levels", 3)) for x in pair]
            rows = [(a - b).abs().mean((1, 2, 3)) for a, b in zip(*bands)]
            found["multi_scale"] = (options["weight"], self.mean(sum(rows) / len(rows), options, step, batch))
        if options := perceptual.get("lpips"):
            pair = [self.decode(self.crop(step, latents)) for latents in (predicted, batch["z0"])]
            found["lpips"] = (options["weight"], self.mean(self.lpips(*pair).view(-1), options, step, batch))
        options = self.loss.get("adversarial", {})
        later = options | {"start_step": options.get("start_step", 0) + options.get("warm_up_steps", 0)}
        mask, z0 = batch["mask"], batch["z0"]
        if "wall" in self.nets:
            composed = mask * predicted + (1 - mask) * z0
            rows = -region_mean(self.nets["wall"](torch.cat([composed, mask], 1)), mask)
            found["adversarial_wall"] = (options["wall"], self.mean(rows, later, step, batch))
        if "paint" in self.nets:
            rows = -self.nets["paint"](predicted).mean((1, 2, 3))
            found["adversarial_paint"] = (options["paint"], self.mean(rows, later, step, batch))
        return found

    def teach(self, step, batch, predicted):
        options, losses = self.loss.get("adversarial", {}), []
        z0, mask, core = batch["z0"], batch["mask"], batch["core"]
        if "wall" in self.nets:
            real = torch.cat([z0, mask], 1)
            fake = torch.cat([mask * predicted + (1 - mask) * z0, mask], 1)
            losses.append(self.hinge("wall", real, mask, fake, mask, options, step, batch))
        if "paint" in self.nets:
            wall = (z0 * core).sum((2, 3), keepdim=True) / core.sum((2, 3), keepdim=True).clamp_min(1e-6)
            around = F.avg_pool2d(z0, 5, 1, 2, count_include_pad=False)
            fake = mask * z0 + (1 - mask) * (z0 - around + wall)
            losses.append(self.hinge("paint", z0, 1 - mask + torch.minimum(core, mask), fake, 1 - mask, options, step, batch))
        return losses

    def hinge(self, name, real, real_region, fake, fake_region, options, step, batch):
        net = self.nets[name]
        real = real.clone().requires_grad_(True)
        logits = net(real)
        rows = region_mean(F.relu(1 - logits), real_region) + region_mean(F.relu(1 + net(fake)), fake_region)
        (slope,) = torch.autograd.grad(region_mean(logits, real_region).sum(), real, create_graph=True)
        rows = rows + options.get("r1", 1.0) / 2 * slope.pow(2).sum((1, 2, 3))
        if name == "paint":
            rows = rows * (batch["core"].sum((1, 2, 3)) > 0)
        weights, denominator = self.rows(options, step, batch)
        loss = (rows * weights).sum() / denominator.clamp_min(1e-9)
        net.zero_grad()  # the network's own loss went through it, too
        if step >= options.get("start_step", 0):
            loss.backward()
        return loss.item()


def random_lpips(folder):
    """lpips' own network with a random trunk, which needs no download, and its file for limewash."""
    torch.manual_seed(3)
    network = lpips.LPIPS(net="alex", pretrained=True, pnet_rand=True, verbose=False).eval().requires_grad_(False)
    tensors = {}
    for part in network.net.children():
        for number, layer in part.named_children():
            if isinstance(layer, torch.nn.Conv2d):
                tensors[f"features.{number}.weight"] = layer.weight
                tensors[f"features.{number}.bias"] = layer.bias
    for number, head in enumerate(network.lins):
        tensors[f"lin{number}.model.1.weight"] = head.model[1].weight
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "alex.safetensors")
    return network


def make_batches(count):
    batches = []
    for step in range(count):
        draw = torch.Generator().manual_seed(100 + step)
        normal = lambda *shape: torch.randn(shape, generator=draw)  # noqa: E731
        mask = torch.zeros(ROWS, 1, SIDE, SIDE)
        for row in range(ROWS):
            top, left = torch.randint(0, 6, (2,), generator=draw).tolist()
            mask[row, :, top : top + 6, left : left + 5] = 1
        core = mask * torch.rand(mask.shape, generator=draw)
        if step % 3 == 0:
            core[step % ROWS] = 0
        batches.append(
            {
                "z0": 0.5 * normal(ROWS, 4, SIDE, SIDE),
                "noise": normal(ROWS, 4, SIDE, SIDE),
                "mask": mask,
                "core": core,
                "hole_latents": normal(ROWS, 4, SIDE, SIDE),
                "timesteps": torch.randint(0, 1000, (ROWS,), generator=draw),
                "quality": 0.25 + 0.75 * torch.rand(ROWS, generator=draw),
                "asked_lab": torch.tensor([60.0, 5.0, -5.0]) + 10 * normal(ROWS, 3),
                "image_embeds": normal(ROWS, 8),
                "encoder_hidden_states": normal(ROWS, 5, UNET["cross_attention_dim"]),
                "latent_to_rgb": torch.tensor([[0.1, 0.05, 0.02], [-0.03, 0.08, 0.04], [0.02, -0.05, 0.1], [0.01, 0.02, 0.03], [0.5, 0.5, 0.5]]),
            }
        )
    return batches


class Objectives(unittest.TestCase):
    def check(self, loss, schedule=None, last_timestep=False):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            unet = reference.make_unet(1, **UNET)
            unet.save_pretrained(folder / "unet")
            vae = reference.make_vae(2, **VAE)
            vae.save_pretrained(folder / "vae")
            adapter = reference.ReferenceAdapter(unet, 3, 3, 6, ["to_q", "to_k", "to_v", "to_out.0"], 8)
            adapter.save(folder / "adapter")
            network = random_lpips(folder) if "lpips" in loss.get("perceptual", {}) else None
            if network is not None:
                loss["perceptual"]["lpips"]["weights"] = str(folder / "alex.safetensors")
            config = {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000} | SCHEDULE | (schedule or {})
            (folder / "scheduler_config.json").write_text(json.dumps(config))
            (folder / "loss.yaml").write_text(yaml.safe_dump(loss | {"crop": CROP, "gradient_share_every": 1}))
            batches = make_batches(STEPS)
            for batch in batches if last_timestep else []:
                batch["timesteps"][1] = 999
            tensors = {f"{key}_{step}": value for step, batch in enumerate(batches) for key, value in batch.items() if key != "latent_to_rgb"}
            save_file(tensors | {"latent_to_rgb": batches[0]["latent_to_rgb"]}, folder / "batches.safetensors")
            subprocess.run([PROGRAM, folder], check=True)
            ours = load_file(folder / "outputs.safetensors")
            expected = Loop(folder, (adapter, vae, network), batches, loss, ours).run()
        self.assertEqual(len(ours["losses"]), STEPS)
        worst = {}
        for key, value in expected.items():
            value = value.detach()
            if value.numel() == 0:
                continue
            self.assertEqual(ours[key].shape, value.shape, key)
            self.assertTrue(value.isfinite().all(), key)
            scale = value.abs().max().clamp_min(1e-3) if key != "losses" else value.abs()
            kind = key if key in ("losses", "terms", "shares", "discriminators") else "weights"
            worst[kind] = max(worst.get(kind, 0), ((ours[key] - value).abs() / scale).max().item())
        print(f"{self.id().split('.')[-1]}: " + ", ".join(f"{key} {value:.1e}" for key, value in worst.items()), flush=True)
        for key, value in worst.items():
            self.assertLess(value, TOLERANCE, key)
        return ours

    def test_squared_error(self):
        self.check({})

    def test_weights_inside_and_outside(self):
        self.check({"noise": {"inside": 2.0, "outside": 0.3}})

    def test_huber(self):
        self.check({"noise": {"kind": "huber"}})

    def test_huber_by_signal_to_noise(self):
        self.check({"noise": {"kind": "huber", "huber_schedule": "snr", "huber_c": 0.2}})

    def test_smooth_l1_with_an_exponential_schedule(self):
        self.check({"noise": {"kind": "smooth_l1", "huber_schedule": "exponential"}})

    def test_min_snr_of_an_epsilon_prediction(self):
        self.check({"noise": {"min_snr_gamma": 5.0}})

    def test_min_snr_of_a_v_prediction(self):
        self.check({"noise": {"min_snr_gamma": 5.0}}, V)

    def test_offset_noise(self):
        ours = self.check({"noise": {"offset_noise": 0.1}})
        spread = torch.cat([ours[f"offset_{step}"] for step in range(STEPS)]).std().item()
        self.assertAlmostEqual(spread, 0.1, delta=0.02)

    def test_v_prediction_with_zero_terminal_snr(self):
        self.check({"noise": {"min_snr_gamma": 5.0}}, V | {"rescale_betas_zero_snr": True}, last_timestep=True)

    def test_color_by_the_linear_map(self):
        self.check({"color": {"weight": 0.5}}, V)

    def test_color_of_a_decoded_crop(self):
        self.check({"color": {"weight": 0.5, "path": "crop", "anchor": "reference"} | LATE}, V)

    def test_color_of_the_decoded_picture(self):
        self.check({"color": {"weight": 0.5, "path": "picture"}}, V)

    def test_multi_scale_on_latents(self):
        self.check({"perceptual": {"multi_scale": {"weight": 0.5} | LATE}}, V)

    def test_multi_scale_on_a_decoded_crop(self):
        self.check({"perceptual": {"multi_scale": {"weight": 0.5, "on": "crop", "levels": 2}}}, V)

    def test_lpips(self):
        self.check({"perceptual": {"lpips": {"weight": 0.5}}}, V)

    def test_adversarial_on_the_wall(self):
        self.check({"adversarial": {"wall": 0.2, "channels": 8}}, V)

    def test_adversarial_against_stray_paint(self):
        self.check({"adversarial": {"paint": 0.2, "channels": 8, "warm_up_steps": 2} | LATE}, V)

    def test_everything_together(self):
        self.check(
            {
                "noise": {"kind": "huber", "min_snr_gamma": 5.0, "offset_noise": 0.05, "outside": 0.5},
                "color": {"weight": 0.1, "path": "crop"},
                "perceptual": {"multi_scale": {"weight": 0.1}, "lpips": {"weight": 0.1, "timestep_high": 500}},
                "adversarial": {"wall": 0.05, "paint": 0.05, "channels": 8},
            },
            V,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objective-steps", type=pathlib.Path, default=ROOT / "build/release/tests/trainer/objective_steps")
    known, rest = parser.parse_known_args()
    PROGRAM = known.objective_steps
    torch.set_num_threads(1)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=1)
