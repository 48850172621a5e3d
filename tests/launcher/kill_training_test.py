"""kill -9 of a training at random moments, amid checkpoint writing too; what goes on from there ends with the straight
run's weights, bit for bit.

    kill_training_test.py [--kills N] [--seed N] [--one-rank]     6 kills unless told otherwise; a third or so amid the writing

On one rank and on two: of the whole job, which is then resumed, and of one rank under `launch`, which restarts the job
itself; --one-rank: only the latter, in as many launches as kills. EMA, accumulation, LoRA dropout, the spike guard and validation losses are on; every other case is a run of
three stages.
"""

import argparse
import itertools
import os
import random
import signal
import subprocess
import time

from program import LIMEWASH, ROOT, Workspace, environment
from training_test import descendants, trainer_ranks

STEPS = 30
SETTINGS = (
    "run.threads=1", f"training.steps={STEPS}", "evaluation.every=0", "checkpoint.every=1", "checkpoint.keep_last=2",
    "optimizer.ema=0.9", "adapter.lora.dropout=0.1", "training.global_batch=8", "training.micro_batch=2",
    "optimizer.spike_guard.action=skip", "optimizer.spike_guard.window=8", "optimizer.spike_guard.threshold=1.5",
    "training.validation.every=10", "training.validation.photos=2", "training.validation.bins=4",
    "launch.max_restarts=1000",
)
STAGES = ("training.stages=[{stage: ip_adapter, steps: 11, learning_rate: 1.0e-3}, "
          "{stage: lora, steps: 9, schedule: constant}, {stage: joint, steps: 10}]",)
BESIDE = ("launch.evaluators=1", "evaluation.every=10", "evaluation.photos=2")
CASES = ((1, ()), (2, STAGES), (2, BESIDE), (1, STAGES), (2, ()))  # trainers, further settings
NAMES = {(): "", STAGES: ", three stages", BESIDE: ", an evaluator"}


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill_all(job):
    """The whole job at once, and wait until none of it is left."""
    pids = [job.pid, *descendants(job.pid)]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    job.wait()
    while any(alive(pid) for pid in pids[1:]):
        time.sleep(0.01)


