"""What a tracker costs a training: the demo's training with a real `mlflow server` and without one,
in turn, one thread of mathematics, so that a core is left to spare.

Usage: tracker_cost_test.py LIMEWASH SOURCE_FOLDER [--steps N] [--rounds N] [--least SHARE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from mlflow_support import Server


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("limewash")
    parser.add_argument("source", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--least", type=float, default=0.99)
    arguments = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    clean["OMP_NUM_THREADS"] = "1"

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call = lambda *words, **env: subprocess.run(
            [arguments.limewash, *map(str, words)], env=dict(clean, **env), check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        call("synthesize", "--out", folder / "rooms", "--count", 24, "--size", 64)
        call("prepare", "--images", folder / "rooms/images", "--masks", folder / "rooms/masks",
             "--out", folder / "data", "--size", 64)
        server = Server(folder)
        server.start()

        def speed(round_, uri):
            run = f"{'with' if uri else 'without'}{round_}"
            call("train", "--config", arguments.source / "configs/demo.yaml",
                 "--set", f"base.model={arguments.source / 'models/limewash-tiny'}",
                 "--set", f"data.train={folder / 'data'}", "--set", "data.validation=",
                 "--set", f"run.output={folder / 'runs'}", "--set", f"run.name={run}",
                 "--set", "run.threads=1", "--set", f"training.steps={arguments.steps}",
                 "--set", "checkpoint.every=0", "--set", "evaluation.every=0",
                 **({"MLFLOW_TRACKING_URI": uri} if uri else {}))
            return json.loads((folder / "runs" / run / "summary.json").read_text())["samples_per_second"]

        try:
            speed("warm", "")  # the cache of latents is made once
            ratios = []
            for round_ in range(arguments.rounds):
                # In turns of either order: what else the machine does hits both.
                if round_ % 2:
                    with_, without = speed(round_, server.uri), speed(round_, "")
                else:
                    without, with_ = speed(round_, ""), speed(round_, server.uri)
                ratios.append(with_ / without)
                print(f"round {round_}: {with_:.2f} samples a second with a tracker, "
                      f"{without:.2f} without, ratio {ratios[-1]:.4f}", flush=True)
        finally:
            server.kill()
    median = statistics.median(ratios)
    print(f"tracker cost: median ratio {median:.4f} over {len(ratios)} pairs")
    return 0 if median >= arguments.least else 1


if __name__ == "__main__":
    sys.exit(main())
