"""`limewash metrics` on pictures that no other test contains, against scikit-image, scipy and lpips."""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import warnings

import lpips
import numpy
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy import ndimage
from skimage.color import deltaE_cie76, deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.morphology import disk
from torchvision.transforms.v2 import functional
from transformers import CLIPVisionModelWithProjection

from program import ROOT, limewash

CLOSE = 1e-4
SEED = int(os.environ.get("LIMEWASH_TEST_SEED", "0")) or int.from_bytes(os.urandom(4), "little")


def random_picture(rng, height, width):
    """Smooth light over a colour, patches of others, and noise."""
    y, x = numpy.mgrid[0:height, 0:width]
    light = 0.7 + 0.3 * numpy.cos(x / rng.uniform(6, 30) + rng.uniform(0, 6)) * numpy.sin(y / rng.uniform(6, 30))
    picture = rng.uniform(0.1, 0.9, 3) * light[..., None]
    for _ in range(rng.integers(1, 5)):
        top, left = rng.integers(0, height - 4), rng.integers(0, width - 4)
        picture[top : top + rng.integers(3, height), left : left + rng.integers(3, width)] *= rng.uniform(0, 1.6, 3)
    picture += rng.normal(0, rng.uniform(0, 0.06), picture.shape)
    return (picture.clip(0, 1) * 255).round().astype(numpy.uint8)


def random_mask(rng, height, width):
    """Blobs: smoothed noise above a threshold."""
    noise = ndimage.gaussian_filter(rng.normal(size=(height, width)), rng.uniform(2, 8))
    return noise > numpy.quantile(noise, rng.uniform(0.3, 0.7))


def correlation_of_low_passed(lab_a, lab_b, mask):
    sigma = max(mask.shape) / 64
    blur = lambda plane: ndimage.gaussian_filter(plane, sigma, mode="constant", radius=max(1, math.floor(3 * sigma + 0.5)))
    weight = numpy.maximum(blur(mask.astype(float)), 1e-12)
    a, b = ((blur(lab[..., 0] * mask) / weight)[mask] for lab in (lab_a, lab_b))
    return numpy.corrcoef(a, b)[0, 1]


def hue_error(a, b):
    if min(numpy.hypot(*a[1:]), numpy.hypot(*b[1:])) < 5:
        return None
    angle = numpy.degrees(numpy.angle(complex(*a[1:]) / complex(*b[1:])))
    return abs(angle)


def mean(values):
    return values.mean() if values.size else None


def psnr(a, b):
    return peak_signal_noise_ratio(a, b, data_range=255) if a.size else None


def expected_colors(lab, core, asked):
    region = numpy.median(lab[core], axis=0)
    pixels = deltaE_ciede2000(lab[core], asked[None])
    figures = {
        "delta_e_2000": float(deltaE_ciede2000(region, asked)),
        "delta_e_76": float(deltaE_cie76(region, asked)),
        "lab_distance": float(deltaE_cie76(region, asked)),
        "hue_error": hue_error(region, asked),
        "lightness_difference": abs(region[0] - asked[0]),
        "chroma_difference": abs(numpy.hypot(*region[1:]) - numpy.hypot(*asked[1:])),
        "region_lab": region.tolist(),
        "reference_lab": asked.tolist(),
    }
    for name, q in (("pixel", 0.5), ("p05", 0.05), ("p25", 0.25), ("p75", 0.75), ("p95", 0.95)):
        figures[f"delta_e_2000_{name}"] = numpy.quantile(pixels, q)
    return figures


def ssim_map(a, b, uniform=False):
    options = {} if uniform else dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    mean, full = structural_similarity(a, b, full=True, channel_axis=2, data_range=255, **options)
    border = 3 if uniform else 5
    inner = numpy.zeros(a.shape[:2], bool)
    inner[border:-border, border:-border] = True
    return mean, full.mean(axis=2), inner


