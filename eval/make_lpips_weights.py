#!/usr/bin/env python3
"""Write the weights that LPIPS needs (`evaluation.lpips`, `limewash metrics --lpips`) as one safetensors file.

    python eval/make_lpips_weights.py --net alex --out lpips-alex.safetensors

The trunk is torchvision's network as trained on ImageNet (downloaded by torchvision, unless `--trunk` names the .pth
file), the heads are those of the lpips package, version 0.1. Needs torch, torchvision, lpips and safetensors.
"""

import argparse
import inspect
import pathlib

import lpips
import torch
import torchvision
from safetensors.torch import save_file

TRUNKS = {
    "alex": (torchvision.models.alexnet, torchvision.models.AlexNet_Weights.IMAGENET1K_V1),
    "vgg": (torchvision.models.vgg16, torchvision.models.VGG16_Weights.IMAGENET1K_V1),
}


def trunk_tensors(net, file):
    """torchvision's `features.N.weight` and `.bias`; the classifier behind them takes no part."""
    if file is None:
        make, weights = TRUNKS[net]
        state = make(weights=weights).state_dict()
    else:
        state = torch.load(file, map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in state.items() if name.startswith("features.")}


def head_tensors(net):
    """`lin0.model.1.weight` and so on."""
    folder = pathlib.Path(inspect.getfile(lpips)).parent / "weights/v0.1"
    return torch.load(folder / f"{net}.pth", map_location="cpu", weights_only=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=sorted(TRUNKS), default="alex")
    parser.add_argument("--trunk", type=pathlib.Path, help="torchvision's .pth file; default: download it")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    tensors = {**trunk_tensors(options.net, options.trunk), **head_tensors(options.net)}
    source = options.trunk.name if options.trunk else str(TRUNKS[options.net][1])
    save_file({name: tensor.float().contiguous() for name, tensor in tensors.items()}, options.out,
              metadata={"network": options.net, "version": "0.1", "trunk": source})
    options.out.chmod(0o644)
    print(f"{options.out}: {len(tensors)} tensors, trunk {source}")


if __name__ == "__main__":
    main()
