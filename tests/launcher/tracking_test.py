"""A run beside a real MLflow server, and beside a dead one."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

from program import ROOT, Workspace, environment, limewash


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def mlflow_server():
    """A server on loopback with its store in a temporary folder; ended whatever happens."""
    store = pathlib.Path(tempfile.mkdtemp(prefix="limewash-mlflow-"))
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    with open(store / "log", "w") as log:
        server = subprocess.Popen(
            [ROOT / ".venv/bin/mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{store}/mlflow.db", "--artifacts-destination", store / "artifacts"],
            stdout=log, stderr=log, start_new_session=True,
            env=environment(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="1"))
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=2).read()
                break
            except OSError:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise AssertionError((store / "log").read_text()) from None
                time.sleep(0.2)
        yield uri
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


class Tracking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace()

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def check_recorded(self, uri, name):
        """MLflow's own client reads back what losses.csv and the run folder hold."""
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        from mlflow.tracking import MlflowClient

        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("limewash")
        runs = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
        self.assertEqual(len(runs), 1)
        run = runs[0]
        self.assertEqual(run.info.status, "FINISHED")
        self.assertEqual(run.data.params["training.steps"], "20")
        history = client.get_metric_history(run.info.run_id, "loss")
        recorded = {point.step: point.value for point in history}
        self.assertEqual(len(history), len(recorded), "each step once")
        for row in self.work.losses(name):
            self.assertEqual(recorded[int(row["step"])], float(row["loss"]))
        exact = client.get_metric_history(run.info.run_id, "evaluation/delta_e_2000_exact")
        self.assertEqual(sorted(point.step for point in exact), [0, 10, 20])
        with tempfile.TemporaryDirectory() as target:
            client.download_artifacts(run.info.run_id, "evaluations/step-000020/grid.png", target)
            fetched = next(pathlib.Path(target).rglob("grid.png")).read_bytes()
        self.assertEqual(fetched, (self.work.folder(name) / "evaluations/step-000020/grid.png").read_bytes())
        self.assertTrue(any("+step+20+" in file.path for file in client.list_artifacts(run.info.run_id, "images")))

    def test_a_run_is_in_the_tracker_when_it_ends(self):
        with mlflow_server() as uri:
            self.work.run("launch", "tracked", "launch.trainers=2", env=environment(MLFLOW_TRACKING_URI=uri))
            self.check_recorded(uri, "tracked")

    def test_a_dead_server_costs_nothing_but_a_line_and_sync_ships_later(self):
        dead = f"http://127.0.0.1:{free_port()}"
        done = self.work.run("launch", "untracked", env=environment(MLFLOW_TRACKING_URI=dead))
        self.assertEqual(self.work.summary("untracked")["status"], "finished")
        self.assertIn("runs sync", done.stderr)
        with mlflow_server() as uri:
            limewash("runs", "sync", self.work.folder("untracked"), "--uri", uri)
            self.check_recorded(uri, "untracked")


if __name__ == "__main__":
    unittest.main(verbosity=2)
