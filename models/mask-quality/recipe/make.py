"""Train the mask classifier on rooms with wrong masks of known error:

    limewash synthesize --out rooms --count 3000 --size 128 --seed 501 --set synthesize.corruptions=6
    limewash synthesize --out held-out --count 300 --size 128 --seed 502 --set synthesize.corruptions=6
    python models/mask-quality/recipe/make.py --rooms rooms --held-out held-out --out models/mask-quality
"""

import argparse
import json
import pathlib
import time

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import augment
import measure
from network import CHANNELS, CLASSES, CLEAN_IOU, NOISY_IOU, SIZE, MaskQualityNet, classes_of
from rooms import read_samples

# Never trained on: each stands for a way of going wrong that the network must know without an example.
UNSEEN_KINDS = ("surface_included", "missing_pieces", "shift", "polygon")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", required=True, help="to train on")
    parser.add_argument("--held-out", required=True, help="to measure on")
    parser.add_argument("--photos", help="folder with images/, masks/ and predicted_masks/: measured, never trained on")
    parser.add_argument("--out", required=True, help="the model folder")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="part of the result, as the seed is")
    return parser.parse_args()


def dense_loss(errors, masks, truths):
    """Cross entropy of the cells' errors, each weighted by the share of its cell that it speaks of."""
    cell = masks.shape[-1] // errors.shape[-1]
    inside = F.avg_pool2d(masks, cell)
    areas = torch.cat([inside, 1 - inside], 1)
    wrong = torch.cat([F.avg_pool2d(masks * (1 - truths), cell), F.avg_pool2d((1 - masks) * truths, cell)], 1)
    targets = (wrong / areas.clamp(min=1e-6)).clamp(0, 1)
    return (F.binary_cross_entropy_with_logits(errors, targets, reduction="none") * areas).sum((1, 2, 3)).mean() / 256


def batch_of(samples, indices, generator):
    room = samples.room[indices]
    photos = samples.photos[room].float() / 255
    masks = samples.masks[indices].float()[:, None]
    truths = samples.truths[room].float()[:, None]
    photos, masks, truths = augment.geometric(photos, masks, truths, generator)
    photos = augment.walls(photos, truths, generator)
    photos, masks, truths = augment.clutter(photos, masks, truths, generator)
    both, union = (masks * truths).sum((1, 2, 3)), torch.maximum(masks, truths).sum((1, 2, 3))
    return augment.photometric(photos, generator), masks, truths, both / union.clamp(min=1)


def train(samples, options):
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    net = MaskQualityNet().train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.rate, options.steps, pct_start=0.1)
    order, start = torch.empty(0, dtype=torch.long), time.monotonic()
    sums = torch.zeros(3)
    for step in range(1, options.steps + 1):
        if len(order) < options.batch:
            order = torch.cat([order, torch.randperm(len(samples), generator=generator)])
        indices, order = order[: options.batch], order[options.batch :]
        photos, masks, truths, ious = batch_of(samples, indices, generator)
        logits, errors = net(photos, masks)
        wanted = classes_of(ious)
        loss, dense = F.cross_entropy(logits, wanted), dense_loss(errors, masks, truths)
        optimizer.zero_grad()
        (loss + 2 * dense).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        sums += torch.tensor([loss.item(), dense.item(), (logits.argmax(1) == wanted).float().mean().item()])
        if step % 100 == 0:
            loss, dense, right = (sums / 100).tolist()
            spent = time.monotonic() - start
            print(f"step {step}: loss {loss:.3f}, cells {dense:.3f}, right {right:.3f}, {spent:.0f} s", flush=True)
            sums.zero_()
    return net.eval()


def publish(net, folder):
    """config.json and the fp16 weights; what was read back computes from here on."""
    net.fold()
    tensors = {key: value.detach().half().contiguous() for key, value in net.state_dict().items()}
    for key, value in tensors.items():
        if not torch.isfinite(value).all():
            raise SystemExit(f"{key} is not finite in half precision")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    config = {
        "_class_name": "MaskQualityNet",
        "channels": list(CHANNELS),
        "classes": list(CLASSES),
        "clean_iou": CLEAN_IOU,
        "noisy_iou": NOISY_IOU,
        "size": SIZE,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return load(folder)


def load(folder):
    net = MaskQualityNet()
    net.fold()
    net.load_state_dict({key: value.float() for key, value in load_file(folder / "model.safetensors").items()})
    return net.eval().requires_grad_(False)


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    samples = read_samples(options.rooms).of_kinds(lambda kind: kind not in UNSEEN_KINDS)
    print(f"{len(samples)} masks to train on", flush=True)
    net = publish(train(samples, options), pathlib.Path(options.out))
    print(f"{sum(p.numel() for p in net.parameters())} parameters")
    measure.report(net, read_samples(options.held_out), UNSEEN_KINDS)
    if options.photos:
        measure.report_photos(net, options.photos)


if __name__ == "__main__":
    main()
