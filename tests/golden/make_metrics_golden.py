#!/usr/bin/env python3
"""Write tests/golden/metrics: two small pictures, two masks, and what scikit-image and scipy measure of them."""

import json
import pathlib

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter
from skimage import io
from skimage.color import deltaE_cie76, deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.morphology import disk

FOLDER = pathlib.Path(__file__).parent / "metrics"
HEIGHT, WIDTH = 40, 56


def pictures():
    random = np.random.default_rng(11)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    light = 0.75 + 0.25 * np.cos(x / 17.0) * np.sin(y / 13.0 + 1)
    wall = np.array([0.62, 0.55, 0.44])[None, None] * light[..., None]
    painted = np.array([0.35, 0.52, 0.66])[None, None] * (0.9 * light + 0.06 * np.sin(x / 5.0))[..., None]
    a = wall + random.normal(0, 0.02, wall.shape)
    b = painted + random.normal(0, 0.03, wall.shape)
    a[:, :8] = random.uniform(0, 1, (HEIGHT, 8, 3))
    b[:, :8] = a[:, :8] + random.normal(0, 0.02, (HEIGHT, 8, 3))
    mask = (x > 12) & (y > 6) & ~((x > 30) & (x < 37) & (y > 20))
    return [(np.clip(v, 0, 1) * 255).round().astype(np.uint8) for v in (a, b)] + [mask]


def low_passed(lightness, mask):
    sigma = WIDTH / 64
    blur = lambda v: gaussian_filter(v, sigma, mode="constant", truncate=3.0)
    return (blur(lightness * mask) / np.maximum(blur(mask.astype(float)), 1e-12))[mask]


def mask_found():
    """The wall as a machine might find it: moved, with a piece too much and a piece too few."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    mask = (x > 13) & (y > 5) & ~((x > 33) & (x < 37) & (y > 20))
    mask[2:5, 40:50] = True
    return mask & ~((x - 20) ** 2 + (y - 30) ** 2 < 30)


def davis_boundary(mask):
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])


def mask_figures(found, truth):
    a, b = davis_boundary(found), davis_boundary(truth)
    tolerance = int(np.ceil(0.008 * np.hypot(*found.shape)))
    near = lambda boundary: binary_dilation(boundary, disk(tolerance))
    precision, recall = (a & near(b)).sum() / a.sum(), (b & near(a)).sum() / b.sum()
    return {
        "iou": (found & truth).sum() / (found | truth).sum(),
        "boundary_f": 2 * precision * recall / (precision + recall),
        "boundary_precision": precision,
        "boundary_recall": recall,
        "boundary_tolerance": tolerance,
    }


def main():
    FOLDER.mkdir(exist_ok=True)
    a, b, mask = pictures()
    io.imsave(FOLDER / "a.png", a, check_contrast=False)
    io.imsave(FOLDER / "b.png", b, check_contrast=False)
    io.imsave(FOLDER / "mask.png", mask.astype(np.uint8) * 255, check_contrast=False)
    found = mask_found()
    io.imsave(FOLDER / "mask_found.png", found.astype(np.uint8) * 255, check_contrast=False)

    lab_a, lab_b = rgb2lab(a), rgb2lab(b)
    ssim_options = dict(channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                        data_range=255)
    ssim, ssim_map = structural_similarity(a, b, full=True, **ssim_options)
    uniform, uniform_map = structural_similarity(a, b, full=True, channel_axis=2, data_range=255)
    inner, uniform_inner = np.zeros_like(mask), np.zeros_like(mask)
    inner[5:-5, 5:-5] = uniform_inner[3:-3, 3:-3] = True
    per_pixel = deltaE_ciede2000(lab_a, lab_b)

    asked = np.array([0.4, 0.5, 0.7])
    asked_lab = rgb2lab(asked[None, None])[0, 0]
    region = np.median(lab_b[mask], axis=0)
    to_asked = deltaE_ciede2000(lab_b[mask], np.broadcast_to(asked_lab, lab_b[mask].shape))
    angle = lambda lab: np.degrees(np.arctan2(lab[2], lab[1]))
    golden = {
        "all": {
            "delta_e_76_mean": deltaE_cie76(lab_a, lab_b).mean(),
            "delta_e_2000_mean": per_pixel.mean(),
            "psnr": peak_signal_noise_ratio(a, b, data_range=255),
            "ssim": ssim,
            "ssim_uniform": uniform,
        },
        "masked": {
            "delta_e_76_mean": deltaE_cie76(lab_a, lab_b)[mask].mean(),
            "delta_e_2000_mean": per_pixel[mask].mean(),
            "psnr": peak_signal_noise_ratio(a[mask], b[mask], data_range=255),
            "ssim": ssim_map[mask & inner].mean(),
            "ssim_uniform": uniform_map[mask & uniform_inner].mean(),
        },
        "asked": asked.tolist(),
        "color": {
            "delta_e_2000": float(deltaE_ciede2000(region, asked_lab)),
            "delta_e_76": float(deltaE_cie76(region, asked_lab)),
            "lab_distance": float(np.linalg.norm(region - asked_lab)),
            "delta_e_2000_pixel": np.median(to_asked),
            "delta_e_2000_p05": np.quantile(to_asked, 0.05),
            "delta_e_2000_p25": np.quantile(to_asked, 0.25),
            "delta_e_2000_p75": np.quantile(to_asked, 0.75),
            "delta_e_2000_p95": np.quantile(to_asked, 0.95),
            "hue_error": abs((angle(region) - angle(asked_lab) + 180) % 360 - 180),
            "lightness_difference": abs(region[0] - asked_lab[0]),
            "chroma_difference": abs(np.hypot(*region[1:]) - np.hypot(*asked_lab[1:])),
        },
        "exact": per_pixel[mask].mean(),
        "masks": mask_figures(found, mask),
        "shading_fidelity": np.corrcoef(low_passed(lab_a[..., 0], mask), low_passed(lab_b[..., 0], mask))[0, 1],
    }
    (FOLDER / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
