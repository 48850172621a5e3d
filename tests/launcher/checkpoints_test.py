"""Checkpoints: what a resume says and refuses, and a disk that is full while one is written."""

import os
import resource
import signal
import subprocess
import unittest

from program import LIMEWASH, ROOT, Workspace, environment

SHORT = ("run.threads=1", "evaluation.every=0", "checkpoint.every=5")


class Checkpoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace()
        cls.work.run("train", "straight", *SHORT)

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def resumed(self, name, *settings):
        return self.work.run("train", name, *SHORT, *settings, flags=["--resume"], check=False)

    def test_another_run_is_refused_with_every_difference(self):
        refused = self.resumed("straight", "optimizer.learning_rate=5.0e-4", "run.seed=7", "adapter.lora.rank=8")
        self.assertEqual(refused.returncode, 2)
        for words in ("optimizer.learning_rate: 0.001 in the checkpoint, 0.0005 now",
                      "seed: 42 in the checkpoint, 7 now", "adapter.lora.rank: 4 in the checkpoint, 8 now"):
            self.assertIn(words, refused.stderr)

    def test_another_training_set_is_refused(self):
        refused = self.resumed("straight", f"data.train={self.work.path}/validation")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("training set: fingerprint", refused.stderr)

    def test_what_shapes_nothing_may_change_and_is_said(self):
        self.work.run("train", "changed", *SHORT, "training.stop_at=10", check=False)
        done = self.resumed("changed", "checkpoint.every=4", "training.stop_at=0", "data.workers=1",
                            "training.gradient_checkpointing=true")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("checkpoint.every: 5 in the checkpoint, 4 now", done.stderr)
        self.assertIn("training.gradient_checkpointing: false in the checkpoint, true now", done.stderr)
        self.assertEqual(self.work.weights("changed", 20), self.work.weights("straight", 20))

    def test_a_constant_learning_rate_can_be_trained_on(self):
        constant = ("optimizer.schedule=constant",)
        self.work.run("train", "long", *SHORT, *constant)
        self.work.run("train", "short", *SHORT, *constant, "training.steps=10")
        self.assertEqual(self.work.summary("short")["status"], "finished")
        done = self.resumed("short", *constant)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.work.weights("short", 20), self.work.weights("long", 20))
        refused = self.resumed("straight", "training.steps=40")
        self.assertEqual(refused.returncode, 2, "a cosine of 20 steps is not one of 40")
        self.assertIn("training.steps: 20 in the checkpoint, 40 now", refused.stderr)

    def test_a_full_disk_names_the_file_and_leaves_the_last_checkpoint(self):
        self.work.run("train", "full", *SHORT, "training.stop_at=5", check=False)
        folder = self.work.folder("full") / "checkpoints"
        size = (folder / "step-000005" / "training_state.safetensors").stat().st_size

        def no_room():
            # A write beyond the limit fails, as one on a full disk does.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

        arguments = self.work.arguments("train", "full", *SHORT, flags=["--resume"])
        done = subprocess.run([LIMEWASH, *arguments], env=environment(), cwd=ROOT, capture_output=True, text=True,
                              preexec_fn=no_room, restore_signals=False, timeout=300)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("step-000010.partial/training_state.safetensors", done.stderr)
        self.assertEqual(sorted(os.listdir(folder)), ["step-000005"])
        again = self.resumed("full")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(self.work.weights("full", 20), self.work.weights("straight", 20))

    def test_micro_batches_follow_one_trajectory(self):
        """Every draw, LoRA dropout too, belongs to its sample: only the order of sums differs."""
        losses = []
        for micro in (8, 4, 1):
            name = f"micro-{micro}"
            self.work.run("train", name, *SHORT, f"training.micro_batch={micro}", "adapter.lora.dropout=0.2")
            losses.append([float(row["loss"]) for row in self.work.losses(name)])
        for other in losses[1:]:
            for step, (one, two) in enumerate(zip(losses[0], other, strict=True), 1):
                self.assertLessEqual(abs(one - two), 1e-4 * abs(one), f"step {step}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
