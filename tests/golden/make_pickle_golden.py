#!/usr/bin/env python3
"""Writes tests/golden/pickles: small files of torch.save of each kind that public checkpoints come in, and what is
in them as safetensors.   make_pickle_golden.py"""

import collections
import pathlib
import sys
import types

import numpy
import torch
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).parent / "pickles"


def normal(seed, *shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def expected(name, tensors):
    # Each its own memory: safetensors refuses tensors that share theirs.
    save_file({key: value.detach().clone().contiguous() for key, value in tensors.items()}, FOLDER / f"{name}.safetensors")


def state_dict():
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.LayerNorm(5))
    with torch.no_grad():
        for seed, parameter in enumerate(network.parameters()):
            parameter.copy_(normal(seed, *parameter.shape))
    return network.state_dict()  # an OrderedDict with the attribute _metadata


def write_state_dicts():
    tensors = state_dict()
    torch.save(tensors, FOLDER / "state_dict.bin")
    torch.save(tensors, FOLDER / "state_dict_legacy.bin", _use_new_zipfile_serialization=False)
    torch.save(tensors, FOLDER / "state_dict_protocol_5.bin", pickle_protocol=5)
    expected("state_dict", tensors)


def write_dtypes():
    kinds = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16]
    kinds += [torch.int8, torch.uint8, torch.bool, torch.uint16, torch.uint32, torch.float8_e4m3fn]
    tensors = {str(dtype): torch.arange(6).remainder(2).reshape(2, 3).to(dtype) for dtype in kinds}
    tensors["scalar"] = torch.tensor(-2.5)
    tensors["empty"] = torch.empty(0, 4)
    torch.save(tensors, FOLDER / "dtypes.bin")
    expected("dtypes", tensors)


def write_views():
    whole = normal(7, 6, 4)
    tensors = {
        "whole": whole,
        "rows": whole[2:4],
        "transposed": whole.t(),
        "column": whole[:, 1],
        "parameter": torch.nn.Parameter(normal(8, 2, 2)),
    }
    torch.save(tensors, FOLDER / "views.bin")
    expected("views", tensors)


def write_ip_adapter():
    parts = {
        "image_proj": {"proj.weight": normal(1, 8, 3), "norm.weight": normal(2, 4)},
        "ip_adapter": {"1.to_k_ip.weight": normal(3, 5, 4)},
    }
    torch.save(parts, FOLDER / "ip_adapter.bin")
    expected("ip_adapter", {f"{part}.{key}": value for part, inner in parts.items() for key, value in inner.items()})


def foreign_class(module_name, name):
    """A class of a training framework that is not installed."""
    for end in range(1, len(module_name.split(".")) + 1):
        path = ".".join(module_name.split(".")[:end])
        sys.modules.setdefault(path, types.ModuleType(path))
    made = type(name, (), {"__module__": module_name})
    setattr(sys.modules[module_name], name, made)
    return made


def write_training_checkpoint():
    tensors = {"model.weight": normal(4, 3, 3, dtype=torch.float16), "betas": normal(5, 10)}
    callback = foreign_class("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
    checkpoint = {
        "epoch": 3,
        "global_step": 2**40,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": collections.OrderedDict(tensors),
        "callbacks": {callback: {"best_model_score": numpy.float64(0.5), "best": torch.ones(2), "dirpath": None}},
        "optimizer_states": [{"state": {0: {"step": 7, "exp_avg": normal(6, 3, 3)}}, "param_groups": [{"lr": 1e-4}]}],
        "lr_schedulers": [{"base_lrs": [1.0], "last_epoch": 2, "large": 2**70, "seen": {1, 2}, "raw": b"\x00\x01"}],
    }
    torch.save(checkpoint, FOLDER / "training.ckpt")
    expected("training", tensors)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    write_state_dicts()
    write_dtypes()
    write_views()
    write_ip_adapter()
    write_training_checkpoint()
