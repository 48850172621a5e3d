"""A real `mlflow server` and a recorder in a process of its own, for the tests beside this file."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """`mlflow server` on loopback, in a process group of its own."""

    def __init__(self, folder, workers=1):
        self.folder = folder
        self.workers = workers
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        environment = dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port),
            "--workers", str(self.workers), "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db",
            "--artifacts-destination", f"{self.folder}/artifacts",
        ]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True)
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("mlflow server does not start:\n"
                                   + (self.folder / "server.log").read_text()[-3000:])
            time.sleep(0.2)

    def processes(self):
        """The server and the workers that it started."""
        group = self.process.pid
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if os.getpgid(int(entry.name)) == group:
                        found.append(int(entry.name))
                except ProcessLookupError:
                    pass
        return found

    def pause(self):
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.killpg(self.process.pid, signal.SIGCONT)

    def limit_files(self, size):
        """What a full disk does: no file of the server grows beyond `size` (None: as it was)."""
        for pid in self.processes():
            try:
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE,
                                 (hard if size is None else size, hard))
            except ProcessLookupError:
                pass

    def kill(self):
        if self.process is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None


class Driver:
    """A recorder in a process of its own, led line by line."""

    def __init__(self, driver, uri, *arguments, **environment_changes):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        environment["MLFLOW_TRACKING_URI"] = uri
        environment["MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"] = "false"
        environment.update(environment_changes)
        self.process = subprocess.Popen(
            [driver, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env=environment)
        self.output = []

    def do(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        while (line := self.process.stdout.readline().strip()) != "done":
            if not line and self.process.poll() is not None:
                raise RuntimeError("the driver ended: " + "\n".join(self.output))
            self.output.append(line)

    def end(self):
        rest, _ = self.process.communicate(timeout=60)
        self.output += rest.splitlines()
        return self.process.returncode

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def journal_points(folder):
    """(key, step) of every metric in the journal, as any script would read it."""
    points = []
    for line in (folder / "journal-trainer.jsonl").read_text().splitlines():
        entry = json.loads(line)["entry"]
        if entry["kind"] == "metric":
            points.append((entry["key"], entry["step"]))
    return points