class KillTest:
    def __init__(self, kills, seed, one_rank):
        self.work = Workspace()
        self.one_rank = one_rank
        self.random = random.Random(seed)
        self.left = kills
        self.number = 0
        self.counts = {"whole job": 0, "one rank": 0, "amid the writing": 0, "before a first checkpoint": 0}

    def start(self, name, ranks, settings, resume):
        command = "train" if ranks == 1 else "launch"
        arguments = self.work.arguments(command, name, *SETTINGS, f"launch.trainers={ranks}", *settings,
                                        flags=["--resume"] if resume else [])
        log = open(self.work.path / f"{name}.log", "ab")
        return subprocess.Popen([LIMEWASH, *arguments], env=environment(), cwd=ROOT, stdout=log, stderr=log)

    def results(self, name):
        """All that has to be equal, as bytes."""
        folder = self.work.folder(name)
        files = ["losses.csv", "validation_losses.csv", "adapter/pytorch_lora_weights.safetensors",
                 "adapter/ip_adapter.safetensors", f"checkpoints/step-{STEPS:06d}/training_state.safetensors"]
        summary = self.work.summary(name)
        assert (summary["status"], summary["steps"]) == ("finished", STEPS), summary
        left = [path.name for path in (folder / "checkpoints").iterdir()]
        # What waited for its evaluation at the end is kept too.
        assert (len(left) >= 2 if (folder / "queue").exists() else len(left) == 2) and not any(".partial" in one for one in left), left
        return {file: (folder / file).read_bytes() for file in files} | {"spikes": summary["loss_spikes"]}

    def straight(self, name, ranks, settings):
        begin = time.monotonic()
        job = self.start(name, ranks, settings, resume=False)
        assert job.wait(timeout=900) == 0, (self.work.path / f"{name}.log").read_text()
        return self.results(name), time.monotonic() - begin

    def writing(self, name):
        """Whether a checkpoint is being written: a folder without DONE."""
        checkpoints = self.work.folder(name) / "checkpoints"
        try:
            return any(not (path / "DONE").exists() for path in checkpoints.iterdir())
        except OSError:
            return False

    def step_of(self, name):
        """The step of the newest checkpoint."""
        done = (self.work.folder(name) / "checkpoints").glob("step-*/DONE")
        return max((int(path.parent.name[5:]) for path in done), default=0)

    def wait_for_moment(self, job, name, seconds):
        """A random moment after a random step, or of the whole attempt; and then perhaps the next at which a checkpoint
        is half written. False: the run ended before."""
        if self.random.random() < 0.8:
            target = self.random.randint(min(self.step_of(name) + 1, STEPS - 1), STEPS - 1)
            while self.step_of(name) < target and job.poll() is None:
                time.sleep(0.002)
            seconds = 0.2
        end = time.monotonic() + self.random.uniform(0, seconds)
        while time.monotonic() < end and job.poll() is None:
            time.sleep(0.002)
        if self.random.random() < 0.5:
            for _ in range(20_000):
                if job.poll() is not None or self.writing(name):
                    break
                time.sleep(0.0001)
        return job.poll() is None

    def kill(self, job, name, ranks):
        """Returns whether the job goes on by itself."""
        pids = trainer_ranks(job.pid)
        while self.one_rank and len(pids) < ranks:  # between two attempts
            if job.poll() is not None:
                return True
            time.sleep(0.01)
            pids = trainer_ranks(job.pid)
        if not any((self.work.folder(name) / "checkpoints").glob("step-*/DONE")):
            self.counts["before a first checkpoint"] += 1
        one = ranks > 1 and len(pids) >= ranks and (self.one_rank or self.random.random() < 0.5)
        if one:
            os.kill(self.random.choice(pids), signal.SIGKILL)
            while len(set(trainer_ranks(job.pid)) & set(pids)) == len(pids):
                time.sleep(0.001)
        else:
            kill_all(job)
        self.counts["one rank" if one else "whole job"] += 1
        self.counts["amid the writing"] += self.writing(name)
        self.left -= 1
        return one

    def killed_run(self, ranks, settings, seconds, kills):
        """A run that is killed up to `kills` times, then left alone."""
        self.number += 1
        name = f"killed-{self.number}"
        job = self.start(name, ranks, settings, resume=True)
        for _ in range(kills):
            if self.left == 0 or not self.wait_for_moment(job, name, seconds):
                break
            if not self.kill(job, name, ranks):
                job = self.start(name, ranks, settings, resume=True)
        assert job.wait(timeout=900) == 0, (self.work.path / f"{name}.log").read_text()
        return name

    def run(self):
        expected, runs = {}, 0
        cases = [case for case in CASES if case[0] > 1] if self.one_rank else CASES
        for ranks, settings in itertools.cycle(cases):
            if self.left == 0:
                break
            key = (ranks, settings)
            if key not in expected:
                expected[key] = self.straight(f"straight-{len(expected)}", ranks, settings)
                print(f"straight run, {ranks} ranks{NAMES[settings]}: {expected[key][1]:.1f} s, "
                      f"{expected[key][0]['spikes']} updates skipped by the guard", flush=True)
            straight, seconds = expected[key]
            before = self.left
            assert runs < 20 + 2 * sum(self.counts.values()), "runs end before any of their ranks is found and killed"
            name = self.killed_run(ranks, settings, seconds, kills=1 if self.one_rank else 3)
            found = self.results(name)
            different = [file for file in straight if straight[file] != found[file]]
            assert not different, f"{name} ({ranks} ranks, {settings}) differs in {different}"
            runs += 1
            print(f"{name}: {ranks} ranks{NAMES[settings]}, killed {before - self.left} times, equal", flush=True)
        text = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        print(f"Trainings killed at random moments: {sum(list(self.counts.values())[:2])} kills in {runs} runs "
              f"({text}): weights, optimizer state and losses equal the straight run's bit for bit.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--one-rank", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    test = KillTest(options.kills, options.seed, options.one_rank)
    try:
        test.run()
    finally:
        test.work.close()


if __name__ == "__main__":
    main()
