"""A real `mlflow server`, killed in the middle and started again, holds what the recorder recorded.

Usage: mlflow_server_test.py RECORDER_DRIVER
"""

import json
import math
import os
import re
import sys
import tempfile
import time
import unittest
from pathlib import Path

from mlflow_support import Driver, Server, journal_points

DRIVER = sys.argv.pop()
EXPERIMENT = "walls & paint"


class MlflowServerTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)
        self.server = Server(self.root)
        self.addCleanup(self.server.kill)
        self.drivers = []
        self.addCleanup(lambda: [driver.kill() for driver in self.drivers])

    def driver(self, *arguments):
        self.drivers.append(Driver(DRIVER, self.server.uri, *arguments))
        return self.drivers[-1]

    def until(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, "waited in vain")
            time.sleep(0.2)

    def only_run(self, name):
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        runs = self.client.search_runs([experiment.experiment_id],
                                       f"attributes.run_name = '{name}'")
        self.assertEqual(len(runs), 1)
        return runs[0]

    def check_series(self, run_id, key, steps, value):
        history = self.client.get_metric_history(run_id, key)
        self.assertEqual(sorted(point.step for point in history), list(steps))
        for point in history:
            self.assertEqual(point.value, value(point.step), (key, point.step))

    def test_every_entry_arrives_exactly_once_through_kills_and_outages(self):
        self.server.start()
        os.environ.update(MLFLOW_TRACKING_URI=self.server.uri, MLFLOW_DISABLE_TELEMETRY="true")
        from mlflow import MlflowClient
        self.client = MlflowClient(self.server.uri)
        # An experiment that someone deleted takes new runs again.
        self.client.delete_experiment(self.client.create_experiment(EXPERIMENT))

        folder = self.root / "demo"
        folder.mkdir()
        artifact = os.urandom(3_000_000)
        (folder / "grid.bin").write_bytes(artifact)
        (folder / "late.txt").write_text("late")

        # The tracker is up, then killed; the run is killed while it is down.
        driver = self.driver("record", folder, "demo")
        for number in range(230):
            driver.do("param", f"section.key_{number}", f"value{number}")
        driver.do("long_param", "long", 7000)
        driver.do("tag", "sweep", "first")
        driver.do("tag", "empty", "")
        driver.do("param", "empty", "")
        driver.do("dataset", "training", "rooms", "0123456789abcdef", "shards/train")
        driver.do("steps", 0, 1500)
        driver.do("artifact", "grid.bin", "grids/deep")
        driver.do("image", "grids/validation", "grid.png", 100)
        tracker = folder / "tracker.json"
        self.until(lambda: tracker.exists() and json.loads(tracker.read_text())["files"])
        first_run = self.only_run("demo")
        self.assertEqual(first_run.info.status, "RUNNING")
        self.server.kill()
        driver.do("steps", 1500, 3000)
        driver.do("image", "grids/validation", "grid.png", 200)
        driver.kill()

        # A tracker that was never there: the run ends soon, and its journal is complete.
        offline_folder = self.root / "offline"
        begin = time.monotonic()
        driver = self.driver("record", offline_folder, "offline")
        driver.do("param", "lr", "1e-4")
        driver.do("steps", 0, 2000)
        driver.do("close", "killed", 30)
        self.assertEqual(driver.end(), 0)
        self.assertLess(time.monotonic() - begin, 10)
        output = "\n".join(driver.output)
        self.assertIn("limewash runs sync offline", output)
        self.assertEqual(output.count("training goes on"), 1, output)
        self.assertEqual(len(journal_points(offline_folder)), 4002)
        # The first run goes on from step 2500 while the tracker is still down.
        driver = self.driver("record", folder, "demo")
        driver.do("param", "section.key_0", "changed")
        driver.do("steps", 2500, 3500)
        driver.do("image", "grids/validation", "grid.png", 200)
        driver.do("artifact", "late.txt", "")
        self.server.start()
        driver.do("steps", 3500, 4000)
        self.until(lambda: any("this run is at" in line for line in driver.output)
                   or driver.do("tag", "poll", time.time()))
        driver.do("close", "finished", 60)
        self.assertEqual(driver.end(), 0, driver.output)
        self.assertNotIn("runs sync", "\n".join(driver.output))

        points = journal_points(folder)
        self.assertEqual(len(points), len(set(points)))

        run = self.only_run("demo")
        self.assertEqual(run.info.run_id, first_run.info.run_id)
        self.assertEqual(run.info.status, "FINISHED")
        self.assertGreater(run.info.end_time, run.info.start_time)
        self.check_series(run.info.run_id, "train/loss", range(4000), lambda step: 1.0 / (step + 1))
        self.check_series(run.info.run_id, "train/learning rate", range(4000), lambda s: 1e-4 * s)
        for key, test in (("odd/nan", math.isnan), ("odd/infinity", lambda v: v > 1e308)):
            history = self.client.get_metric_history(run.info.run_id, key)
            self.assertEqual(sorted(p.step for p in history), [0, 1500, 2500, 3500])
            self.assertTrue(all(test(p.value) for p in history))

        self.assertEqual(len(run.data.params), 232)
        for number in range(230):
            self.assertEqual(run.data.params[f"section.key_{number}"], f"value{number}")
        self.assertIn("7000 bytes, whole in long_values", run.data.params["long"])
        self.assertEqual(run.data.params["empty"], "")
        tags = run.data.tags
        self.assertEqual(tags["param_changed.section.key_0"], "changed")
        self.assertEqual(tags["sweep"], "first")
        self.assertEqual(tags["mlflow.loggedImages"], "True")
        self.assertEqual(tags["mlflow.runName"], "demo")
        self.assertEqual(tags["mlflow.source.type"], "LOCAL")
        self.assertEqual(tags["limewash.attempts"], "2")
        self.assertRegex(tags["limewash.client_run_key"], "^[0-9a-f]{32}$")
        self.assertIn("limewash.version", tags)
        self.assertIn("mlflow.user", tags)
        self.assertEqual(tags["mlflow.note.content"], "**warm** colours")

        datasets = run.inputs.dataset_inputs
        self.assertEqual(len(datasets), 1)
        self.assertEqual(datasets[0].dataset.name, "rooms")
        self.assertEqual(datasets[0].dataset.digest, "0123456789abcdef")
        self.assertEqual(json.loads(datasets[0].dataset.source), {"uri": "shards/train"})
        self.assertEqual([(t.key, t.value) for t in datasets[0].tags],
                         [("mlflow.data.context", "training")])

        downloads = self.root / "downloads"
        downloads.mkdir()
        download = lambda path: Path(
            self.client.download_artifacts(run.info.run_id, path, str(downloads))).read_bytes()
        self.assertEqual(download("grids/deep/grid.bin"), artifact)
        self.assertEqual(download("late.txt"), b"late")
        self.assertEqual(download("long_values/params/long.txt"), b"x" * 7000)
        names = sorted(info.path for info in self.client.list_artifacts(run.info.run_id, "images"))
        self.assertEqual(len(names), 4)
        shape = re.compile(r"^images/grids~validation\+step\+(\d+)\+timestamp\+\d{13}\+"
                           r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\+compressed)?\.png$")
        matches = [shape.match(name) for name in names]
        self.assertTrue(all(matches), names)
        self.assertEqual(sorted((int(m[1]), bool(m[3])) for m in matches),
                         [(100, False), (100, True), (200, False), (200, True)])
        for name, match in zip(names, matches):
            png = download(name)
            width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
            self.assertEqual((width, height), (256, 80) if match[3] else (640, 200))

        # What was recorded without a tracker is shipped by one call.
        driver = self.driver("sync", offline_folder)
        self.assertEqual(driver.end(), 0, driver.output)
        run = self.only_run("offline")
        self.check_series(run.info.run_id, "train/loss", range(2000), lambda step: 1.0 / (step + 1))
        self.assertEqual(run.info.status, "KILLED")
        self.assertEqual(run.data.params, {"lr": "1e-4"})
        driver = self.driver("sync", offline_folder)
        self.assertEqual(driver.end(), 0, driver.output)
        self.assertIn("0", driver.output)

    def test_a_child_stands_under_its_parent_and_the_machine_is_watched(self):
        self.server.start()
        from mlflow import MlflowClient
        self.client = MlflowClient(self.server.uri)
        parent_folder, folder = self.root / "sweep", self.root / "child"
        parent = self.driver("record", parent_folder, "sweep")
        parent.do("steps", 0, 2)
        child = Driver(DRIVER, self.server.uri, "record", folder, "child", parent_folder,
                       MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING="true",
                       MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL="0.2")
        self.drivers.append(child)
        child.do("steps", 0, 2)
        time.sleep(1.5)
        for driver in (parent, child):
            driver.do("close", "finished", 30)
            self.assertEqual(driver.end(), 0, driver.output)
        self.assertEqual(self.driver("sync", folder).end(), 0)
        parent_run, run = self.only_run("sweep"), self.only_run("child")
        self.assertEqual(run.data.tags["mlflow.parentRunId"], parent_run.info.run_id)
        self.assertNotIn("mlflow.parentRunId", parent_run.data.tags)
        for name in ("cpu_utilization_percentage", "system_memory_usage_megabytes",
                     "system_memory_usage_percentage", "disk_usage_percentage",
                     "disk_usage_megabytes", "disk_available_megabytes",
                     "network_receive_megabytes", "network_transmit_megabytes"):
            history = self.client.get_metric_history(run.info.run_id, "system/" + name)
            self.assertGreaterEqual(len(history), 3, name)
            self.assertEqual(sorted(point.step for point in history), list(range(len(history))))
            self.assertTrue(all(point.value >= 0 for point in history), name)


if __name__ == "__main__":
    unittest.main()
