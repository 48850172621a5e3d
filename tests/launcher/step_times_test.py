"""No step waits for an evaluation: the longest step of a trainer with an evaluator beside it, against the median.

    step_times_test.py     needs a core for each of the two, and a quiet machine; part of `make verify`

A trainer of one thread, an evaluator of one thread, evaluations that take longer than the steps between them. The first
steps and those that a checkpoint falls into are counted too.
"""

import json
import statistics
import sys

from program import Workspace

STEPS, EVERY, MOST = 150, 10, 2.0


def step_seconds(folder):
    """Between the losses of one step and the next, by the journal's times."""
    times = {}
    for line in (folder / "journal-trainer.jsonl").read_text().splitlines():
        entry = json.loads(line)["entry"]
        if entry["kind"] == "metric" and entry["key"] == "loss":
            times[entry["step"]] = entry["time"] / 1000
    return {step: times[step] - times[step - 1] for step in times if step - 1 in times}


def main():
    work = Workspace()
    try:
        work.run("launch", "beside", "run.threads=1", "launch.evaluators=1", f"training.steps={STEPS}", f"evaluation.every={EVERY}",
                 "evaluation.photos=4", "evaluation.steps=12", "training.global_batch=16", "checkpoint.every=50")
        seconds = step_seconds(work.folder("beside"))
        measured = len(work.summary("beside")["evaluations"])
    finally:
        work.close()
    median = statistics.median(seconds.values())
    longest = max(seconds, key=seconds.get)
    print(f"Beside an evaluator: {len(seconds)} steps, median {median:.3f} s, longest {seconds[longest]:.3f} s (step {longest}, "
          f"{seconds[longest] / median:.2f} times the median); {measured} of {STEPS // EVERY + 1} evaluations were measured, the others passed over")
    return 0 if seconds[longest] <= MOST * median else 1


if __name__ == "__main__":
    sys.exit(main())
