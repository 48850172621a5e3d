"""A training with every term of the objective on: its log, its ranks, and going on from a checkpoint."""

import json
import unittest

from program import Workspace, tensors

TERMS = ["noise", "color", "multi_scale", "lpips", "adversarial_wall", "adversarial_paint"]
ALL = (
    "run.threads=1",
    "training.steps=12",
    "evaluation.every=0",
    "checkpoint.every=4",
    "loss.noise.kind=huber",
    "loss.noise.min_snr_gamma=5",
    "loss.noise.offset_noise=0.05",
    "loss.color.path=crop",
    "loss.color.timestep_weight=alpha_bar",
    "loss.perceptual.multi_scale.weight=0.1",
    "loss.perceptual.lpips.weight=0.1",
    "loss.perceptual.lpips.timestep_high=600",
    "loss.adversarial.wall=0.02",
    "loss.adversarial.paint=0.02",
    "loss.adversarial.channels=8",
    "loss.adversarial.start_step=2",
    "loss.adversarial.warm_up_steps=3",
    "loss.crop=6",
    "loss.gradient_share_every=4",
    "optimizer.learning_rate=1.0e-4",
)


def random_lpips(path):
    """LPIPS weights with a random trunk, which needs no download."""
    import lpips
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(3)
    network = lpips.LPIPS(net="alex", pretrained=True, pnet_rand=True, verbose=False)
    found = {}
    for part in network.net.children():
        for number, layer in part.named_children():
            if isinstance(layer, torch.nn.Conv2d):
                found[f"features.{number}.weight"] = layer.weight.detach()
                found[f"features.{number}.bias"] = layer.bias.detach()
    for number, head in enumerate(network.lins):
        found[f"lin{number}.model.1.weight"] = head.model[1].weight.detach()
    save_file(found, path)


