"""Training a LoRA with dropout, patterns and convolutions; going on from a LoRA file; exporting one."""

import json
import unittest

from program import Workspace, limewash, tensors

LORA = (
    "run.threads=1",
    "training.steps=6",
    "checkpoint.every=3",
    "evaluation.every=0",
    "training.stage=lora",
    "adapter.ip_adapter.kind=none",
    "adapter.lora.dropout=0.3",
    "adapter.lora.targets=[to_q, to_v, conv1, ff.net.2]",
    "adapter.lora.exclude_modules=mid_block.*",
    "adapter.lora.rank_pattern={attn2.to_v: 6, conv1: 2}",
    "adapter.lora.alpha_pattern={'down_blocks.*conv1': 3}",
)


class Lora(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace(rooms=8)
        cls.work.run("train", "straight", *LORA)
        cls.file = cls.work.folder("straight") / "adapter" / "pytorch_lora_weights.safetensors"

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def follows(self, name):
        """The same losses up to rounding."""
        for one, two in zip(self.work.losses("straight"), self.work.losses(name), strict=True):
            self.assertAlmostEqual(float(one["loss"]), float(two["loss"]), delta=1e-4 * float(one["loss"]))

    def test_patterns_pick_ranks_and_layers(self):
        found = tensors(self.file)
        ranks = {name: shape[0] for name, (shape, _) in found.items() if name.endswith("lora_A.weight")}
        self.assertTrue(all(not name.startswith("unet.mid_block") for name in ranks))
        for ending, rank in (("attn2.to_v", 6), ("attn1.to_v", 4), ("conv1", 2), ("ff.net.2", 4)):
            matching = {value for name, value in ranks.items() if name.endswith(ending + ".lora_A.weight")}
            self.assertEqual(matching, {rank}, ending)

    def test_every_tensor_learns(self):
        self.work.run("train", "short", *LORA, "training.stop_at=3", check=False)
        before, after = tensors(self.work.folder("short") / "adapter" / self.file.name), tensors(self.file)
        self.assertEqual([name for name in after if before[name][1] == after[name][1]], [])

    def test_dropout_changes_what_is_learnt(self):
        self.work.run("train", "without", *LORA, "adapter.lora.dropout=0")
        self.assertNotEqual(self.work.losses("without"), self.work.losses("straight"))

    def test_dropout_does_not_depend_on_ranks(self):
        self.work.run("launch", "two", *LORA, "launch.trainers=2")
        self.follows("two")

    def test_dropout_does_not_depend_on_the_micro_batch(self):
        self.work.run("train", "micro", *LORA, "training.micro_batch=4")
        self.follows("micro")

    def test_checkpointed_blocks_see_the_same_masks(self):
        self.work.run("train", "checkpointed", *LORA, "training.gradient_checkpointing=true")
        self.assertEqual(self.work.losses("checkpointed"), self.work.losses("straight"))

    def test_a_stopped_run_resumed_equals_the_straight_one(self):
        self.assertEqual(self.work.run("train", "stopped", *LORA, "training.stop_at=4", check=False).returncode, 85)
        self.work.run("train", "stopped", *LORA, flags=["--resume"])
        self.assertEqual(self.work.weights("stopped", 6), self.work.weights("straight", 6))

    def test_training_goes_on_from_a_file(self):
        """With a learning rate of nothing the file comes out as it went in, from either layout."""
        kohya = self.work.path / "kohya.safetensors"
        limewash("export", "--adapter", self.file, "--out", kohya, "--format", "kohya")
        frozen = ("optimizer.learning_rate=0", "optimizer.ema=0", "optimizer.weight_decay=0", "training.steps=1")
        self.work.run("train", "on", *LORA, *frozen, f"base.lora={self.file.parent}")
        self.assertEqual(tensors(self.work.folder("on") / "adapter" / self.file.name), tensors(self.file))
        alike = (*LORA[:-1], *frozen)
        refused = self.work.run("train", "refused", *LORA, *frozen, f"base.lora={kohya}", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("alpha", refused.stderr)
        self.work.run("train", "kohya", *alike, f"base.lora={kohya}")
        found = tensors(self.work.folder("kohya") / "adapter" / self.file.name)
        self.assertEqual(found.keys(), tensors(self.file).keys())

    def test_a_file_that_differs_is_refused_by_name(self):
        done = self.work.run("train", "other", *LORA, "adapter.lora.rank=5", f"base.lora={self.file}", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("has the rank 4", done.stderr)
        done = self.work.run("train", "nowhere", *LORA, "base.lora=nowhere.safetensors", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("base.lora is 'nowhere.safetensors'", done.stderr)

    def test_a_pattern_of_no_use_is_a_usage_error(self):
        done = self.work.run("train", "useless", *LORA, "adapter.lora.targets=[to_q, o_q]", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("'o_q'", done.stderr)

    def test_a_run_is_exported_in_every_format(self):
        out = self.work.path / "exports" / "lora.safetensors"
        run = self.work.folder("straight")
        found = tensors(self.file)
        for form in ("peft", "kohya"):
            done = limewash("export", "--adapter", run, "--out", out, "--format", form, "--json")
            report = json.loads(done.stdout)
            self.assertEqual(report["format"], form)
            self.assertEqual(report["tensors"], len(tensors(out)))
            self.assertEqual(report["tensors"], len(found) * (3 if form == "kohya" else 2) // 2)
        half = limewash("export", "--adapter", run / "checkpoints/step-000006", "--out", out, "--format", "peft",
                        "--precision", "bf16", "--fold-alpha", "--json")
        self.assertEqual(json.loads(half.stdout)["precision"], "bf16")
        self.assertEqual(len(next(iter(tensors(out).values()))[1]) * 2, len(next(iter(found.values()))[1]))
        for arguments, status, text in (
            (["--adapter", run, "--format", "ip-adapter"], 1, "no IP-Adapter"),
            (["--adapter", run, "--format", "ip-adapter", "--fold-alpha"], 2, "--fold-alpha"),
            (["--adapter", self.work.path / "nowhere", "--format", "peft"], 1, "no such file"),
            (["--adapter", run, "--format", "lycoris"], 2, "--format"),
        ):
            done = limewash("export", *arguments, "--out", out, check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(text, done.stderr + done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
