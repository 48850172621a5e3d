"""What the doctor finds on a machine that works, and on ones that do not."""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
import unittest

import numpy
from safetensors.numpy import load_file, save_file

from program import LIMEWASH, ROOT, Workspace, environment, limewash

TOPICS = {"cores", "memory", "libtorch", "gpu", "nccl", "limits", "clock", "mpi", "slurm", "hdf5", "run.output", "tracker"}


class Tracker(http.server.BaseHTTPRequestHandler):
    """Answers as MLflow does to those who know the password."""

    def do_GET(self):
        body, status = b"{}", 200
        if self.path == "/version":
            body = b"3.14.1"
        elif self.headers.get("Authorization") != "Bearer secret-token":
            body, status = b"not for you", 401
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace(rooms=6)

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def examine(self, *arguments, expected=0, **extra):
        """The checks by topic; `expected` is the exit status."""
        done = limewash("doctor", "--json", *arguments, check=False, env=environment(**extra))
        self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 1)
        report = json.loads(done.stdout)
        problems = [topic for topic, check in report["checks"].items() if check["status"] == "problem"]
        self.assertEqual(report["problems"], len(problems))
        self.assertEqual(bool(problems), expected == 1, problems)
        for check in report["checks"].values():
            self.assertIn(check["status"], ("ok", "note", "problem"))
            self.assertTrue(check["found"])
            if check["status"] == "problem":
                self.assertTrue(check["advice"], check)
        return report["checks"]

    def configured(self, *settings, **more):
        return self.examine(*self.work.arguments("", "doctor", *settings)[1:], **more)

    def tools(self, **scripts):
        """A folder of programs to put before PATH, and PATH with it."""
        folder = self.work.path / f"tools-{'-'.join(scripts)}"
        folder.mkdir(exist_ok=True)
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"

    def test_this_machine_works(self):
        checks = self.examine()
        self.assertEqual(set(checks), TOPICS)
        self.assertLessEqual(checks["cores"]["usable"], len(os.sched_getaffinity(0)))
        meminfo = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
        self.assertEqual(checks["memory"]["total_bytes"], int(meminfo["MemTotal"].split()[0]) * 1024)
        self.assertLessEqual(checks["memory"]["usable_bytes"], checks["memory"]["total_bytes"])
        flags = pathlib.Path("/proc/cpuinfo").read_text().split()
        for name, flag in (("avx2", "avx2"), ("avx512", "avx512f"), ("avx512_bf16", "avx512_bf16"), ("amx_bf16", "amx_bf16")):
            self.assertEqual(checks["libtorch"][name], flag in flags, name)
        self.assertRegex(checks["nccl"]["version"], r"^2\.\d+\.\d+$")

    def test_versions_are_those_of_the_libraries(self):
        import torch

        checks = self.examine()
        self.assertTrue(torch.__version__.startswith(checks["libtorch"]["version"]))
        self.assertEqual(checks["nccl"]["version"], ".".join(map(str, torch.cuda.nccl.version())))
        self.assertEqual(len(checks["gpu"]["gpus"]), torch.cuda.device_count())
        self.assertRegex(checks["hdf5"]["version"], r"^1\.\d+\.\d+$")
        self.assertIsInstance(checks["hdf5"]["threadsafe"], bool)

    def test_two_ranks_really_sum(self):
        mpi = self.examine()["mpi"]
        self.assertEqual(mpi["status"], "ok")
        self.assertEqual(mpi["all_reduce"]["ranks"], 2)
        self.assertGreater(mpi["all_reduce"]["bytes_per_second"], 1e6)
        self.assertIn("Open MPI", mpi["version"])

    def test_people_get_a_line_for_each_and_what_to_do(self):
        done = limewash("doctor", "--set", "data.train=/not/there", check=False)
        self.assertEqual(done.returncode, 1)
        lines = done.stdout.splitlines()
        topics = {line[9:25].strip() for line in lines if not line.startswith(" ")}
        self.assertEqual(topics, TOPICS | {"base.model", "data.train"})
        found = next(place for place, line in enumerate(lines) if line.startswith("problem  data.train"))
        self.assertIn("/not/there", lines[found])
        self.assertIn("-> make it with: limewash prepare", lines[found + 1])

    def test_a_configuration_that_fits(self):
        checks = self.configured()
        self.assertEqual(set(checks) - TOPICS,
                         {"base.model", "data.train", "data.validation", "training memory", "disk"})
        memory = checks["training memory"]
        self.assertEqual(memory["ranks"], 1)
        self.assertGreater(memory["cache_bytes"], 0)
        parts = ("weights_bytes", "trained_bytes", "cache_bytes", "program_bytes")
        whole = sum(memory[part] for part in parts) + max(memory["activation_bytes"], memory["inference_bytes"])
        self.assertEqual(memory["rank_bytes"], whole)
        self.assertEqual(checks["data.train"]["samples"], 6)

    def test_the_estimate_is_near_what_a_run_takes(self):
        settings = ("run.threads=1", "training.global_batch=64", "training.micro_batch=64", "training.steps=2",
                    "checkpoint.every=0", "evaluation.every=0", "loss.crop=4")
        activations = []
        for path in ("linear", "crop", "picture"):
            with self.subTest(path=path):
                estimated = self.configured(*settings, f"loss.color.path={path}")["training memory"]
                activations.append(estimated["activation_bytes"])
                arguments = self.work.arguments("train", f"measured-{path}", *settings, f"loss.color.path={path}")
                process = subprocess.Popen([LIMEWASH, *arguments], env=environment(), cwd=ROOT,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                self.assertEqual(process.returncode, 0)
                measured = usage.ru_maxrss * 1024
                self.assertLess(abs(estimated["rank_bytes"] / measured - 1), 0.35, (estimated, measured))
        self.assertLess(activations[0], activations[1], "crops that are decoded count")
        self.assertLess(activations[1], activations[2], "whole pictures count for more")

    def test_what_does_not_fit_is_said_with_what_to_lower(self):
        settings = ("training.global_batch=65536", "training.micro_batch=65536", "launch.trainers=1")
        memory = self.configured(*settings, expected=1)["training memory"]
        self.assertEqual(memory["status"], "problem")
        self.assertGreater(memory["host_bytes"], memory["free_bytes"])
        self.assertIn("training.micro_batch = 1 takes", memory["advice"])
        savings = [saving["host_bytes"] for saving in memory["savings"]]
        self.assertEqual(savings, sorted(savings))
        self.assertLess(savings[-1], memory["host_bytes"])

    def test_weights_in_their_files_count_once_for_all_ranks(self):
        base = self.work.path / "base"
        shutil.copytree(ROOT / "models/limewash-tiny", base)
        weights = base / "unet/diffusion_pytorch_model.safetensors"
        tensors = {name: value.astype(numpy.float32) for name, value in load_file(weights).items()}
        save_file(tensors, weights)
        one = self.configured("launch.trainers=1", f"base.model={base}")["training memory"]
        four = self.configured("launch.trainers=4", f"base.model={base}")["training memory"]
        # Kernels of convolutions are held in another order than in the file.
        mapped = [value for value in tensors.values() if value.ndim != 4 or value.shape[2] * value.shape[3] == 1]
        self.assertEqual(one["shared_weights_bytes"], sum(value.nbytes for value in mapped))
        self.assertEqual(four["rank_bytes"], one["rank_bytes"])
        self.assertEqual(four["host_bytes"], 4 * one["host_bytes"] - 3 * one["shared_weights_bytes"])

    def test_files_that_are_not_there(self):
        checks = self.configured("data.train=/not/there", expected=1)
        self.assertEqual(checks["data.train"]["status"], "problem")
        self.assertIn("limewash prepare", checks["data.train"]["advice"])
        checks = self.configured("base.model=/not/there", expected=1)
        self.assertIn("/not/there", checks["configuration"]["found"])

    def test_a_mistyped_key_is_a_usage_error(self):
        done = limewash("doctor", "--set", "training.microbatch=3", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("micro_batch", done.stderr)

    def test_a_folder_that_cannot_be_written(self):
        checks = self.examine("--set", "run.output=/proc/runs", "--set", f"data.train={self.work.path}/train", expected=1)
        self.assertEqual(checks["run.output"]["status"], "problem")
        self.assertIn("run.output", checks["run.output"]["advice"])

    def test_nothing_is_left_in_the_run_folder(self):
        before = sorted(path.name for path in self.work.path.iterdir())
        self.configured()
        self.assertEqual(sorted(path.name for path in self.work.path.iterdir()), before)

    def test_no_mpirun_is_a_problem_only_for_several_ranks(self):
        path = self.work.path / "empty-path"
        path.mkdir(exist_ok=True)
        self.assertEqual(self.configured(PATH=str(path))["mpi"]["status"], "note")
        mpi = self.configured("launch.trainers=2", expected=1, PATH=str(path))["mpi"]
        self.assertEqual(mpi["status"], "problem")
        self.assertIn("openmpi-bin", mpi["advice"])

    def test_an_mpirun_that_fails_is_quoted(self):
        path = self.tools(mpirun="echo 'Open MPI broken'; echo 'no network interface' >&2; exit 5")
        mpi = self.configured("launch.trainers=2", expected=1, PATH=path)["mpi"]
        self.assertIn("status 5, no network interface", mpi["found"])

    def test_slurm_with_its_allocation(self):
        path = self.tools(srun='case "$1" in --version) echo slurm 22.05.8;; *) echo "MPI plugin types are..."; echo pmix;; esac')
        job = dict(SLURM_JOB_ID="71", SLURM_NTASKS="8", SLURM_JOB_NODELIST="node[1-2]")
        slurm = self.examine(PATH=path, **job)["slurm"]
        self.assertTrue(slurm["pmix"])
        self.assertEqual(slurm["job"], "71")
        self.assertEqual(slurm["allocation"], {"SLURM_NTASKS": "8", "SLURM_JOB_NODELIST": "node[1-2]"})
        self.assertIn("slurm 22.05.8", slurm["found"])
        path = self.tools(srun="echo slurm 22.05.8; echo none")
        self.assertFalse(self.examine(PATH=path)["slurm"]["pmix"])

    def test_a_tool_that_hangs_is_given_up(self):
        path = self.tools(srun="sleep 300")
        begin = time.monotonic()
        self.examine(PATH=path)
        self.assertLess(time.monotonic() - begin, 60)

    def test_the_tracker_is_asked_with_the_credentials(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tracker)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        try:
            tracker = self.examine(MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN="secret-token")["tracker"]
            self.assertEqual((tracker["status"], tracker["version"]), ("ok", "3.14.1"))
            refused = self.examine(MLFLOW_TRACKING_URI=uri, MLFLOW_TRACKING_TOKEN="wrong", expected=1)["tracker"]
            self.assertIn("401", refused["found"])
            self.assertIn("MLFLOW_TRACKING_TOKEN", refused["advice"])
            self.assertNotIn("wrong", json.dumps(refused["found"]))
        finally:
            server.shutdown()
            server.server_close()
        down = self.examine("--set", f"tracking.uri={uri}", "--set", f"data.train={self.work.path}/train", expected=1)
        self.assertEqual(down["tracker"]["status"], "problem")
        self.assertIn("training goes on without it", down["tracker"]["advice"])

    def test_no_tracker_is_fine(self):
        self.assertEqual(self.examine()["tracker"]["status"], "ok")


if __name__ == "__main__":
    unittest.main(verbosity=2)
