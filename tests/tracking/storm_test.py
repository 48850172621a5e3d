"""A run that is killed and resumed, through a tracker that is killed, paused, started again, filled
up and refused at random: afterwards the tracker has each point exactly once with its value.

Usage: storm_test.py RECORDER_DRIVER [--seed N] [--seconds N]   (longer: more of everything)
"""

import argparse
import os
import random
import signal
import tempfile
import time
from pathlib import Path

from fault_proxy import FaultProxy
from mlflow_support import Driver, Server, journal_points

EXPERIMENT = "walls & paint"


class Storm:
    def __init__(self, driver, seed, folder):
        self.driver_program = driver
        self.random = random.Random(seed)
        self.folder = folder
        self.server = Server(folder)
        self.server.start()
        self.proxy = FaultProxy(self.server.uri, seed + 1)
        self.counts = dict.fromkeys(
            ("points", "run killed", "sync killed", "server killed", "server paused", "server filled"), 0)

    def start_run(self):
        # A hanging server is given up soon, so that a short test sees many tries.
        return Driver(self.driver_program, self.proxy.uri, "record", self.folder / "run", "storm",
                      MLFLOW_HTTP_REQUEST_TIMEOUT="3")

    def record(self, driver, begin):
        end = begin + self.random.randint(1, 400)
        driver.do("steps", begin, end)
        if self.random.random() < 0.2:
            driver.do("image", "grid", f"grid{end}.png", end)
            self.images.add(end)
        if self.random.random() < 0.3:
            driver.do("param", f"p{end}", str(end))
            self.params[f"p{end}"] = str(end)
        return end

    def trouble(self):
        """One fault of the server, with the run recording all the while."""
        if not self.deck:
            self.deck = ["kill", "pause", "fill", "refuse", "calm"]
            self.random.shuffle(self.deck)
        kind = self.deck.pop()
        if kind == "kill":
            self.server.kill()
            self.counts["server killed"] += 1
            return self.server.start
        if kind == "pause":
            self.server.pause()
            self.counts["server paused"] += 1
            return self.server.go_on
        if kind == "fill":
            database = self.folder / "mlflow.db"
            self.server.limit_files(max(4096, database.stat().st_size - 4096))
            self.counts["server filled"] += 1
            return lambda: self.server.limit_files(None)
        self.proxy.share = 0.5 if kind == "refuse" else 0

        def calm_down():
            self.proxy.share = 0
        return calm_down

    def run(self, seconds):
        self.images, self.params, self.deck = set(), {}, []
        deadline = time.monotonic() + seconds
        driver, step, saved = self.start_run(), 0, 0
        troubles = 0
        # Every kind at least once.
        while time.monotonic() < deadline or troubles < 5:
            troubles += 1
            repair = self.trouble()
            until = time.monotonic() + self.random.uniform(0.5, 5)
            while time.monotonic() < until:
                step = self.record(driver, step)
                if self.random.random() < 0.3:
                    driver.do("flush")
                    saved = step
                if self.random.random() < 0.15:
                    # Killed, and back to the last checkpoint.
                    driver.process.send_signal(signal.SIGKILL)
                    driver.kill()
                    self.counts["run killed"] += 1
                    driver, step = self.start_run(), saved
                time.sleep(self.random.uniform(0, 0.3))
            repair()
        self.steps = step
        if self.random.random() < 0.5:
            driver.do("close", "finished", 0.5)
            driver.end()
        else:
            driver.kill()
            self.counts["run killed"] += 1
        self.sync()

    def sync(self):
        """As a user would, also when `runs sync` itself is killed."""
        self.proxy.share = 0.3
        sync = lambda: Driver(self.driver_program, self.proxy.uri, "sync", self.folder / "run")
        for _ in range(3):
            killed = sync()
            enough = self.proxy.requests + self.random.randint(1, 8)
            while self.proxy.requests < enough and killed.process.poll() is None:
                time.sleep(0.01)
            self.counts["sync killed"] += killed.process.poll() is None
            killed.kill()
        self.proxy.share = 0
        last = sync()
        assert last.end() == 0, last.output

    def check(self):
        from mlflow import MlflowClient
        client = MlflowClient(self.server.uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        runs = client.search_runs([experiment.experiment_id])
        assert len(runs) == 1, [run.info.run_id for run in runs]
        run = runs[0]
        recorded = journal_points(self.folder / "run")
        assert len(recorded) == len(set(recorded)), "a point was journalled twice"
        stored = {}
        for key in {key for key, _ in recorded}:
            history = client.get_metric_history(run.info.run_id, key)
            stored[key] = {point.step: point.value for point in history}
            assert len(stored[key]) == len(history), f"{key}: a step is there twice"
            assert set(stored[key]) == {s for k, s in recorded if k == key}, key
        # Every step up to the last one: nothing was lost by kills and rollbacks.
        for key, value in (("train/loss", lambda s: 1 / (s + 1)),
                           ("train/learning rate", lambda s: 1e-4 * s)):
            assert set(range(self.steps)) <= set(stored[key]), key
            for step, number in stored[key].items():
                assert number == value(step), (key, step, number)
        assert run.data.params == self.params, set(run.data.params) ^ set(self.params)
        files = [f.path for f in client.list_artifacts(run.info.run_id, "images")]
        shown = {int(name.split("+step+")[1].split("+")[0]) for name in files}
        assert shown == self.images, shown ^ self.images
        assert len(files) == 2 * len(self.images), files
        self.counts["points"] = len(recorded)

    def end(self):
        self.server.kill()
        self.proxy.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=25)
    arguments = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(arguments.driver, arguments.seed, Path(folder))
        try:
            storm.run(arguments.seconds)
            storm.check()
        finally:
            storm.end()
    counts = ", ".join(f"{name} {count}" for name, count in storm.counts.items())
    print(f"tracker storm, seed {arguments.seed}: {counts}, requests refused {storm.proxy.faults}; "
          "each point once with its value")


if __name__ == "__main__":
    main()