def boundary_figures(found, truth):
    """DAVIS' definition, by dilation with a disc."""
    def boundary(mask):
        padded = numpy.pad(mask, ((0, 1), (0, 1)), mode="edge")
        right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
        return (mask ^ right) | (mask ^ below) | (mask ^ diagonal)

    tolerance = math.ceil(0.008 * math.hypot(*found.shape))
    a, b = boundary(found), boundary(truth)
    near = lambda edge: ndimage.binary_dilation(edge, disk(tolerance))
    precision, recall = (a & near(b)).sum() / a.sum(), (b & near(a)).sum() / b.sum()
    return {
        "iou": (found & truth).sum() / (found | truth).sum(),
        "boundary_precision": precision,
        "boundary_recall": recall,
        "boundary_f": 0 if precision + recall == 0 else 2 * precision * recall / (precision + recall),
        "boundary_tolerance": tolerance,
    }


def as_lpips_takes(picture):
    return torch.from_numpy(picture.astype(numpy.float32) / 127.5 - 1).permute(2, 0, 1)[None]


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"LIMEWASH_TEST_SEED={SEED}")
        cls.folder_of_all = tempfile.TemporaryDirectory(prefix="limewash-metrics-")
        cls.folder = pathlib.Path(cls.folder_of_all.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder_of_all.cleanup()

    def setUp(self):
        self.rng = numpy.random.default_rng([SEED, *self.id().encode()])

    def save(self, name, pixels):
        path = self.folder / f"{name}.png"
        Image.fromarray(pixels.astype(numpy.uint8) * 255 if pixels.dtype == bool else pixels).save(path)
        return path

    def figures(self, *arguments):
        done = limewash("metrics", "--json", *arguments)
        self.assertEqual(done.stdout.count("\n"), 1)
        return json.loads(done.stdout)

    def assert_close(self, found, expected, within=CLOSE):
        for name, value in expected.items():
            if value is None:
                self.assertIsNone(found[name], name)
            elif isinstance(value, list):
                self.assertLessEqual(numpy.abs(numpy.subtract(found[name], value)).max(), within, name)
            else:
                self.assertIsNotNone(found[name], name)
                self.assertLessEqual(abs(found[name] - value), within, f"{name}: {found[name]} and {value}")

    def refused(self, status, words, *arguments):
        done = limewash("metrics", *arguments, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        for word in words:
            self.assertIn(str(word), done.stderr)

    def test_two_pictures_measure_as_scikit_image_has_it(self):
        for case in range(3):
            height, width = self.rng.integers(32, 120, 2)
            a, b = (random_picture(self.rng, height, width) for _ in range(2))
            if case == 0:
                b = (a.astype(int) + self.rng.integers(-3, 4, a.shape)).clip(0, 255).astype(numpy.uint8)
            mask = random_mask(self.rng, height, width)
            paths = [self.save(name, pixels) for name, pixels in (("a", a), ("b", b), ("mask", mask))]
            lab_a, lab_b = rgb2lab(a), rgb2lab(b)
            delta_76, delta_2000 = deltaE_cie76(lab_a, lab_b), deltaE_ciede2000(lab_a, lab_b)
            (whole, full, inner), (whole_7, full_7, inner_7) = ssim_map(a, b), ssim_map(a, b, uniform=True)
            with self.subTest(case=case, size=(height, width)):
                self.assert_close(self.figures("--image", paths[0], "--against", paths[1]), {
                    "delta_e_76_mean": delta_76.mean(), "delta_e_2000_mean": delta_2000.mean(),
                    "psnr": peak_signal_noise_ratio(a, b, data_range=255),
                    "ssim": whole, "ssim_uniform": whole_7, "lpips": None})
                self.assert_close(self.figures("--image", paths[0], "--against", paths[1], "--mask", paths[2]), {
                    "delta_e_76_mean": delta_76[mask].mean(), "delta_e_2000_mean": delta_2000[mask].mean(),
                    "psnr": peak_signal_noise_ratio(a[mask], b[mask], data_range=255),
                    "ssim": mean(full[mask & inner]), "ssim_uniform": mean(full_7[mask & inner_7]), "lpips": None})

    def test_a_region_measures_against_a_colour_as_scikit_image_and_scipy_have_it(self):
        for case in range(3):
            height, width = self.rng.integers(48, 120, 2)
            painted, photo, exact = (random_picture(self.rng, height, width) for _ in range(3))
            wall = random_mask(self.rng, height, width)
            core = ndimage.binary_erosion(wall, iterations=2, border_value=1)
            bytes_asked = self.rng.integers(0, 256, 3)
            names = {"painted": painted, "photo": photo, "exact": exact, "wall": wall, "core": core}
            paths = {name: self.save(name, pixels) for name, pixels in names.items()}
            labs = {name: rgb2lab(names[name]) for name in ("painted", "photo", "exact")}
            asked = rgb2lab(bytes_asked.astype(numpy.uint8)[None, None])[0, 0]
            ring = ndimage.binary_dilation(wall, numpy.ones((7, 7))) & ~wall
            outside = ~(wall | ring)
            change = deltaE_ciede2000(labs["painted"], labs["photo"])
            pasted = numpy.where(outside[..., None], painted, photo)
            _, full, inner = ssim_map(pasted, photo)
            arguments = ("--image", paths["painted"], "--mask", paths["wall"],
                         "--reference", "#%02x%02x%02x" % tuple(bytes_asked))
            with self.subTest(case=case, size=(height, width)):
                self.assert_close(self.figures(*arguments), {
                    **expected_colors(labs["painted"], wall, asked), "clip_similarity": None})
                self.assertNotIn("psnr_outside", self.figures(*arguments))
                expected = {
                    **expected_colors(labs["painted"], core, asked),
                    "psnr_outside": psnr(photo[outside], painted[outside]),
                    "ssim_outside": mean(full[outside & inner]),
                    "delta_e_2000_outside": mean(change[outside]),
                    "edge_bleed": mean(change[ring]),
                    "lpips_outside": None,
                }
                arguments += ("--core", paths["core"], "--source", paths["photo"])
                self.assert_close(self.figures(*arguments), {
                    **expected, "delta_e_2000_exact": None,
                    "shading_fidelity": correlation_of_low_passed(labs["painted"], labs["photo"], wall)})
                self.assert_close(self.figures(*arguments, "--exact", paths["exact"]), {
                    **expected,
                    "delta_e_2000_exact": deltaE_ciede2000(labs["painted"], labs["exact"])[wall].mean(),
                    "shading_fidelity": correlation_of_low_passed(labs["painted"], labs["exact"], wall)})

    def test_hues_near_the_seam_of_the_circle_are_near(self):
        red = numpy.full((30, 30, 3), (200, 60, 120), numpy.uint8)
        other = rgb2lab(numpy.uint8([[[200, 80, 70]]]))[0, 0]
        path, mask = self.save("seam", red), self.save("all", numpy.ones((30, 30), bool))
        found = self.figures("--image", path, "--mask", mask, "--reference", "c85046")
        lab = rgb2lab(red)[0, 0]
        self.assertLess(lab[2], 0)
        self.assertGreater(other[2], 0)
        self.assertLess(found["hue_error"], 90)
        self.assert_close(found, {"hue_error": hue_error(lab, other)})

    def test_the_hue_of_near_greys_is_as_exact(self):
        for _ in range(4):
            lab, asked = None, None
            while lab is None or hue_error(lab, asked) is None or numpy.hypot(*asked[1:]) > 9:
                colors = self.rng.integers(90, 200, (2, 1)) + self.rng.integers(-8, 9, (2, 3))
                lab, asked = rgb2lab(colors.astype(numpy.uint8))
            path = self.save("grey", numpy.full((12, 14, 3), colors[0], numpy.uint8))
            found = self.figures("--image", path, "--mask", self.save("all", numpy.ones((12, 14), bool)),
                                 "--reference", "%02x%02x%02x" % tuple(colors[1]))
            self.assert_close(found, {"hue_error": hue_error(lab, asked)})

    def test_a_picture_as_reference_stands_for_its_median_colour(self):
        painted, swatch = random_picture(self.rng, 40, 50), random_picture(self.rng, 33, 21)
        mask = random_mask(self.rng, 40, 50)
        found = self.figures("--image", self.save("painted", painted), "--mask", self.save("mask", mask),
                             "--reference", self.save("swatch", swatch))
        asked = numpy.median(rgb2lab(swatch).reshape(-1, 3), axis=0)
        self.assert_close(found, expected_colors(rgb2lab(painted), mask, asked))

    def test_masks_agree_as_davis_has_it(self):
        for case in range(3):
            height, width = self.rng.integers(60, 400, 2)
            truth = random_mask(self.rng, height, width)
            found = numpy.roll(truth, self.rng.integers(0, 9, 2), (0, 1)) if case else random_mask(self.rng, height, width)
            with self.subTest(case=case, size=(height, width)):
                self.assert_close(self.figures("--mask", self.save("found", found),
                                               "--against-mask", self.save("truth", truth)),
                                  boundary_figures(found, truth))

    def lpips_pair(self, net):
        """The lpips package with a random trunk, and the same weights in a file by our script."""
        torch.manual_seed(SEED % 2**31)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        # lpips cuts torchvision's `features` into slices, but keeps their numbers.
        trunk = {f"features.{name.split('.', 1)[1]}": tensor for name, tensor in reference.net.state_dict().items()}
        saved, file = self.folder / f"{net}.pth", self.folder / f"{net}.safetensors"
        torch.save({**trunk, "classifier.6.bias": torch.zeros(1000)}, saved)
        subprocess.run([sys.executable, ROOT / "eval/make_lpips_weights.py", "--net", net, "--trunk", saved,
                        "--out", file], check=True, capture_output=True)
        return reference, file

    @staticmethod
    def lpips_map(reference, a, b):
        reference.spatial = True
        with torch.no_grad():
            full = reference(as_lpips_takes(a), as_lpips_takes(b))[0, 0].numpy().astype(float)
        reference.spatial = False
        return full

    def test_lpips_is_that_of_the_lpips_package(self):
        for net in ("alex", "vgg"):
            reference, file = self.lpips_pair(net)
            for case in range(2):
                height, width = self.rng.integers(40, 150, 2)
                a, b = random_picture(self.rng, height, width), random_picture(self.rng, height, width)
                mask = random_mask(self.rng, height, width)
                with torch.no_grad():
                    whole = reference(as_lpips_takes(a), as_lpips_takes(b)).item()
                full = self.lpips_map(reference, a, b)
                arguments = ("--image", self.save("a", a), "--against", self.save("b", b), "--lpips", file)
                with self.subTest(net=net, size=(height, width)):
                    self.assertGreater(whole, 10 * CLOSE)
                    self.assert_close(self.figures(*arguments), {"lpips": whole})
                    self.assert_close(self.figures(*arguments, "--mask", self.save("mask", mask)),
                                      {"lpips": full[mask].mean()})
            ring = ndimage.binary_dilation(mask, numpy.ones((7, 7)))
            full = self.lpips_map(reference, numpy.where(ring[..., None], b, a), b)
            found = self.figures("--image", self.folder / "a.png", "--reference", "808080", "--source",
                                 self.folder / "b.png", "--mask", self.folder / "mask.png", "--lpips", file)
            self.assert_close(found, {"lpips_outside": mean(full[~ring])})
            equal = self.figures("--image", self.folder / "a.png", "--against", self.folder / "a.png", "--lpips", file)
            self.assert_close(equal, {"lpips": 0, "psnr": None, "ssim": 1, "delta_e_2000_mean": 0}, within=1e-9)

    def test_clip_similarity_is_that_of_transformers(self):
        encoder = CLIPVisionModelWithProjection.from_pretrained(
            ROOT / "models/limewash-tiny/image_encoder", dtype=torch.float32)
        side = encoder.config.image_size

        def embedding(picture):
            """As CLIPImageProcessor does, but for the crop: scaled as bytes by torchvision."""
            pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1)
            pixels = functional.resize(pixels, [side, side], functional.InterpolationMode.BICUBIC) / 255
            mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
            with torch.no_grad():
                embeds = encoder(functional.normalize(pixels, mean, std)[None]).image_embeds[0].double()
            return embeds / embeds.norm()

        painted, swatch = random_picture(self.rng, 90, 120), random_picture(self.rng, 50, 50)
        mask = numpy.zeros((90, 120), bool)
        mask[10:60, 30:110] = random_mask(self.rng, 50, 80)
        rows, columns = numpy.flatnonzero(mask.any(1)), numpy.flatnonzero(mask.any(0))
        part = painted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        arguments = ("--image", self.save("painted", painted), "--mask", self.save("mask", mask),
                     "--image-encoder", ROOT / "models/limewash-tiny/image_encoder", "--reference")
        plain = numpy.full((50, 50, 3), (0x67, 0xBD, 0xAA), numpy.uint8)
        for reference, picture in ((self.save("swatch", swatch), swatch), ("67bdaa", plain)):
            cosine = embedding(part).dot(embedding(picture)).item()
            self.assert_close(self.figures(*arguments, reference), {"clip_similarity": 100 * cosine})

    def test_what_is_not_defined_is_null(self):
        a, b = random_picture(self.rng, 9, 30), random_picture(self.rng, 9, 30)
        none, full = numpy.zeros((9, 30), bool), numpy.ones((9, 30), bool)
        grey = numpy.full((9, 30, 3), 128, numpy.uint8)
        a, b, grey, none, full = (self.save(name, pixels) for name, pixels in
                                  (("a", a), ("b", b), ("grey", grey), ("none", none), ("full", full)))
        found = self.figures("--image", a, "--against", b, "--mask", none)
        self.assertEqual({*found.values()}, {None})
        self.assertEqual(len(found), 6)
        found = self.figures("--image", a, "--against", b)
        self.assert_close(found, {"ssim": None, "lpips": None})
        self.assertIsNotNone(found["ssim_uniform"])
        self.assert_close(self.figures("--image", a, "--against", a), {"psnr": None, "delta_e_2000_mean": 0})
        found = self.figures("--image", a, "--reference", "ff0000", "--mask", none)
        self.assertEqual({name for name, value in found.items() if value is not None}, {"reference_lab"})
        found = self.figures("--image", grey, "--reference", "ff0000", "--mask", full, "--source", grey)
        for name in ("hue_error", "shading_fidelity", "delta_e_2000_exact", "psnr_outside", "ssim_outside",
                     "lpips_outside", "delta_e_2000_outside", "edge_bleed", "clip_similarity"):
            self.assertIsNone(found[name], name)
        self.assertEqual(self.figures("--mask", none, "--against-mask", none), {
            "iou": None, "boundary_f": None, "boundary_precision": None, "boundary_recall": None,
            "boundary_tolerance": 1})
        self.assert_close(self.figures("--mask", full, "--against-mask", none), {"iou": 0, "boundary_f": None})

    def test_small_pictures_have_no_lpips(self):
        _, file = self.lpips_pair("alex")
        for height, missing in ((30, True), (31, False)):
            a, b = (self.save(name, random_picture(self.rng, height, 40)) for name in "ab")
            found = self.figures("--image", a, "--against", b, "--lpips", file)
            self.assertEqual(found["lpips"] is None, missing)

    def test_damaged_lpips_weights_are_named(self):
        _, file = self.lpips_pair("alex")
        a, bad = self.save("a", random_picture(self.rng, 40, 40)), self.folder / "bad.safetensors"
        tensors = load_file(file)

        def refused(change, *words, metadata=None):
            changed = dict(tensors)
            change(changed)
            save_file(changed, bad, metadata=metadata)
            self.refused(1, ("bad.safetensors", *words), "--image", a, "--against", a, "--lpips", bad)

        refused(lambda t: t.pop("features.0.weight"), "features.0.weight")
        refused(lambda t: t.pop("lin3.model.1.weight"), "lin3.model.1.weight", "[1, 256, 1, 1]")
        refused(lambda t: t.update({"features.6.bias": torch.zeros(3)}), "features.6.bias", "[384]")
        refused(lambda t: t.update({"features.0.weight": torch.zeros(64, 3, 7, 7)}), "[64, 3, 7, 7]", "AlexNet")
        refused(lambda t: t.update({"features.8.bias": torch.full((256,), math.nan)}), "features.8.bias", "finite")
        refused(lambda t: t.update({"more": torch.zeros(2)}), "more")
        refused(lambda t: None, "network", "vgg", metadata={"network": "vgg"})
        refused(lambda t: None, "version", "0.0", metadata={"version": "0.0"})
        bad.write_bytes(file.read_bytes()[:5000])
        self.refused(1, ("bad.safetensors",), "--image", a, "--against", a, "--lpips", bad)
        self.refused(1, ("nowhere.safetensors",), "--image", a, "--against", a, "--lpips", "nowhere.safetensors")

    def test_bad_input_is_named(self):
        a, small = self.save("a", random_picture(self.rng, 40, 40)), self.save("small", random_picture(self.rng, 8, 9))
        mask, broken = self.save("mask", random_mask(self.rng, 40, 40)), self.folder / "broken.png"
        broken.write_bytes(a.read_bytes()[:60])
        self.refused(1, ("small.png is 9x8", "a.png is 40x40"), "--image", a, "--against", small)
        self.refused(1, ("small.png is 9x8",), "--image", a, "--reference", "ff0000", "--mask", small)
        self.refused(1, ("small.png is 9x8",), "--mask", mask, "--against-mask", small)
        self.refused(1, ("broken.png",), "--image", broken, "--against", a)
        self.refused(1, ("missing.png",), "--image", a, "--against", self.folder / "missing.png")
        self.refused(2, ("#12345", "#rrggbb"), "--image", a, "--reference", "#12345", "--mask", mask)
        self.refused(2, ("mauve", "colour"), "--image", a, "--reference", "mauve", "--mask", mask)
        self.refused(2, ("--mask",), "--image", a, "--reference", "ff0000")
        self.refused(2, ("--against",), "--image", a)
        self.refused(2, ("--source",), "--image", a, "--against", a, "--source", a)
        self.refused(2, ("--image",), "--image", a, "--mask", mask, "--against-mask", mask)
        self.refused(2, ("--lpips",), "--lpips", a, "--mask", mask, "--against-mask", mask)
        empty = self.save("empty", numpy.zeros((40, 40), bool))
        done = limewash("metrics", "--image", a, "--reference", "ff0000", "--mask", empty)
        self.assertIn("empty.png", done.stderr)
        self.assertIn("missing", done.stdout)

    def test_people_get_a_table_and_an_example(self):
        a, mask = self.save("a", random_picture(self.rng, 40, 40)), self.save("mask", random_mask(self.rng, 40, 40))
        text = limewash("metrics", "--image", a, "--reference", "ff0000", "--mask", mask).stdout
        self.assertRegex(text, r"(?m)^delta_e_2000 +\d+\.\d{4} +CIEDE2000")
        self.assertIn("Example: limewash metrics", limewash("metrics", "--help").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