class Objectives(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace(rooms=8)
        random_lpips(cls.work.path / "alex.safetensors")
        cls.settings = (*ALL, f"loss.perceptual.lpips.weights={cls.work.path}/alex.safetensors")
        cls.work.run("train", "straight", *cls.settings)

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def test_each_term_has_its_column_and_its_share(self):
        rows = self.work.losses("straight")
        discriminators = ["discriminator_wall", "discriminator_paint"]
        expected = ["step", "loss", *TERMS, *discriminators, *(f"{term}_share" for term in TERMS)]
        self.assertEqual(list(rows[0]), [*expected, "learning_rate", "gradient_norm"])
        weights = {"color": 0.1, "multi_scale": 0.1, "lpips": 0.1, "adversarial_wall": 0.02, "adversarial_paint": 0.02}
        for number, row in enumerate(rows):
            total = sum(weights.get(term, 1.0) * float(row[term]) for term in TERMS)
            self.assertAlmostEqual(float(row["loss"]), total, delta=1e-5 * max(1, abs(total)))
            shares = [row[f"{term}_share"] for term in TERMS]
            if number % 4 == 0:
                self.assertAlmostEqual(sum(map(float, shares)), 1, places=5)
            else:
                self.assertEqual(set(shares), {""})
        for name, first in (("discriminator_wall", 2), ("adversarial_wall", 5), ("adversarial_paint", 5)):
            counted = [float(row[name]) != 0 for row in rows]
            self.assertEqual(counted, [number >= first for number in range(12)], name)

    def test_the_journal_has_value_weighted_value_and_share(self):
        names = set()
        for journal in self.work.folder("straight").glob("journal-*.jsonl"):
            text = journal.read_text()
            names |= {name for term in TERMS for name in (f"loss/{term}", f"loss/{term}/weighted", f"loss/{term}/share") if f'"{name}"' in text}
        self.assertEqual(len(names), 3 * len(TERMS), sorted(names))

    def test_two_ranks_follow_the_trajectory_of_one(self):
        self.work.run("launch", "two", *self.settings, "launch.trainers=2")
        for one, two in zip(self.work.losses("straight"), self.work.losses("two"), strict=True):
            for column in ("loss", *TERMS, "discriminator_wall", "discriminator_paint", "gradient_norm"):
                first, second = float(one[column]), float(two[column])
                self.assertLessEqual(abs(first - second), 1e-4 * max(abs(first), 1e-2), f"step {one['step']}, {column}")

    def test_a_stopped_run_resumed_equals_the_straight_one(self):
        stopped = self.work.run("train", "stopped", *self.settings, "training.stop_at=8", check=False)
        self.assertEqual(stopped.returncode, 85, stopped.stderr)
        self.work.run("train", "stopped", *self.settings, flags=["--resume"])
        self.assertEqual(self.work.weights("stopped", 12), self.work.weights("straight", 12))
        self.assertEqual(self.work.losses("stopped"), self.work.losses("straight"))

    def test_measuring_shares_changes_no_weight(self):
        self.work.run("train", "unmeasured", *self.settings, "loss.gradient_share_every=0")
        self.assertEqual(self.work.weights("unmeasured", 12), self.work.weights("straight", 12))
        self.assertNotIn("noise_share", self.work.losses("unmeasured")[0])

    def test_discriminators_are_in_the_checkpoint_and_not_in_the_adapter(self):
        state = tensors(self.work.folder("straight") / "checkpoints/step-000012/training_state.safetensors")
        self.assertIn("extra.discriminators.values", state)
        for file in (self.work.folder("straight") / "adapter").glob("*.safetensors"):
            self.assertFalse([name for name in tensors(file) if "discriminator" in name], file)

    def test_other_loss_weights_are_another_run(self):
        settings = [setting for setting in self.settings if not setting.startswith("loss.adversarial.paint")]
        refused = self.work.run("train", "straight", *settings, flags=["--resume"], check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("paint", refused.stderr)

    def test_a_target_without_the_colour_asked_for_is_warned_of(self):
        def warns(name, *settings):
            run = self.work.run("train", name, "training.steps=1", "evaluation.every=0", *settings)
            return "teaches the network to ignore it" in run.stderr

        original = "reference.target=original"
        self.assertTrue(warns("contradiction", original))
        self.assertTrue(warns("now-and-then", original, "reference.strategy=hybrid"))
        self.assertFalse(warns("own", original, "reference.strategy=median"))
        self.assertFalse(warns("pulled", original, "loss.color.anchor=reference"))
        self.assertFalse(warns("recolored"))

    def test_zero_terminal_snr_needs_a_v_prediction(self):
        settings = ("training.steps=1", "base.zero_terminal_snr=on", "base.prediction_type=epsilon")
        refused = self.work.run("train", "epsilon", *settings, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("base.zero_terminal_snr", refused.stderr)

    def test_a_run_with_zero_terminal_snr_is_trained_and_evaluated(self):
        settings = ("training.steps=2", "evaluation.every=2", "base.zero_terminal_snr=on", "base.timestep_spacing=trailing")
        self.work.run("train", "zero", *settings, "run.threads=1")
        self.assertEqual([e["step"] for e in self.work.summary("zero")["evaluations"]], [0, 2])
        file = self.work.folder("zero") / "adapter/pytorch_lora_weights.safetensors"
        header = json.loads(file.read_bytes()[8 : 8 + int.from_bytes(file.read_bytes()[:8], "little")])
        self.assertEqual(header["__metadata__"]["limewash.zero_terminal_snr"], "on")
        # The same paintings: evaluate follows what the file says.
        again = self.work.path / "evaluated"
        self.work.run("evaluate", "zero", *settings, flags=["--adapter", file.parent, "--out", again])
        plain = [part for part in settings if not part.startswith("base.")]
        follows = self.work.path / "follows"
        self.work.run("evaluate", "zero", *plain, flags=["--adapter", file.parent, "--out", follows])
        metrics = [json.loads((folder / "metrics.json").read_text())["metrics"]["delta_e_2000"] for folder in (again, follows)]
        self.assertEqual(metrics[0], metrics[1])
        other = self.work.path / "other"
        wrong = self.work.run("evaluate", "zero", *plain, "base.zero_terminal_snr=off", flags=["--adapter", file.parent, "--out", other])
        self.assertIn("base.zero_terminal_snr", wrong.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
