"""How fast a journal of many metric points goes to a local `mlflow server`, and in how much memory.

Usage: shipping_rate_test.py RECORDER_DRIVER [--points N] [--rate POINTS_A_SECOND] [--workers N]

Fails below the rate, above 100 MB of memory for the process that ships, or when points are missing.
"""

import argparse
import os
import sqlite3
import tempfile
import time
from pathlib import Path

from mlflow_support import Driver, Server

MOST_MEGABYTES = 100


def value_of(driver, name):
    words = [line.split() for line in driver.output if line.startswith(name + " ")]
    return float(words[-1][1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=5000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steps = arguments.points // 2
        recorder = Driver(arguments.driver, "", "record", folder / "run", "rate")
        recorder.do("cost", 0, steps)
        recorder.do("memory")
        recorder.do("close", "finished", 1)
        assert recorder.end() == 0, recorder.output
        seconds, recorder_megabytes = (value_of(recorder, n) for n in ("seconds", "grown_megabytes"))
        print(f"recorded {2 * steps} points in {seconds:.2f} s "
              f"({seconds / steps / 2 * 1e6:.1f} us a point), {recorder_megabytes:.0f} MB of memory")

        server = Server(folder, arguments.workers)
        server.start()
        try:
            begin = time.monotonic()
            shipper = Driver(arguments.driver, server.uri, "sync", folder / "run")
            shipper.process.wait()
            seconds = time.monotonic() - begin
            assert shipper.end() == 0, shipper.output
        finally:
            server.kill()
        megabytes = value_of(shipper, "grown_megabytes")
        with sqlite3.connect(folder / "mlflow.db") as database:
            stored = database.execute(
                "select count(*), count(distinct key || ' ' || step) from metrics "
                "where key like 'train/%'").fetchone()
        rate = 2 * steps / seconds
        print(f"shipped {2 * steps} points in {seconds:.1f} s: {rate:.0f} a second, "
              f"{megabytes:.0f} MB of memory")
        assert stored == (2 * steps, 2 * steps), stored
        assert megabytes < MOST_MEGABYTES, megabytes
        assert rate >= arguments.rate, rate


if __name__ == "__main__":
    main()
