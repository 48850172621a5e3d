"""What the program says when memory runs out."""

import json
import resource
import subprocess
import unittest

import numpy
from safetensors.numpy import save_file

from program import LIMEWASH, ROOT, Workspace, environment

LIMIT = 4 << 30  # of addresses: LibTorch's libraries alone take more than half of it
HUGE = 4096  # takes 10 GiB


def limited(*arguments):
    """Run the program with little room for addresses."""
    return subprocess.run(
        [LIMEWASH, *map(str, arguments)],
        capture_output=True, text=True, timeout=600, cwd=ROOT,
        env=environment(OMP_NUM_THREADS="1"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
    )


class OutOfMemory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace(rooms=8)

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def assert_explained(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stderr)
        for word in ("out of memory", "GiB", "free when it began", *words):
            self.assertIn(word, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertNotIn("terminate called", done.stderr)

    def test_training_names_what_asked_for_it_and_what_to_lower(self):
        arguments = self.work.arguments(
            "train", "huge", "run.threads=1", f"training.global_batch={HUGE}", f"training.micro_batch={HUGE}",
            "evaluation.every=0", "training.steps=1")
        done = limited(*arguments)
        self.assert_explained(
            done, str(self.work.config), f"training.micro_batch = {HUGE}", "run.precision = fp32", "estimated to take",
            "activations", "Lower it: training.micro_batch = 1 takes", "training.gradient_checkpointing = true takes")

    def test_a_rank_under_mpi_says_it_too_and_the_launch_fails(self):
        arguments = self.work.arguments(
            "launch", "ranks", "run.threads=1", f"training.global_batch={HUGE}", f"training.micro_batch={HUGE // 2}",
            "evaluation.every=0", "training.steps=1", "launch.trainers=2", "launch.max_restarts=0")
        self.assert_explained(limited(*arguments), f"training.micro_batch = {HUGE // 2}")

    def test_model_run_names_its_inputs(self):
        inputs = self.work.path / "x.safetensors"
        batch, latents, tokens = 1024, 48, 4
        config = json.loads((ROOT / "models/limewash-tiny/unet/config.json").read_text())
        save_file({"sample": numpy.zeros((batch, 9, latents, latents), numpy.float32),
                   "timestep": numpy.zeros(batch, numpy.int64),
                   "encoder_hidden_states": numpy.zeros((batch, tokens, config["cross_attention_dim"]), numpy.float32)},
                  inputs)
        done = limited("model", "run", "unet", "--model", "models/limewash-tiny", "--inputs", inputs,
                       "--outputs", self.work.path / "y.safetensors")
        self.assert_explained(done, str(inputs), "models/limewash-tiny", "estimated to take", "--precision bf16")
        self.assertFalse((self.work.path / "y.safetensors").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
