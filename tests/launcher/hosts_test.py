"""Ranks on more than one host, and what becomes of a run that loses one. The other host is this machine under another name."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import unittest

from program import Workspace, environment, limewash, processes_with
from ranks_test import EVALUATES, Launch, wait_until

HERE = socket.gethostname()
AGENT = pathlib.Path(__file__).with_name("other_host.sh")
on_another_host = unittest.skipUnless(subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode == 0,
                                      "another host name takes the right to unshare")


def allowed_cores(pid):
    return re.search(r"Cpus_allowed_list:\s*(\S+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace()
        cls.lost = cls.work.path / "lost"
        cls.lost.mkdir()
        cls.work.run("launch", "four", "run.threads=1", "launch.trainers=4", *EVALUATES)

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def setUp(self):
        for file in self.lost.iterdir():
            file.unlink()

    def environment(self, **extra):
        return environment(OMPI_MCA_plm_rsh_agent=str(AGENT), LOST=str(self.lost), **extra)

    def launch(self, name, *settings, **extra):
        return Launch(self.work, name, *settings, env=self.environment(**extra))

    def processes_elsewhere(self, program=None):
        """Those of this test that take this machine for another host."""
        own, found = os.readlink("/proc/self/ns/uts"), []
        for pid in processes_with(f"LOST={self.lost}"):
            try:
                elsewhere = os.readlink(f"/proc/{pid}/ns/uts") != own
                if elsewhere and program in (None, os.path.basename(os.readlink(f"/proc/{pid}/exe"))):
                    found.append(pid)
            except OSError:
                pass
        return found

    def check_nothing_is_left(self):
        wait_until(lambda: not self.processes_elsewhere(), 20, "end of what ran on the other host")

    def lose_the_other_host(self):
        (self.lost / "other").touch()
        for pid in self.processes_elsewhere():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def asked_in_vain(self):
        asked = self.lost / "other.asked"
        return len(asked.read_text().splitlines()) if asked.exists() else 0

    def relative_loss_difference(self, name, other):
        return max(abs(float(one["loss"]) - float(two["loss"])) / abs(float(two["loss"]))
                   for one, two in zip(self.work.losses(name), self.work.losses(other), strict=True))

    @on_another_host
    def test_ranks_on_two_hosts_equal_ranks_on_one(self):
        settings = ("launch.trainers=4", "launch.evaluators=1", f"launch.hosts=[other:3, {HERE}:2]", *EVALUATES)
        launch = self.launch("two-hosts", *settings, MLFLOW_EXPERIMENT_NAME="of-the-launching-host")
        wait_until(lambda: launch.losses() >= 3, 120, "second step")
        rank = self.processes_elsewhere("limewash")[0]
        self.assertIn(b"MLFLOW_EXPERIMENT_NAME=of-the-launching-host", pathlib.Path(f"/proc/{rank}/environ").read_bytes().split(b"\0"))
        for pid in processes_with(f"LOST={self.lost}"):
            with contextlib.suppress(OSError):
                self.assertNotIn(b"of-the-launching-host", pathlib.Path(f"/proc/{pid}/cmdline").read_bytes(), "everybody can read it")
        status, messages = launch.end()
        self.assertEqual(status, 0, messages)
        table = re.findall(r"^\s*\d\s+(trainer|evaluator)\s+(\S+)", messages, re.MULTILINE)
        self.assertEqual(table, [("trainer", HERE)] * 2 + [("trainer", "other")] * 2 + [("evaluator", "other")])
        self.assertEqual(self.work.weights("two-hosts", 20), self.work.weights("four", 20))
        self.check_nothing_is_left()

    @on_another_host
    def test_a_lost_host_leaves_fewer_trainers_until_it_is_back(self):
        launch = self.launch("lost", "launch.trainers=4", "launch.evaluators=1", f"launch.hosts=[{HERE}:3, other:2]",
                             "training.steps=60", "checkpoint.every=2")
        wait_until(lambda: launch.losses() >= 8, 120, "eighth step")
        self.lose_the_other_host()
        wait_until(lambda: (launch.folder / "logs/attempt-2").exists(), 90, "second attempt")
        steps = launch.losses()
        wait_until(lambda: launch.losses() >= steps + 4, 120, "steps of what is left")
        self.assertEqual(len(launch.ranks()), 3)
        (self.lost / "other").unlink()
        os.kill(launch.ranks()[0], signal.SIGKILL)
        wait_until(lambda: (launch.folder / "logs/attempt-3").exists(), 90, "third attempt")
        status, messages = launch.end(300)
        self.assertEqual(status, 0, messages)
        self.assertIn("other can't be reached: ssh: connect to host other port 22: No route to host", messages)
        self.assertIn(f"going on with 2 of 4 trainers and 1 of 1 evaluators on {HERE}:3", messages)
        self.assertEqual(messages.count("going on with"), 1)
        self.assertEqual(self.work.summary("lost")["trainers"], 4)
        self.work.run("launch", "straight", "run.threads=1", "launch.trainers=4", "training.steps=60")
        self.assertLess(self.relative_loss_difference("lost", "straight"), 1e-4)
        self.check_nothing_is_left()

    @on_another_host
    def test_the_last_place_is_a_trainers_who_then_evaluates(self):
        launch = self.launch("last-place", "launch.trainers=2", "launch.evaluators=1", f"launch.hosts=[{HERE}:1, other:2]",
                             "checkpoint.every=2", *EVALUATES)
        wait_until(lambda: launch.losses() >= 8, 120, "eighth step")
        self.lose_the_other_host()
        status, messages = launch.end(300)
        self.assertEqual(status, 0, messages)
        self.assertIn(f"going on with 1 of 2 trainers and 0 of 1 evaluators on {HERE}:1", messages)
        summary = self.work.summary("last-place")
        self.assertEqual((summary["trainers"], summary["status"]), (1, "finished"))
        self.assertEqual([summary["evaluations"][0]["step"], summary["evaluations"][-1]["step"]], [0, 20])
        self.assertFalse((launch.folder / "queue").exists())
        self.check_nothing_is_left()

    @on_another_host
    def test_a_run_that_wants_all_its_trainers_waits_for_the_host(self):
        launch = self.launch("waits", "launch.trainers=4", "launch.min_trainers=4", f"launch.hosts=[{HERE}, other]",
                             "launch.max_restarts=20", *EVALUATES)
        wait_until(lambda: launch.losses() >= 8, 120, "eighth step")
        self.lose_the_other_host()
        wait_until(lambda: self.asked_in_vain() >= 2, 90, "second look at the host")
        (self.lost / "other").unlink()
        status, messages = launch.end(300)
        self.assertEqual(status, 0, messages)
        self.assertIn("too little is left for launch.min_trainers = 4", messages)
        self.assertEqual(self.work.weights("waits", 20), self.work.weights("four", 20))
        self.check_nothing_is_left()

    @on_another_host
    def test_ranks_whose_daemon_dies_end_too(self):
        launch = self.launch("daemon", "launch.trainers=4", f"launch.hosts=[{HERE}:2, other:2]", *EVALUATES)
        wait_until(lambda: launch.losses() >= 8, 120, "eighth step")
        os.kill(self.processes_elsewhere("orted")[0], signal.SIGKILL)
        status, messages = launch.end(300)
        self.assertEqual(status, 0, messages)
        self.assertEqual(self.work.weights("daemon", 20), self.work.weights("four", 20))
        self.check_nothing_is_left()

    @on_another_host
    def test_a_stop_reaches_ranks_on_both_hosts(self):
        launch = self.launch("stopped", "launch.trainers=4", f"launch.hosts=[other:2, {HERE}:2]", "training.steps=4000")
        wait_until(lambda: launch.losses() >= 8, 120, "eighth step")
        begin = time.monotonic()
        launch.process.send_signal(signal.SIGTERM)
        status, messages = launch.end()
        self.assertEqual(status, 85, messages)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual(self.work.summary("stopped")["status"], "stopped")
        self.check_nothing_is_left()

    @on_another_host
    def test_a_host_that_was_never_there_is_no_loss(self):
        (self.lost / "other").touch()
        launch = self.launch("never", "launch.trainers=2", f"launch.hosts=[{HERE}:1, other:1]", "launch.max_restarts=1")
        status, messages = launch.end()
        self.assertEqual(status, 1, messages)
        self.assertIn("No route to host", messages)
        self.assertNotIn("going on with", messages)

    @on_another_host
    def test_the_doctor_asks_every_host(self):
        arguments = ("doctor", "--json", "--set", "launch.trainers=4", "--set", f"launch.hosts=[{HERE}:3, other:1]")
        for gone in (False, True):
            if gone:
                (self.lost / "other").touch()
            done = limewash(*arguments, check=False, env=self.environment())
            check = json.loads(done.stdout)["checks"]["hosts"]
            self.assertEqual(check["status"], "problem" if gone else "ok", check)
            self.assertEqual([(host["name"], host["ranks"]) for host in check["hosts"]], [(HERE, 3), ("other", 1)])
            self.assertEqual(check["hosts"][1]["problem"], "ssh: connect to host other port 22: No route to host" if gone else None)
            self.assertIsNone(check["hosts"][0]["problem"])

    def test_hosts_that_are_none(self):
        for hosts, expected in (("[a:2, a:2]", "'a' stands there twice"), ("[a:1]", "places for 1 ranks"), ("[a:]", "launch.hosts=[a:]"),
                                ("[a:x]", "'a:x'"), ("[:4]", "':4'"), ("[a:-1]", "'a:-1'")):
            refused = self.work.run("launch", "refused", "launch.trainers=2", f"launch.hosts={hosts}", check=False)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn(expected, refused.stderr)
        refused = self.work.run("launch", "refused", "launch.trainers=2", "launch.min_trainers=3", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("launch.min_trainers = 3", refused.stderr)

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "takes two cores")
    def test_ranks_can_have_cores_of_their_own(self):
        launch = Launch(self.work, "bound", "launch.trainers=2", "launch.binding=core", "training.steps=4000", "evaluation.every=0")
        wait_until(lambda: launch.losses() >= 3, 120, "second step")
        cores = [allowed_cores(rank) for rank in launch.ranks()]
        self.assertEqual(len(set(cores)), 2, cores)
        for core in cores:
            self.assertRegex(core, r"^\d+([,-]\d+)?$", "a core, of one thread or two")
        launch.process.send_signal(signal.SIGTERM)
        self.assertEqual(launch.end()[0], 85)
        refused = self.work.run("launch", "refused", "launch.trainers=2", "launch.binding=core", "run.threads=0", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("run.threads = 0", refused.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
