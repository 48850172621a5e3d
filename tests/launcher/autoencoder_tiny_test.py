"""A base whose VAE is an AutoencoderTiny: cached, trained on and evaluated."""

import json
import math
import unittest

import h5py
import numpy
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

from program import ROOT, Workspace, limewash


def make_base(folder):
    """limewash-tiny with a small random AutoencoderTiny in the place of its VAE."""
    folder.mkdir()
    for part in (ROOT / "models/limewash-tiny").iterdir():
        if part.name != "vae":
            (folder / part.name).symlink_to(part)
    torch.manual_seed(3)
    channels = (16, 16, 16, 16)
    vae = AutoencoderTiny(encoder_block_out_channels=channels, decoder_block_out_channels=channels,
                          num_encoder_blocks=(1, 1, 1, 1), num_decoder_blocks=(1, 1, 1, 1))
    vae.save_pretrained(folder / "vae")
    return vae


class AutoencoderTinyBase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace(rooms=8)
        cls.base = cls.work.path / "base"
        cls.vae = make_base(cls.base)
        cls.settings = (f"base.model={cls.base}", "run.threads=1", "training.steps=6", "evaluation.every=6")
        cls.work.run("launch", "tiny", *cls.settings)

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def test_it_trains_and_is_evaluated(self):
        losses = [float(row["loss"]) for row in self.work.losses("tiny")]
        self.assertEqual(len(losses), 6)
        self.assertTrue(all(math.isfinite(loss) and loss > 0 for loss in losses), losses)
        summary = self.work.summary("tiny")
        self.assertEqual(summary["status"], "finished")
        self.assertEqual([e["step"] for e in summary["evaluations"]], [0, 6])
        self.assertIsNotNone(summary["controls"]["floor"]["delta_e_2000"])

    def test_its_latents_are_cached_without_a_deviation(self):
        pieces = sorted((self.work.path / "train").glob("cache-*/**/*.h5"))
        found = [h5py.File(piece) for piece in pieces]
        targets = [(file["target_mean"][:], file["target_deviation"][:]) for file in found if "target_mean" in file]
        self.assertTrue(targets, pieces)
        for mean, deviation in targets:
            self.assertGreater(numpy.abs(mean).max(), 0)
            self.assertEqual(numpy.abs(deviation).max(), 0)

    def test_two_ranks_follow_the_trajectory_of_one(self):
        self.work.run("launch", "two", *self.settings, "launch.trainers=2", "evaluation.every=0")
        for one, two in zip(self.work.losses("tiny"), self.work.losses("two"), strict=True):
            self.assertAlmostEqual(float(one["loss"]), float(two["loss"]), delta=1e-4 * float(one["loss"]))

    def test_it_computes_what_diffusers_computes(self):
        inputs, outputs = self.work.path / "x.safetensors", self.work.path / "y.safetensors"
        sample = torch.rand(2, 3, 64, 40, generator=torch.Generator().manual_seed(1)) * 2 - 1
        save_file({"sample": sample}, inputs)
        answer = limewash("model", "run", "vae-encode", "--model", self.base, "--inputs", inputs,
                          "--outputs", outputs, "--json", "--repeat", 2)
        report = json.loads(answer.stdout)
        self.assertGreater(report["seconds_first_forward"], 0)
        self.assertGreater(report["peak_rss_gib"], 0)
        with torch.no_grad():
            expected = self.vae.encode(sample).latents
        found = load_file(outputs)
        self.assertLessEqual((found["mean"] - expected).abs().max().item(), 1e-5)
        self.assertEqual(found["std"].abs().max().item(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
