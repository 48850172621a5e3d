#!/usr/bin/env python3
"""Write tests/golden/ddim.json: what diffusers' DDIMScheduler makes of noise with a made-up network.

The network is elementwise, tanh(0.7 z + t / 1000 - 0.5), so that the test needs no weights.
"""

import json
import pathlib

import torch
from diffusers import DDIMScheduler

COMMON = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
              clip_sample=False, steps_offset=1)
CASES = [
    dict(prediction_type="epsilon", timestep_spacing="leading", set_alpha_to_one=False, steps=20),
    dict(prediction_type="v_prediction", timestep_spacing="leading", set_alpha_to_one=True, steps=7),
    dict(prediction_type="v_prediction", timestep_spacing="linspace", set_alpha_to_one=False, steps=10),
    dict(prediction_type="v_prediction", timestep_spacing="trailing", set_alpha_to_one=False, steps=20,
         rescale_betas_zero_snr=True),
]


def network(z, t):
    return torch.tanh(0.7 * z + t / 1000 - 0.5)


def sample(case, noise):
    options = {key: value for key, value in case.items() if key != "steps"}
    scheduler = DDIMScheduler(**COMMON, **options)
    scheduler.set_timesteps(case["steps"])
    z = noise
    for t in scheduler.timesteps:
        z = scheduler.step(network(z, int(t)), int(t), z, eta=0.0).prev_sample
    return z


def main():
    noise = torch.randn(2, 1, 2, 3, generator=torch.Generator().manual_seed(7))
    cases = [dict(case, z0=sample(case, noise).flatten().tolist()) for case in CASES]
    path = pathlib.Path(__file__).parent / "ddim.json"
    path.write_text(json.dumps({"noise": noise.flatten().tolist(), "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
