"""How often the classifier is right, by kind of error; its score against the IoU; its score of real masks."""

import pathlib

import numpy as np
import torch

import network
from rooms import read_mask, read_photo


@torch.no_grad()
def classify(net, photos, masks):
    """Logits [N, 3] of photos u8 [N, 3, H, W] and masks bool [N, H, W]."""
    logits = []
    for photo, mask in zip(photos.split(64), masks.split(64)):
        logits.append(net(network.scale(photo.float() / 255), network.scale(mask.float()[:, None]))[0])
    return torch.cat(logits)


def rank_correlation(left, right):
    """Spearman's; equal values share their mean rank."""

    def ranks(values):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[place]

    return np.corrcoef(ranks(left), ranks(right))[0, 1]


def line(name, logits, ious):
    wanted, found = network.classes_of(ious), logits.argmax(1)
    right = (wanted == found).float().mean()
    # Clean taken for bad or the other way round.
    far = ((wanted - found).abs() == 2).float().mean()
    correlation = rank_correlation(network.score_of(logits).numpy(), ious.numpy()) if len(set(ious.tolist())) > 1 else float("nan")
    return f"| {name} | {len(ious)} | {ious.mean():.2f} | {100 * right:.1f} % | {100 * far:.1f} % | {correlation:.2f} |"


def report(net, samples, unseen):
    logits = classify(net, samples.photos[samples.room], samples.masks)
    kinds = np.array(samples.kinds)
    print("| kind | masks | mean IoU | right | clean for bad or back | rank correlation |\n|---|---|---|---|---|---|")
    is_unseen = np.isin(kinds, unseen)
    for name, chosen in (("all seen", ~is_unseen), ("all unseen", is_unseen)):
        chosen = torch.from_numpy(chosen)
        print(line(name, logits[chosen], samples.ious[chosen]))
    for kind in sorted(set(samples.kinds)):
        chosen = torch.from_numpy(kinds == kind)
        print(line(kind + (" (unseen)" if kind in unseen else ""), logits[chosen], samples.ious[chosen]))


def centre_square(picture):
    height, width = picture.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[..., top : top + side, left : left + side]


def report_photos(net, folder):
    """Centre squares, as `prepare` cuts them, and whole photos."""
    for path in sorted(pathlib.Path(folder, "images").iterdir()):
        for masks in ("masks", "predicted_masks"):
            file = pathlib.Path(folder, masks, f"{path.stem}.png")
            if not file.is_file() or not read_mask(file).any():
                continue
            photo, mask = read_photo(path), read_mask(file)
            logits = classify(net, centre_square(photo)[None], centre_square(mask)[None])
            whole = classify(net, photo[None], mask[None])
            shares = ", ".join(f"{name} {p:.2f}" for name, p in zip(network.CLASSES, logits.softmax(1)[0].tolist()))
            print(f"{path.stem} {masks}: score {network.score_of(logits).item():.2f} ({shares}); "
                  f"whole photo {network.score_of(whole).item():.2f}")
