"""What each stage trains and leaves, sequential training, learning rates a part, validation losses, and the recipes."""

import csv
import json
import unittest

import torch
from diffusers import UNet2DConditionModel
from program import ROOT, Workspace, limewash, tensors

SHORT = ("run.threads=1", "evaluation.every=0", "checkpoint.every=0", "training.steps=6")


class Stages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace()
        cls.work.run("train", "ip_adapter", *SHORT, "training.stage=ip_adapter", "adapter.lora.rank=0")
        cls.ip_adapter = cls.work.folder("ip_adapter") / "adapter" / "ip_adapter.safetensors"

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def adapter(self, name):
        folder = self.work.folder(name) / "adapter"
        return {part: tensors(folder / file) for part, file in
                (("lora", "pytorch_lora_weights.safetensors"), ("ip_adapter", "ip_adapter.safetensors"))
                if (folder / file).exists()}

    def test_a_lora_alone_has_no_ip_adapter(self):
        self.work.run("train", "lora", *SHORT, "training.stage=lora", "adapter.ip_adapter.kind=none")
        self.assertEqual(list(self.adapter("lora")), ["lora"])

    def test_a_lora_learns_beside_a_frozen_ip_adapter_that_acts(self):
        self.work.run("train", "frozen", *SHORT, "training.stage=lora", f"base.ip_adapter={self.ip_adapter}")
        self.assertEqual(self.adapter("frozen")["ip_adapter"], tensors(self.ip_adapter))
        self.work.run("train", "off", *SHORT, "training.stage=lora", "adapter.ip_adapter.kind=none")
        self.assertNotEqual(self.work.losses("frozen")[0]["loss"], self.work.losses("off")[0]["loss"])
        refused = self.work.run("train", "new", *SHORT, "training.stage=lora", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("base.ip_adapter", refused.stderr)

    def test_an_ip_adapter_learns_beside_a_frozen_lora(self):
        self.work.run("train", "lora-before", *SHORT, "training.stage=lora", "adapter.ip_adapter.kind=none")
        lora = self.work.folder("lora-before") / "adapter"
        self.work.run("train", "ip-after", *SHORT, "training.stage=ip_adapter", f"base.lora={lora}",
                      "adapter.lora.dropout=0.5")
        after = self.adapter("ip-after")
        self.assertEqual(after["lora"], self.adapter("lora-before")["lora"])
        self.assertNotEqual(after["ip_adapter"], tensors(self.ip_adapter))
        # A frozen LoRA is not dropped out.
        self.work.run("train", "ip-after-kept", *SHORT, "training.stage=ip_adapter", f"base.lora={lora}")
        self.assertEqual(self.work.losses("ip-after"), self.work.losses("ip-after-kept"))

    def test_a_stage_leaves_its_averaged_weights_to_the_next(self):
        both = ("run.threads=1", "evaluation.every=0", "checkpoint.every=3", "optimizer.warmup_steps=0")
        stages = ("training.stages=[{stage: ip_adapter, steps: 6, learning_rate: 2.0e-3}, "
                  "{stage: lora, steps: 5, schedule: linear}]")
        refused = self.work.run("train", "sequential", *both, stages, check=False)
        self.assertIn("training.steps = 20: training.stages add up to 11", refused.stderr)
        self.work.run("train", "sequential", *both, stages, "training.steps=11")
        rows = self.work.losses("sequential")
        self.assertEqual([int(row["step"]) for row in rows], list(range(1, 12)))
        rates = [float(row["learning_rate"]) for row in rows]
        self.assertEqual(rates[0], 2e-3)
        for place in range(5):
            self.assertAlmostEqual(rates[6 + place], 1e-3 * (1 - place / 5), delta=1e-12)
        self.work.run("train", "first", *both, "training.stage=ip_adapter", "training.steps=6",
                      "optimizer.learning_rate=2.0e-3")
        for one, two in zip(rows[:6], self.work.losses("first"), strict=True):
            self.assertEqual(one["loss"], two["loss"])
        self.assertEqual(self.adapter("sequential")["ip_adapter"], self.adapter("first")["ip_adapter"],
                         "the first stage's weights, averaged as they would be exported, stay in the second")
        self.assertNotEqual(self.adapter("sequential")["lora"], self.adapter("first")["lora"])

    def test_what_a_full_stage_trained_computes_the_same_after_a_resume(self):
        both = ("run.threads=1", "evaluation.every=0", "checkpoint.every=0", "training.steps=8", "optimizer.ema=0",
                "training.stages=[{stage: full, steps: 4}, {stage: lora, steps: 4}]", f"base.ip_adapter={self.ip_adapter}")
        self.work.run("train", "full-first", *both)
        self.work.run("train", "full-first-stopped", *both, "training.stop_at=5", check=False)
        self.work.run("train", "full-first-stopped", *both, flags=["--resume"])
        self.assertEqual(self.work.losses("full-first-stopped"), self.work.losses("full-first"))
        self.assertEqual(self.work.weights("full-first-stopped", 8), self.work.weights("full-first", 8))

    def test_a_run_of_stages_resumes_inside_each_and_between_them(self):
        both = ("run.threads=1", "evaluation.every=0", "checkpoint.every=2", "launch.trainers=2", "training.steps=10",
                "training.stages=[{stage: ip_adapter, steps: 4}, {stage: lora, steps: 3}, {stage: joint, steps: 3}]")
        self.work.run("launch", "whole", *both)
        for stop in (3, 4, 6, 7, 8):
            self.work.run("launch", "pieces", *both, f"training.stop_at={stop}", flags=["--resume"], check=False)
        self.work.run("launch", "pieces", *both, flags=["--resume"])
        self.assertEqual(self.adapter("pieces"), self.adapter("whole"))
        self.assertEqual(self.work.losses("pieces"), self.work.losses("whole"))
        self.assertEqual(self.work.weights("pieces", 10), self.work.weights("whole", 10))

    def test_a_part_can_have_a_learning_rate_of_its_own(self):
        self.work.run("train", "joint", *SHORT)
        self.work.run("train", "still", *SHORT, "optimizer.part_learning_rates={ip_adapter: 0}",
                      "optimizer.weight_decay=0")
        self.work.run("train", "start", *SHORT, "training.steps=1", "optimizer.learning_rate=0")
        self.assertEqual(self.adapter("still")["ip_adapter"], self.adapter("start")["ip_adapter"])
        self.assertNotEqual(self.adapter("still")["lora"], self.adapter("start")["lora"])
        self.assertNotEqual(self.adapter("joint")["ip_adapter"], self.adapter("start")["ip_adapter"])
        refused = self.work.run("train", "typo", *SHORT, "optimizer.part_learning_rates={ip: 0}", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("expected lora, ip_adapter or unet", refused.stderr)

    def test_all_weights_are_exported_as_a_folder_that_diffusers_loads(self):
        alone = ("training.stage=full", "adapter.lora.rank=0", "adapter.ip_adapter.kind=none", "optimizer.ema=0")
        self.work.run("train", "full", *SHORT, *alone)
        trained = UNet2DConditionModel.from_pretrained(self.work.folder("full") / "unet").state_dict()
        base = UNet2DConditionModel.from_pretrained(ROOT / "models/limewash-tiny/unet").state_dict()
        self.assertEqual(trained.keys(), base.keys())
        changed = [name for name in base if not torch.equal(trained[name], base[name])]
        self.assertGreater(len(changed), 0.95 * len(base))
        first, last = self.work.losses("full")[0], self.work.losses("full")[-1]
        self.assertNotEqual(first["loss"], last["loss"])
        # And it resumes as any run.
        self.work.run("train", "full-stopped", *SHORT, *alone, "training.stop_at=3", check=False)
        self.work.run("train", "full-stopped", *SHORT, *alone, flags=["--resume"])
        self.assertEqual(self.work.weights("full-stopped", 6), self.work.weights("full", 6))
        refused = self.work.run("train", "bf16", *SHORT, *alone, "run.precision=bf16", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("run.precision = bf16", refused.stderr)

    def test_all_weights_learn_beside_the_adapter(self):
        self.work.run("train", "full-adapter", *SHORT, "training.stage=full")
        self.assertEqual(sorted(self.adapter("full-adapter")), ["ip_adapter", "lora"])
        self.assertTrue((self.work.folder("full-adapter") / "unet" / "config.json").exists())

    def test_validation_losses_by_timestep(self):
        options = ("training.validation.every=3", "training.validation.photos=3", "training.validation.bins=5")
        self.work.run("train", "validated", *SHORT, *options)
        with open(self.work.folder("validated") / "validation_losses.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["step"] for row in rows], ["0", "3", "6"])
        names = ["t000_200", "t200_400", "t400_600", "t600_800", "t800_1000"]
        self.assertEqual(list(rows[0]), ["step", "loss", *names])
        for row in rows:
            self.assertAlmostEqual(float(row["loss"]), sum(float(row[name]) for name in names) / 5, places=12)
        in_summary = self.work.summary("validated")["validation_losses"]
        self.assertEqual([one["t000_200"] for one in in_summary], [float(row["t000_200"]) for row in rows])
        journal = [json.loads(line) for path in self.work.folder("validated").glob("journal-*.jsonl")
                   for line in path.read_text().splitlines()]
        self.assertIn("validation/loss_t800_1000", json.dumps(journal))
        # Measuring changes nothing, and the number of ranks neither.
        self.work.run("train", "not-validated", *SHORT)
        self.assertEqual(self.work.losses("validated"), self.work.losses("not-validated"))
        self.work.run("launch", "validated-by-two", *SHORT, *options, "launch.trainers=2")
        with open(self.work.folder("validated-by-two") / "validation_losses.csv", newline="") as file:
            for one, two in zip(rows, csv.DictReader(file), strict=True):
                for name in names:
                    self.assertAlmostEqual(float(one[name]), float(two[name]), delta=1e-4 * float(one[name]))

    def test_the_spike_guard_skips_the_same_steps_on_any_number_of_ranks(self):
        guard = ("run.threads=1", "evaluation.every=0", "optimizer.spike_guard.action=skip",
                 "optimizer.spike_guard.window=8", "optimizer.spike_guard.threshold=1.5")
        done = self.work.run("train", "guarded", *guard)
        spikes = self.work.summary("guarded")["loss_spikes"]
        self.assertGreater(spikes, 0)
        self.assertEqual(done.stderr.count("stands out from the median"), spikes)
        two = self.work.run("launch", "guarded-by-two", *guard, "launch.trainers=2")
        said = [line.split("]")[-1] for line in two.stderr.splitlines() if "stands out" in line]
        self.assertEqual(len(said), spikes, two.stderr)

    def test_the_recipes_are_configurations(self):
        recipes = sorted((ROOT / "configs").glob("*.yaml"))
        self.assertGreaterEqual(len(recipes), 5)
        for recipe in recipes:
            # Other people's weights are not here.
            ours = ["--set", "base.model=models/limewash-tiny", "--set", "base.image_encoder="]
            if "ip_adapter: ip-adapter" in recipe.read_text():
                ours += ["--set", f"base.ip_adapter={self.ip_adapter}"]
            printed = limewash("train", "--config", recipe, "--dry-run", *ours).stdout
            again = self.work.path / "again.yaml"
            again.write_text(printed)
            self.assertEqual(limewash("train", "--config", again, "--dry-run").stdout, printed, recipe.name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
