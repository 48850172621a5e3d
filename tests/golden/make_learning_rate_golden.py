#!/usr/bin/env python3
"""Write tests/golden/learning_rates.json: the learning rates of diffusers' get_scheduler, step by step."""

import json
import pathlib

import torch
from diffusers.optimization import get_scheduler

CASES = [
    dict(name="constant", theirs="constant_with_warmup", schedule="constant", warmup_steps=7, total_steps=60, cycles=1),
    dict(name="linear", theirs="linear", schedule="linear", warmup_steps=0, total_steps=50, cycles=1),
    dict(name="linear after a warm-up", theirs="linear", schedule="linear", warmup_steps=12, total_steps=50, cycles=1),
    dict(name="cosine", theirs="cosine", schedule="cosine", warmup_steps=0, total_steps=33, cycles=1),
    dict(name="cosine after a warm-up", theirs="cosine", schedule="cosine", warmup_steps=5, total_steps=101, cycles=1),
    dict(name="three restarts", theirs="cosine_with_restarts", schedule="cosine_with_restarts", warmup_steps=0,
         total_steps=90, cycles=3),
    dict(name="four restarts after a warm-up", theirs="cosine_with_restarts", schedule="cosine_with_restarts",
         warmup_steps=10, total_steps=103, cycles=4),
]


def rates_of(case):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=3e-4)
    # Their cosine counts half waves from 0.5; that is its default.
    cycles = case["cycles"] if case["schedule"] == "cosine_with_restarts" else 0.5
    scheduler = get_scheduler(case["theirs"], optimizer=optimizer, num_warmup_steps=case["warmup_steps"],
                              num_training_steps=case["total_steps"], num_cycles=cycles)
    rates = []
    for _ in range(case["total_steps"] + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def main():
    cases = [{**{k: v for k, v in case.items() if k != "theirs"}, "learning_rate": 3e-4, "rates": rates_of(case)}
             for case in CASES]
    path = pathlib.Path(__file__).with_name("learning_rates.json")
    path.write_text(json.dumps(cases, indent=0) + "\n")


if __name__ == "__main__":
    main()
