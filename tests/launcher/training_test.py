"""One rank equals two; a stopped and a killed run, resumed, equal the straight one bit for bit."""

import os
import signal
import subprocess
import time
import unittest

from program import LIMEWASH, ROOT, Workspace, environment, limewash


def descendants(pid):
    """All processes below `pid`."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found += [int(entry), *descendants(int(entry))]
    return found


def trainer_ranks(launch_pid):
    """The ranks of a launch that run `limewash train`."""
    program = os.path.basename(os.fsencode(LIMEWASH))
    ranks = []
    for pid in descendants(launch_pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if os.path.basename(words[0]) == program and b"train" in words:
            ranks.append(pid)
    return ranks


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace()
        cls.work.run("launch", "straight", "run.threads=1")

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def test_each_step_stands_once_in_the_losses(self):
        steps = [int(row["step"]) for row in self.work.losses("straight")]
        self.assertEqual(steps, list(range(1, 21)))

    def test_the_summary_says_what_the_run_came_to(self):
        summary = self.work.summary("straight")
        self.assertEqual(summary["status"], "finished")
        self.assertEqual((summary["steps"], summary["samples"], summary["trainers"]), (20, 160, 1))
        self.assertEqual([e["step"] for e in summary["evaluations"]], [0, 10, 20])
        for name in ("delta_e_2000", "delta_e_76", "delta_e_2000_exact", "shading_fidelity", "lightness_difference"):
            self.assertIsInstance(summary["evaluations"][-1][name], float, name)
        for control in ("shuffled_reference", "recolored_without_network", "floor"):
            self.assertIsInstance(summary["controls"][control]["delta_e_2000"], float, control)
        self.assertAlmostEqual(summary["final_loss"], float(self.work.losses("straight")[-1]["loss"]))
        self.assertTrue((self.work.folder("straight") / summary["checkpoint"] / "DONE").exists())

    def test_two_and_four_ranks_follow_the_trajectory_of_one(self):
        for ranks in (2, 4):
            name = f"ranks-{ranks}"
            self.work.run("launch", name, "run.threads=1", f"launch.trainers={ranks}")
            self.assertEqual(self.work.summary(name)["trainers"], ranks)
            largest = 0
            for one, several in zip(self.work.losses("straight"), self.work.losses(name), strict=True):
                first, second = float(one["loss"]), float(several["loss"])
                self.assertLessEqual(abs(first - second), 1e-4 * abs(first), f"step {one['step']}")
                largest = max(largest, abs(first - second) / abs(first))
            print(f"{ranks} ranks: losses within {largest:.1e} of one rank's")
            ours = self.work.summary(name)["evaluations"][-1]["delta_e_2000"]
            self.assertAlmostEqual(ours, self.work.summary("straight")["evaluations"][-1]["delta_e_2000"], delta=0.05)

    def test_a_stopped_run_resumed_equals_the_straight_one(self):
        stopped = self.work.run("launch", "stopped", "run.threads=1", "training.stop_at=10", check=False)
        self.assertEqual(stopped.returncode, 85, stopped.stderr)
        self.assertEqual(self.work.summary("stopped")["status"], "stopped")
        refused = self.work.run("launch", "stopped", "run.threads=1", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--resume", refused.stderr)
        self.assertIn("--overwrite", refused.stderr)
        self.work.run("launch", "stopped", "run.threads=1", flags=["--resume"])
        self.assertEqual(self.work.weights("stopped", 20), self.work.weights("straight", 20))
        self.assertEqual(self.work.losses("stopped"), self.work.losses("straight"))

    def test_a_run_killed_at_any_moment_ends_with_the_same_weights(self):
        """kill -9 of one rank of two; launch restarts both from the last checkpoint."""
        self.work.run("launch", "whole", "run.threads=1", "launch.trainers=2")
        arguments = self.work.arguments("launch", "killed", "run.threads=1", "launch.trainers=2")
        launch = subprocess.Popen([LIMEWASH, *arguments], env=environment(), cwd=ROOT,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        marker = self.work.folder("killed") / "checkpoints" / "step-000005" / "DONE"
        while not marker.exists():
            self.assertLess(time.monotonic(), deadline, "no checkpoint to kill after")
            self.assertIsNone(launch.poll(), "the run ended before it could be killed")
            time.sleep(0.01)
        ranks = trainer_ranks(launch.pid)
        self.assertEqual(len(ranks), 2)
        os.kill(ranks[1], signal.SIGKILL)
        _, messages = launch.communicate(timeout=300)
        self.assertEqual(launch.returncode, 0, messages)
        self.assertIn("starting again from the last checkpoint", messages)
        self.assertEqual(self.work.weights("killed", 20), self.work.weights("whole", 20))
        self.assertEqual(self.work.losses("killed"), self.work.losses("whole"))

    def test_a_signal_to_launch_leaves_a_checkpoint_and_exit_85(self):
        arguments = self.work.arguments("launch", "signalled", "run.threads=1", "launch.trainers=2",
                                        "training.steps=4000", "checkpoint.every=0", "evaluation.every=0")
        launch = subprocess.Popen([LIMEWASH, *arguments], env=environment(), cwd=ROOT,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        log = self.work.folder("signalled") / "config.yaml"
        deadline = time.monotonic() + 60
        while not log.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(8)
        self.assertIsNone(launch.poll())
        launch.send_signal(signal.SIGTERM)
        _, messages = launch.communicate(timeout=60)
        self.assertEqual(launch.returncode, 85, messages)
        checkpoints = self.work.folder("signalled") / "checkpoints"
        self.assertEqual(len(list(checkpoints.glob("step-*/DONE"))), 1, messages)

    def test_another_configuration_is_refused_on_resume(self):
        changed = self.work.run("launch", "straight", "run.threads=1", "optimizer.learning_rate=5.0e-4",
                                flags=["--resume"], check=False)
        self.assertEqual(changed.returncode, 2)
        self.assertIn("learning_rate", changed.stderr)

    def test_a_single_process_is_a_complete_training(self):
        self.work.run("train", "alone", "run.threads=1")
        self.assertEqual(self.work.weights("alone", 20), self.work.weights("straight", 20))

    def test_gradient_checkpointing_changes_no_bit_even_when_a_resume_turns_it_off(self):
        on = "training.gradient_checkpointing=true"
        self.work.run("train", "repeated", "run.threads=1", "evaluation.every=0", on, "training.stop_at=10", check=False)
        self.assertEqual(len(self.work.losses("repeated")), 10)
        self.work.run("train", "repeated", "run.threads=1", "evaluation.every=0", flags=["--resume"])
        self.assertEqual(self.work.weights("repeated", 20), self.work.weights("straight", 20))
        self.assertEqual(self.work.losses("repeated"), self.work.losses("straight"))

    def test_bf16_stays_near_fp32_and_is_no_resume_of_it(self):
        self.work.run("train", "bf16", "run.threads=1", "run.precision=bf16", "evaluation.every=0")
        rows = list(zip(self.work.losses("straight"), self.work.losses("bf16"), strict=True))
        for exact, rounded in rows:
            first, second = float(exact["loss"]), float(rounded["loss"])
            self.assertLessEqual(abs(first - second), 0.05 * abs(first), f"step {exact['step']}")
        self.assertTrue(any(exact["loss"] != rounded["loss"] for exact, rounded in rows))
        refused = self.work.run("train", "bf16", "run.threads=1", "evaluation.every=0", flags=["--resume"], check=False)
        self.assertEqual(refused.returncode, 2, refused.stderr)

    def test_overwrite_starts_anew(self):
        self.work.run("train", "again", "run.threads=1", "training.steps=2", "evaluation.every=0")
        self.work.run("train", "again", "run.threads=1", "training.steps=3", "evaluation.every=0", flags=["--overwrite"])
        self.assertEqual(len(self.work.losses("again")), 3)

    def test_the_exported_adapter_runs_in_the_unet(self):
        adapter = self.work.folder("straight") / "adapter"
        self.assertTrue((adapter / "pytorch_lora_weights.safetensors").exists())
        self.assertTrue((adapter / "ip_adapter.safetensors").exists())

    def test_runs_show_prints_the_table(self):
        text = limewash("runs", "show", self.work.folder("straight")).stdout
        for words in ("step 0, the base alone", "control: shuffled reference", "floor: the VAE alone"):
            self.assertIn(words, text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
