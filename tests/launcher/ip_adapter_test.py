"""Training with IP-Adapter Plus, and from an IP-Adapter file that stays frozen or learns on."""

import math
import unittest

from program import Workspace, tensors

PLUS = (
    "run.threads=1",
    "training.steps=6",
    "checkpoint.every=3",
    "evaluation.every=0",
    "optimizer.weight_decay=0",
    "training.drop_reference=0.3",
    "adapter.ip_adapter.kind=plus",
    "adapter.ip_adapter.resampler.depth=2",
    "adapter.ip_adapter.resampler.heads=2",
    "adapter.ip_adapter.resampler.head_dim=16",
)


class IpAdapter(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace(rooms=8)
        cls.work.run("train", "plus", *PLUS)
        cls.file = cls.work.folder("plus") / "adapter" / "ip_adapter.safetensors"

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def test_plus_trains_with_finite_losses(self):
        losses = [float(row["loss"]) for row in self.work.losses("plus")]
        self.assertEqual(len(losses), 6)
        self.assertTrue(all(math.isfinite(loss) for loss in losses), losses)

    def test_every_tensor_of_plus_learns(self):
        """Without weight decay a tensor that no gradient reaches would stay as it is."""
        self.work.run("train", "short", *PLUS, "training.stop_at=3", check=False)
        before, after = tensors(self.work.folder("short") / "adapter/ip_adapter.safetensors"), tensors(self.file)
        self.assertEqual(before.keys(), after.keys())
        self.assertEqual(after["image_proj.latents"][0], [1, 16, 64])
        self.assertEqual(len([name for name in after if name.startswith("image_proj.")]), 7 + 2 * 11)
        unchanged = [name for name in after if before[name][1] == after[name][1]]
        self.assertEqual(unchanged, [])

    def test_a_stopped_run_of_plus_resumed_equals_the_straight_one(self):
        self.assertEqual(self.work.run("train", "stopped", *PLUS, "training.stop_at=4", check=False).returncode, 85)
        self.work.run("train", "stopped", *PLUS, flags=["--resume"])
        self.assertEqual(self.work.weights("stopped", 6), self.work.weights("plus", 6))
        self.assertEqual(self.work.losses("stopped"), self.work.losses("plus"))

    def test_two_ranks_follow_the_trajectory_of_one(self):
        self.work.run("launch", "two", *PLUS, "launch.trainers=2")
        for one, two in zip(self.work.losses("plus"), self.work.losses("two"), strict=True):
            self.assertAlmostEqual(float(one["loss"]), float(two["loss"]), delta=1e-4 * float(one["loss"]))

    def test_plus_is_evaluated_with_guidance(self):
        self.work.run("train", "evaluated", *PLUS, "evaluation.every=6", "evaluation.guidance=2")
        evaluations = self.work.summary("evaluated")["evaluations"]
        self.assertEqual([e["step"] for e in evaluations], [0, 6])
        self.assertNotEqual(evaluations[0]["delta_e_2000"], evaluations[1]["delta_e_2000"])
        self.assertIsNotNone(self.work.summary("evaluated")["controls"]["shuffled_reference"]["delta_e_2000"])

    def test_the_kinds_do_not_share_a_cache(self):
        self.work.run("train", "base", *PLUS[:6], "adapter.ip_adapter.kind=base")
        self.assertEqual(len(list((self.work.path / "train").glob("cache-*"))), 2)

    def test_a_file_that_stays_frozen(self):
        """Stage lora: the IP-Adapter conditions, and is exported as it came."""
        start = f"base.ip_adapter={self.file}"
        self.work.run("train", "frozen", *PLUS, start, "training.stage=lora")
        self.assertEqual(tensors(self.work.folder("frozen") / "adapter/ip_adapter.safetensors"), tensors(self.file))
        self.work.run("train", "without", *PLUS[:6], "training.stage=lora", "adapter.ip_adapter.kind=none")
        self.assertNotEqual(self.work.losses("frozen"), self.work.losses("without"))

    def test_a_file_that_learns_on(self):
        start = f"base.ip_adapter={self.file}"
        self.work.run("train", "further", *PLUS, start, "training.stage=ip_adapter", "training.steps=2")
        found = tensors(self.work.folder("further") / "adapter/ip_adapter.safetensors")
        self.assertNotEqual(found, tensors(self.file))
        first = float(self.work.losses("further")[0]["loss"])
        self.assertNotEqual(first, float(self.work.losses("plus")[0]["loss"]))

    def test_a_file_of_another_kind_is_refused(self):
        done = self.work.run("train", "other", *PLUS[:6], f"base.ip_adapter={self.file}", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("kind is plus, here base", done.stderr)

    def test_stage_lora_refuses_an_untrained_one(self):
        done = self.work.run("train", "untrained", *PLUS, "training.stage=lora", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("base.ip_adapter", done.stderr)

    def test_another_file_is_refused_on_resume(self):
        other = self.work.path / "other.safetensors"
        other.write_bytes((self.work.folder("plus") / "checkpoints/step-000003/ip_adapter.safetensors").read_bytes())
        arguments = (*PLUS, f"base.ip_adapter={other}")
        self.work.run("train", "changed", *arguments, "training.stop_at=3", check=False)
        other.write_bytes(self.file.read_bytes())
        done = self.work.run("train", "changed", *arguments, flags=["--resume"], check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("base.ip_adapter", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
