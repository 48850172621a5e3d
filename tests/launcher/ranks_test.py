"""Ranks of two roles: evaluators beside trainers, every way to stop them, and ranks that hang.

    ranks_test.py [--stops N]     each way to stop N times, at random moments; once unless told otherwise
"""

import argparse
import contextlib
import itertools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from program import LIMEWASH, ROOT, Workspace, environment
from training_test import descendants, trainer_ranks

STOPS = 1
DUE = list(range(0, 21, 4))
EVALUATES = ("evaluation.every=4",)
LONG = ("training.steps=4000", "checkpoint.every=0", "evaluation.every=5")


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {seconds} s")
        time.sleep(0.02)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def state_of(pid):
    """A line each for a process and its threads: what it is and what it waits for."""
    lines = []
    with contextlib.suppress(OSError):
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        lines.append(f"{pid} {command[:200]}\n")
        for thread in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir()):
            state = (thread / "stat").read_text().rsplit(")", 1)[1].split()[0]
            lines.append(f"  {thread.name} {state} {(thread / 'wchan').read_text()}\n")
    return "".join(lines)


def rank_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return int(re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", file.read()).group(1))


@contextlib.contextmanager
def small_disk(path, mebibytes):
    """A file system of that size at `path`."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "limewash-test", str(path)], check=True, capture_output=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def can_mount():
    try:
        with tempfile.TemporaryDirectory() as folder, small_disk(pathlib.Path(folder) / "disk", 1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def fill(path):
    """Until the file system that it is on has no byte left."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                pass


class Launch:
    """A launch that is under way."""

    def __init__(self, work, name, *settings, flags=(), folder=None, env=None):
        self.folder = folder or work.folder(name)
        self.process = subprocess.Popen([LIMEWASH, *work.arguments("launch", name, "run.threads=1", *settings, flags=flags)],
                                        env=env or environment(), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def ranks(self):
        """Process numbers, by rank."""
        return sorted(trainer_ranks(self.process.pid), key=rank_of)

    def mpirun(self):
        return next(pid for pid in descendants(self.process.pid)
                    if os.path.basename(os.readlink(f"/proc/{pid}/exe")) in ("mpirun", "orterun"))

    def losses(self):
        try:
            return (self.folder / "losses.csv").read_text().count("\n")
        except FileNotFoundError:
            return 0

    def end(self, seconds=120):
        """Exit status and messages; nothing of the launch is left."""
        family = descendants(self.process.pid)
        try:
            _, messages = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            processes = [self.process.pid, *descendants(self.process.pid)]
            states = "".join(map(state_of, processes))
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _, messages = self.process.communicate(timeout=10)
            raise AssertionError(f"no end within {seconds} s\n{states}{messages}") from None
        time.sleep(0.5)
        left = [pid for pid in family if os.path.exists(f"/proc/{pid}/exe") and "limewash" in os.readlink(f"/proc/{pid}/exe")]
        assert not left, f"left behind: {left}\n{messages}"
        return self.process.returncode, messages


class Ranks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace()
        cls.work.run("launch", "inline", "run.threads=1", "launch.trainers=2", *EVALUATES)

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def metrics(self, name, step):
        return json.loads((self.work.folder(name) / f"evaluations/step-{step:06d}/metrics.json").read_text())

    def check_like_inline(self, name):
        """The same weights, and the same figures wherever an evaluation was not passed over."""
        self.assertEqual(self.work.weights(name, 20), self.work.weights("inline", 20))
        self.assertEqual(self.work.losses(name), self.work.losses("inline"))
        steps = [evaluation["step"] for evaluation in self.work.summary(name)["evaluations"]]
        self.assertEqual(steps, sorted(set(steps)))
        self.assertLessEqual(set(steps), set(DUE))
        self.assertLessEqual({0, 20}, set(steps), "the first and the last are never skipped")
        for step in steps:
            self.assertEqual(self.metrics(name, step)["metrics"], self.metrics("inline", step)["metrics"], step)
            self.assertTrue((self.work.folder(name) / f"evaluations/step-{step:06d}/grid.png").exists())
        self.assertEqual(self.work.summary(name)["controls"], self.work.summary("inline")["controls"])
        self.assertEqual(self.work.summary(name)["best"]["step"], min(
            (evaluation for evaluation in self.work.summary(name)["evaluations"] if evaluation["step"] > 0),
            key=lambda evaluation: evaluation["delta_e_2000_exact"])["step"])
        best = self.work.summary(name)["best"]["step"]
        self.assertTrue((self.work.folder(name) / f"checkpoints/step-{best:06d}/DONE").exists(), "the best is kept")
        self.assertEqual(list((self.work.folder(name) / "queue").glob("step-*")), [])

    def test_evaluators_measure_what_trainers_would(self):
        for trainers, evaluators in ((2, 1), (2, 2)):
            name = f"beside-{trainers}-{evaluators}"
            done = self.work.run("launch", name, "run.threads=1", f"launch.trainers={trainers}",
                                 f"launch.evaluators={evaluators}", *EVALUATES)
            summary = self.work.summary(name)
            self.assertEqual((summary["trainers"], summary["evaluators"]), (trainers, evaluators))
            self.check_like_inline(name)
            table = [line.split() for line in done.stderr.splitlines() if re.match(r"\s*(rank|\d)\s+(role|trainer|evaluator)", line)]
            self.assertEqual([row[1] for row in table], ["role"] + ["trainer"] * trainers + ["evaluator"] * evaluators)
            logs = self.work.folder(name) / "logs"
            self.assertEqual(len([path for path in logs.rglob("stderr")]), trainers + evaluators)

    def test_one_trainer_and_an_evaluator(self):
        self.work.run("launch", "one-inline", "run.threads=1", *EVALUATES)
        self.work.run("launch", "one-beside", "run.threads=1", "launch.evaluators=1", *EVALUATES)
        self.assertEqual(self.work.weights("one-beside", 20), self.work.weights("one-inline", 20))
        self.assertEqual(self.metrics("one-beside", 20)["metrics"], self.metrics("one-inline", 20)["metrics"])

    def test_evaluators_without_work_are_refused(self):
        refused = self.work.run("launch", "idle", "launch.evaluators=1", "evaluation.every=0", check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("launch.evaluators = 1", refused.stderr)

    def test_an_idle_evaluator_sleeps(self):
        launch = Launch(self.work, "idle-evaluator", "launch.evaluators=1", "launch.trainers=1", "training.steps=4000",
                        "evaluation.every=100000", "checkpoint.every=0")
        first = launch.folder / "evaluations/step-000000/grid.png"
        wait_until(first.exists, 90, "first evaluation")
        time.sleep(2)
        evaluator = launch.ranks()[1]
        before = cpu_seconds(evaluator)
        time.sleep(4)
        self.assertLess(cpu_seconds(evaluator) - before, 0.4, "of 4 s")
        launch.process.send_signal(signal.SIGTERM)
        self.assertEqual(launch.end()[0], 85)

    def test_a_killed_rank_of_either_role_changes_nothing(self):
        for victim in (0, 2):
            name = f"killed-{victim}"
            launch = Launch(self.work, name, "launch.trainers=2", "launch.evaluators=1", *EVALUATES)
            wait_until(lambda: launch.losses() >= 8, 90, "eighth step")
            os.kill(launch.ranks()[victim], signal.SIGKILL)
            status, messages = launch.end()
            self.assertEqual(status, 0, messages)
            self.assertIn("starting again from the last checkpoint", messages)
            self.check_like_inline(name)

    def test_a_hung_rank_is_given_up(self):
        for victim in (1, 2):
            name = f"hung-{victim}"
            launch = Launch(self.work, name, "launch.trainers=2", "launch.evaluators=1", "launch.watchdog_minutes=0.2", *EVALUATES)
            wait_until(lambda: launch.losses() >= 8, 90, "eighth step")
            os.kill(launch.ranks()[victim], signal.SIGSTOP)
            status, messages = launch.end(200)
            self.assertEqual(status, 0, messages)
            self.assertIn("no rank has done anything for 12 s", messages)
            self.check_like_inline(name)

    def test_a_job_that_was_suspended_goes_on(self):
        launch = Launch(self.work, "suspended", "launch.trainers=2", "launch.evaluators=1", "launch.watchdog_minutes=0.1",
                        "launch.max_restarts=0", *EVALUATES)
        wait_until(lambda: launch.losses() >= 8, 90, "eighth step")
        job = [launch.process.pid, *descendants(launch.process.pid)]
        for pid in job:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(9)
        for pid in reversed(job):
            os.kill(pid, signal.SIGCONT)
        status, messages = launch.end()
        self.assertEqual(status, 0, messages)
        self.check_like_inline("suspended")

    def test_every_way_to_stop_leaves_a_checkpoint_and_exit_85(self):
        draws = random.Random(5)
        ways = {
            "SIGTERM to launch": lambda launch: launch.process.send_signal(signal.SIGTERM),
            "SIGINT to launch": lambda launch: launch.process.send_signal(signal.SIGINT),
            "SIGUSR1 to mpirun": lambda launch: os.kill(launch.mpirun(), signal.SIGUSR1),
            "SIGUSR2 to a trainer": lambda launch: os.kill(launch.ranks()[1], signal.SIGUSR2),
            "SIGUSR1 to the evaluator": lambda launch: os.kill(launch.ranks()[2], signal.SIGUSR1),
        }
        for attempt, (way, stop) in itertools.product(range(STOPS), ways.items()):
            with self.subTest(way=way, attempt=attempt):
                name = f"stopped-{way.replace(' ', '-')}-{attempt}"
                launch = Launch(self.work, name, "launch.trainers=2", "launch.evaluators=1", *LONG)
                wait_until(lambda: launch.losses() >= 3, 90, "second step")
                time.sleep(draws.uniform(0, 3))
                begin = time.monotonic()
                stop(launch)
                status, messages = launch.end()
                seconds = time.monotonic() - begin
                self.assertEqual(status, 85, messages)
                self.assertLess(seconds, 20)
                steps = launch.losses() - 1
                self.assertTrue((launch.folder / f"checkpoints/step-{steps:06d}/DONE").exists(), messages)
                self.assertEqual(self.work.summary(name)["status"], "stopped")
                print(f"{way}: exit {status} after {seconds:.1f} s, at step {steps}", flush=True)

    def test_a_trainer_that_waits_for_the_last_evaluation_hears_a_stop(self):
        """400 denoising steps take an evaluator far longer than 20 steps take the trainers."""
        launch = Launch(self.work, "waiting", "launch.trainers=2", "launch.evaluators=1", "evaluation.every=20", "evaluation.steps=400")
        wait_until((launch.folder / "checkpoints/step-000020/DONE").exists, 90, "last checkpoint")
        time.sleep(1)
        begin = time.monotonic()
        os.kill(launch.ranks()[1], signal.SIGUSR1)
        status, messages = launch.end()
        self.assertEqual(status, 85, messages)
        self.assertLess(time.monotonic() - begin, 20)
        self.work.run("launch", "waiting", "run.threads=1", "launch.trainers=2", "launch.evaluators=1", "evaluation.every=20",
                      "evaluation.steps=4", flags=["--resume"])
        self.assertEqual(self.work.weights("waiting", 20), self.work.weights("inline", 20))
        self.assertEqual(self.work.summary("waiting")["status"], "finished")

    def test_a_stop_before_the_ranks_are_ready_is_kept_for_them(self):
        launch = Launch(self.work, "early", "launch.trainers=2", "launch.evaluators=1", *EVALUATES)
        wait_until(launch.ranks, 30, "rank")
        launch.process.send_signal(signal.SIGTERM)
        status, messages = launch.end()
        self.assertEqual(status, 85, messages)
        self.assertEqual(self.work.summary("early")["status"], "stopped")
        self.work.run("launch", "early", "run.threads=1", "launch.trainers=2", "launch.evaluators=1", *EVALUATES, flags=["--resume"])
        self.check_like_inline("early")

    def test_an_evaluator_that_is_asked_alone_tells_trainers_that_encode(self):
        launch = Launch(self.work, "encoding", "launch.trainers=2", "launch.evaluators=1", "data.variants=64", *EVALUATES)
        wait_until(lambda: len(launch.ranks()) == 3 and (launch.folder / "queue").exists(), 90, "evaluator beside trainers")
        time.sleep(3)
        begin = time.monotonic()
        os.kill(launch.ranks()[2], signal.SIGUSR1)
        status, messages = launch.end()
        self.assertEqual(status, 85, messages)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertEqual(launch.losses(), 0)
        self.assertEqual(self.work.summary("encoding")["status"], "stopped")

    def test_a_time_limit_stops_like_a_signal(self):
        for command, settings in (("launch", ("launch.trainers=2", "launch.evaluators=1")), ("train", ())):
            name = f"limited-{command}"
            begin = time.monotonic()
            done = self.work.run(command, name, "run.threads=1", *settings, *LONG, "run.time_limit_minutes=0.3", check=False)
            self.assertEqual(done.returncode, 85, done.stderr)
            self.assertIn("the time limit of 0.3 min is reached", done.stderr)
            self.assertLess(time.monotonic() - begin, 18 + 20)
            steps = len(self.work.losses(name))
            self.assertGreater(steps, 0)
            self.assertTrue((self.work.folder(name) / f"checkpoints/step-{steps:06d}/DONE").exists())

    def test_two_launches_into_one_run(self):
        first = Launch(self.work, "taken", "launch.trainers=2", *LONG)
        wait_until(lambda: first.losses() >= 3, 90, "second step")
        for flags in ((), ("--resume",), ("--overwrite",)):
            second = self.work.run("launch", "taken", "launch.trainers=2", "launch.max_restarts=0", *LONG, flags=flags, check=False)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn("taken", second.stderr)
        self.assertIsNone(first.process.poll(), "the first goes on")
        first.process.send_signal(signal.SIGTERM)
        self.assertEqual(first.end()[0], 85)

    @unittest.skipUnless(can_mount(), "a file system of its own takes the right to mount one")
    def test_a_full_disk_ends_the_attempt_and_room_lets_it_go_on(self):
        for room_in_time in (True, False):
            name = f"full-{room_in_time}"
            with small_disk(self.work.path / name, 24) as disk:
                settings = (f"run.output={disk}", "launch.trainers=2", "launch.evaluators=1", "checkpoint.every=1", *EVALUATES)
                launch = Launch(self.work, name, *settings, f"launch.max_restarts={20 if room_in_time else 0}", folder=disk / name)
                wait_until(lambda: launch.losses() >= 8, 90, "eighth step")
                fill(disk / "filler")
                if room_in_time:
                    wait_until(lambda: (launch.folder / "logs/attempt-2").exists(), 90, "second attempt")
                    (disk / "filler").unlink()
                status, messages = launch.end(200)
                self.assertIn("No space left on device", messages)
                if not room_in_time:
                    self.assertEqual(status, 1, messages)
                    (disk / "filler").unlink()
                    status = self.work.run("launch", name, "run.threads=1", *settings, flags=["--resume"]).returncode
                self.assertEqual(status, 0, messages)
                shutil.copytree(launch.folder, self.work.folder(name))
            self.check_like_inline(name)

    def test_a_run_folder_that_vanishes_ends_the_run(self):
        for ranks in (1, 2):
            launch = Launch(self.work, f"vanished-{ranks}", f"launch.trainers={ranks}", "training.steps=4000", "checkpoint.every=5",
                            "evaluation.every=0")
            wait_until(lambda: launch.losses() >= 8, 90, "eighth step")
            elsewhere = launch.folder.with_name(f"elsewhere-{ranks}")
            launch.folder.rename(elsewhere)
            status, messages = launch.end()
            self.assertEqual(status, 1, messages)
            self.assertIn("vanished", messages)
            self.assertFalse(launch.folder.exists(), "it is not made anew")
            self.assertTrue((elsewhere / "checkpoints/step-000005/DONE").exists())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--stops", type=int, default=STOPS)
    options, rest = parser.parse_known_args()
    STOPS = options.stops
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
