#!/usr/bin/env python3
"""What befalls a long `limewash prepare`: kill -9 at random moments, a full disk, a second one in the same folder.
Whatever happened, the dataset that comes out equals an undisturbed one byte for byte.

kill_prepare_test.py LIMEWASH ROOT [MOMENTS] [SEED]"""

import json
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PHOTOS, SOURCE_SIZE, SIZE = 60, 192, 128
SETTINGS = ["--size", SIZE, "--set", "prepare.shard_size=5", "--set", "prepare.validation_share=0.25",
            "--set", "prepare.test_share=0.15"]


def words(*command):
    return [str(word) for word in command]


def dataset_bytes(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


class Bench:
    def __init__(self, limewash, folder):
        self.limewash, self.folder = limewash, folder
        self.photos = folder / "rooms"

    def make_photos(self):
        subprocess.run(words(self.limewash, "synthesize", "--out", self.photos, "--count", PHOTOS, "--size", SOURCE_SIZE),
                       check=True, capture_output=True)
        images = sorted((self.photos / "images").iterdir())
        for place in (7, 23, 24, 51):
            images[place].write_bytes(images[place].read_bytes()[:900])
        for place in (11, 40):
            (self.photos / "masks" / images[place].name).unlink()

    def command(self, out, workers, compression):
        return words(self.limewash, "prepare", "--images", self.photos / "images", "--masks", self.photos / "masks", "--out",
                     out, *SETTINGS, "--set", f"prepare.workers={workers}", "--set", f"prepare.compression={compression}")

    def finish(self, out, workers, compression):
        done = subprocess.run(self.command(out, workers, compression), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def check_straight(self, straight):
        index = json.loads((straight / "index.json").read_text())
        splits = {shard["split"] for shard in index["shards"]}
        assert splits == {"train", "validation", "test"}, splits
        reasons = [rejection["reason"] for rejection in index["rejections"]]
        assert reasons.count("unreadable photo") == 4 and reasons.count("missing mask") == 2, reasons
        rejected = (straight / "rejected.txt").read_text().splitlines()
        assert rejected == [rejection["photo"] for rejection in index["rejections"]], rejected

    def kill_after(self, out, workers, compression, shards, delay):
        """Kill it `delay` seconds after there are so many shards. Returns whether it was still at work."""
        process = subprocess.Popen(self.command(out, workers, compression), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if (out / "index.json").exists() and len(list(out.glob("shard-*.h5"))) >= shards:
                time.sleep(delay)
                process.kill()
                break
            time.sleep(0.001)
        return process.wait() == -signal.SIGKILL

    def kills(self, moments, draw, straight):
        hits = unfinished = 0
        count = len(list(straight["none"].glob("shard-*.h5")))
        for moment in range(moments):
            compression = "gzip" if moment % 2 else "none"
            first, second = (1, 4) if draw.random() < 0.5 else (4, 1)
            out = self.folder / f"killed-{moment}"
            for workers, shards in ((first, draw.randrange(count - 1)), (second, draw.randrange(count))):
                # Twice, so that a job that goes on is killed, too; at any moment of making and writing a shard.
                hits += self.kill_after(out, workers, compression, shards, draw.uniform(0, 0.2))
                if (out / "index.json").exists():
                    unfinished += not json.loads((out / "index.json").read_text())["complete"]
            self.finish(out, second, compression)
            got, expected = dataset_bytes(out), dataset_bytes(straight[compression])
            left = {path.name for path in out.iterdir()} - set(expected) - {".lock"}
            assert not left, f"left behind after moment {moment}: {left}"
            assert got == expected, f"moment {moment}: {sorted(name for name in expected if got.get(name) != expected[name])}"
            shutil.rmtree(out)
        assert hits >= moments and unfinished >= 1, f"only {hits} kills hit, {unfinished} of them amid the work"
        return hits, unfinished

    def full_disk(self, straight):
        """No file may grow beyond half of a shard: what a full disk and a quota look like."""
        out = self.folder / "full"
        limit = (straight / "shard-00000.h5").stat().st_size // 2

        def limited():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        failed = subprocess.run(self.command(out, 2, "none"), capture_output=True, text=True, preexec_fn=limited)
        assert failed.returncode == 1 and "shard-00000.h5" in failed.stderr, (failed.returncode, failed.stderr)
        assert not (out / "shard-00000.h5").exists() and json.loads((out / "index.json").read_text())["complete"] is False
        self.finish(out, 2, "none")
        assert dataset_bytes(out) == dataset_bytes(straight)

    def two_at_once(self, straight):
        out = self.folder / "shared"
        first = subprocess.Popen(self.command(out, 1, "none"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (out / "index.json").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        first.send_signal(signal.SIGSTOP)
        second = subprocess.run(self.command(out, 1, "none"), capture_output=True, text=True)
        first.send_signal(signal.SIGCONT)
        assert second.returncode == 1 and str(first.pid) in second.stderr, (second.returncode, second.stderr)
        assert first.wait(timeout=120) == 0
        assert dataset_bytes(out) == dataset_bytes(straight)


def main():
    limewash = sys.argv[1]
    moments = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else int(time.time())
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(limewash, pathlib.Path(folder))
        bench.make_photos()
        straight = {kind: bench.folder / f"straight-{kind}" for kind in ("none", "gzip")}
        bench.finish(straight["gzip"], 4, "gzip")
        bench.finish(straight["none"], 1, "none")
        bench.check_straight(straight["none"])
        hits, unfinished = bench.kills(moments, random.Random(seed), straight)
        bench.full_disk(straight["none"])
        bench.two_at_once(straight["none"])
    print(f"{moments} datasets killed at {hits} random moments, {unfinished} of them amid the work, with 1 and 4 workers, "
          "contiguous and gzip: byte-identical in the end; a full disk and a second prepare too")


if __name__ == "__main__":
    main()
