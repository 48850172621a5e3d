"""Runs the limewash program for tests: a small dataset of procedural rooms, and runs on it."""

import csv
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMEWASH = os.environ.get("LIMEWASH", str(ROOT / "build/release/launcher/limewash"))

CONFIG = """
base: {{model: {root}/models/limewash-tiny}}
data: {{train: {work}/train, validation: {work}/validation, recolorings: 2}}
reference: {{strategy: random}}
adapter:
  lora: {{rank: 4, alpha: 8}}
training: {{steps: 20, global_batch: 8, micro_batch: 2}}
loss: {{color: {{weight: 0.1}}}}
optimizer: {{learning_rate: 1.0e-3, warmup_steps: 3, schedule: cosine, ema: 0.9}}
checkpoint: {{every: 5}}
evaluation: {{every: 10, photos: 4, references: 1, own_color: false, steps: 4, batch: 2}}
run: {{output: {work}/runs}}
"""


def environment(**extra):
    """The environment without anything that would reach a tracker."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return {**clean, **extra}


def limewash(*arguments, check=True, env=None, timeout=600):
    """Run the program; returns the finished process with its texts."""
    done = subprocess.run(
        [LIMEWASH, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=env or environment(),
        timeout=timeout,
        cwd=ROOT,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def tensors(path):
    """Name -> (shape, bytes) of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = data[8 + length :]
    return {name: (entry["shape"], body[slice(*entry["data_offsets"])]) for name, entry in header.items()}


def processes_with(setting):
    """Numbers of the processes that have NAME=VALUE in their environment."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and setting.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            pass
    return found


class Workspace:
    """A temporary folder with two prepared datasets of rooms and a configuration."""

    def __init__(self, rooms=12, size=64):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="limewash-test-"))
        for part, count, seed in (("train", rooms, 1), ("validation", 4, 2)):
            photos = self.path / f"{part}-rooms"
            limewash("synthesize", "--out", photos, "--count", count, "--size", size, "--seed", seed)
            limewash("prepare", "--images", photos / "images", "--masks", photos / "masks",
                     "--out", self.path / part, "--size", size)
        self.config = self.path / "config.yaml"
        self.config.write_text(CONFIG.format(root=ROOT, work=self.path))

    def arguments(self, command, name, *settings, flags=()):
        sets = [part for setting in (f"run.name={name}", *settings) for part in ("--set", setting)]
        return [command, "--config", str(self.config), *sets, *flags]

    def run(self, command, name, *settings, flags=(), check=True, env=None):
        return limewash(*self.arguments(command, name, *settings, flags=flags), check=check, env=env)

    def folder(self, name):
        return self.path / "runs" / name

    def losses(self, name):
        with open(self.folder(name) / "losses.csv", newline="") as file:
            return list(csv.DictReader(file))

    def summary(self, name):
        return json.loads((self.folder(name) / "summary.json").read_text())

    def weights(self, name, step):
        """The bytes of a checkpoint's exact state."""
        path = self.folder(name) / "checkpoints" / f"step-{step:06d}" / "training_state.safetensors"
        return path.read_bytes()

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)
