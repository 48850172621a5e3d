"""`bench data`: its figures, its peer, and the folder that it leaves behind."""

import json
import os
import pathlib
import sys
import tempfile
import unittest

from program import environment, limewash

SMALL = ["--photos", "2", "--samples", "40", "--loads", "2000", "--workers", "2"]

PEER = """
import json, pathlib, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
images = sorted(p.name for p in pathlib.Path(options["--images"]).iterdir())
masks = sorted(p.name for p in pathlib.Path(options["--masks"]).iterdir())
assert [p[:-4] for p in images] == [p[:-4] for p in masks], (images, masks)
print("at work")
print(json.dumps({"images_per_second": 0.001 * len(images) * int(options["--workers"])}))
"""


class BenchData(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="limewash-test-")
        self.env = environment(TMPDIR=self.folder.name)

    def tearDown(self):
        self.assertEqual([p for p in os.listdir(self.folder.name) if p.startswith("limewash-bench")], [])
        self.folder.cleanup()

    def bench(self, *arguments, check=True):
        return limewash("bench", "data", *arguments, check=check, env=self.env)

    def test_prints_one_line_of_rates(self):
        done = self.bench("--json", *SMALL)
        self.assertEqual(done.stdout.count("\n"), 1)
        figures = json.loads(done.stdout)
        for name in ("prepare_photos_per_second", "raw_samples_per_second", "cached_samples_per_second",
                     "cached_in_memory_samples_per_second", "peak_rss_mib"):
            self.assertGreater(figures[name], 0, name)
        self.assertEqual((figures["workers"], figures["photos"], figures["loads"]), (2, 2, 2000))
        # Mean and deviation of the target, the hole, two planes, an embedding, a colour.
        self.assertGreaterEqual(figures["cached_sample_bytes"], 4 * (3 * 4 * 64 * 64 + 2 * 64 * 64 + 1024 + 3))
        self.assertLess(figures["rss_growth_mib"], 64)
        self.assertNotIn("peer_photos_per_second", figures)

    def test_runs_a_peer_beside_prepare(self):
        peer = pathlib.Path(self.folder.name) / "peer.py"
        peer.write_text(PEER)
        figures = json.loads(self.bench("--json", *SMALL, "--peer", f"{sys.executable} {peer}").stdout)
        self.assertAlmostEqual(figures["peer_photos_per_second"], 0.004)
        self.assertAlmostEqual(figures["prepare_times_peer"], figures["prepare_photos_per_second"] / 0.004)

    def test_names_a_peer_that_fails(self):
        peer = pathlib.Path(self.folder.name) / "peer.py"
        peer.write_text("raise SystemExit('no such photos')")
        done = self.bench(*SMALL, "--peer", f"{sys.executable} {peer}", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("peer.py", done.stderr)
        self.assertIn("no such photos", done.stderr)

    def test_photos_can_be_left_out(self):
        figures = json.loads(self.bench("--json", *SMALL[2:], "--photos", "0").stdout)
        self.assertIsNone(figures["prepare_photos_per_second"])
        self.assertGreater(figures["raw_samples_per_second"], 0)

    def test_refuses_wrong_numbers(self):
        for wrong in (["--samples", "0"], ["--workers", "-1"], ["--images", "here"]):
            done = self.bench(*wrong, check=False)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn(wrong[0], done.stderr)


STEP_PEER = """
import json, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert options["--size"] == "64" and options["--precision"] == "fp32", options
print("at work")
print(json.dumps({"samples_per_second": 0.001 * int(options["--batch"]) * int(options["--rank"]),
                  "peak_rss_gib": 1.5 * int(options["--threads"]), "steps": options["--steps"]}))
"""


class BenchTrain(unittest.TestCase):
    SMALL = ["--model", "models/limewash-tiny", "--size", "64", "--batch", "2", "--precision", "fp32",
             "--rank", "4", "--steps", "4", "--threads", "1"]

    def bench(self, *arguments, check=True):
        return limewash("bench", "train", *arguments, check=check, env=environment())

    def test_prints_one_line_of_figures(self):
        done = self.bench("--json", *self.SMALL)
        self.assertEqual(done.stdout.count("\n"), 1)
        figures = json.loads(done.stdout)
        self.assertEqual({name: figures[name] for name in ("size", "batch", "precision", "rank", "threads")},
                         {"size": 64, "batch": 2, "precision": "fp32", "rank": 4, "threads": 1})
        self.assertAlmostEqual(figures["samples_per_second"] * figures["seconds_per_step"], 2, places=6)
        self.assertTrue(figures["device"].startswith("cpu"))
        for name in ("tflops", "peak_rss_gib", "loss", "trainable_parameters", "first_step_seconds"):
            self.assertGreater(figures[name], 0, name)
        split = figures["split"]
        self.assertEqual(set(split), {"data", "forward", "backward", "communication", "optimizer"})
        self.assertLess(abs(sum(split.values()) - figures["seconds_per_step"]), 0.5 * figures["seconds_per_step"])

    def test_is_the_same_training_each_time(self):
        losses = {json.loads(self.bench("--json", *self.SMALL).stdout)["loss"] for _ in range(2)}
        self.assertEqual(len(losses), 1)

    def test_runs_a_peer_beside_it(self):
        with tempfile.TemporaryDirectory(prefix="limewash-test-") as folder:
            peer = pathlib.Path(folder) / "peer.py"
            peer.write_text(STEP_PEER)
            figures = json.loads(self.bench("--json", *self.SMALL, "--peer", f"{sys.executable} {peer}").stdout)
        self.assertAlmostEqual(figures["peer_samples_per_second"], 0.008)
        self.assertAlmostEqual(figures["peer_peak_rss_gib"], 1.5)
        self.assertAlmostEqual(figures["times_peer"], figures["samples_per_second"] / 0.008)

    def test_names_a_peer_that_fails(self):
        with tempfile.TemporaryDirectory(prefix="limewash-test-") as folder:
            peer = pathlib.Path(folder) / "peer.py"
            peer.write_text("print('{}')")
            done = self.bench(*self.SMALL, "--peer", f"{sys.executable} {peer}", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("peer.py", done.stderr)
        self.assertIn("samples_per_second", done.stderr)

    def test_refuses_wrong_numbers(self):
        for wrong in (["--size", "0"], ["--size", "65"], ["--batch", "0"], ["--precision", "fp8"], ["--rank", "0"],
                      ["--steps", "0"]):
            done = self.bench(*self.SMALL, *wrong, check=False)
            self.assertEqual(done.returncode, 2, wrong)
            self.assertIn(wrong[0], done.stderr)
        done = self.bench("--model", "nowhere", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nowhere", done.stderr)


class BenchScaling(unittest.TestCase):
    SMALL = ["--model", "models/limewash-tiny", "--size", "64", "--batch", "2", "--precision", "fp32", "--rank", "4",
             "--steps", "4", "--rounds", "2"]

    def bench(self, *arguments, check=True):
        return limewash("bench", "scaling", *self.SMALL, *arguments, check=check, env=environment())

    def test_measures_ranks_and_predicts_clusters(self):
        done = self.bench("--json", "--gpu-step-seconds", "0.5", "--gpu-jitter", "0")
        self.assertEqual(done.stdout.count("\n"), 1)
        figures = json.loads(done.stdout)
        self.assertEqual((figures["ranks"], figures["threads"]), (2, 1))
        self.assertEqual(len(figures["efficiency_idle_rounds"]), 2)
        for name in ("alone_seconds", "beside_seconds", "together_seconds", "efficiency_idle", "efficiency_busy",
                     "communication_share", "jitter", "all_reduce_latency_seconds", "all_reduce_bytes_per_second"):
            self.assertGreater(figures[name], 0, name)
        self.assertLess(figures["communication_share"], 1)
        prediction = figures["prediction"]
        self.assertEqual(prediction["bytes"], 4 * figures["trainable_parameters"])
        for cluster in prediction["clusters"]:
            self.assertEqual([one["gpus"] for one in cluster["weak_efficiency"]], [8 * 2**i for i in range(8)])
            # Without jitter, eight GPUs of one node lose their ring's time and nothing else.
            if cluster["gpus_per_node"] == 8:
                ring = 14 / 8 * prediction["bytes"] / cluster["node_bytes_per_second"] + 14 * cluster["node_latency_seconds"]
                self.assertAlmostEqual(cluster["weak_efficiency"][0]["efficiency"], 0.5 / (0.5 + ring), places=9)

    def test_prints_a_table_that_says_what_is_predicted(self):
        text = self.bench().stdout
        self.assertIn("weak efficiency, the other cores idle before", text)
        self.assertIn("A prediction, for steps of 0.2 s", text)

    def test_refuses_wrong_numbers(self):
        for wrong in (["--ranks", "1"], ["--threads", "0"], ["--gpu-step-seconds", "0"], ["--size", "65"]):
            done = self.bench(*wrong, check=False)
            self.assertNotEqual(done.returncode, 0, wrong)
            self.assertIn(wrong[0], done.stderr)


if __name__ == "__main__":
    unittest.main()
