"""The whole path on real photos, where they stand beside the repository."""

import json
import pathlib
import sys
import tempfile
import unittest

from program import ROOT, limewash

ROOMS = ROOT.parent / "shared" / "rooms"


class RealRooms(unittest.TestCase):
    def test_real_photos_are_prepared_trained_on_and_measured(self):
        with tempfile.TemporaryDirectory(prefix="limewash-rooms-") as work:
            work = pathlib.Path(work)
            done = limewash("prepare", "--images", ROOMS / "images", "--masks", ROOMS / "masks",
                            "--out", work / "rooms", "--size", 128, "--json")
            report = json.loads(done.stdout)
            self.assertEqual((report["photos"], report["kept"]), (7, 5))
            self.assertIn("no_wall.jpg", done.stderr)
            self.assertIn("outdoor_quay.jpg", done.stderr)
            done = limewash("launch", "--config", ROOT / "configs/demo.yaml",
                            "--set", f"data.train={work}/rooms", "--set", f"data.validation={work}/rooms",
                            "--set", "launch.trainers=2", "--set", "training.steps=40",
                            "--set", f"run.output={work}/runs", "--set", "run.name=rooms")
            summary = json.loads((work / "runs/rooms/summary.json").read_text())
            self.assertEqual((summary["status"], summary["steps"]), ("finished", 40))
            last = summary["evaluations"][-1]
            self.assertIsNone(last["delta_e_2000_exact"], "no exact repaint of a photo is known")
            self.assertIsInstance(last["delta_e_2000"], float)
            self.assertTrue((work / "runs/rooms/evaluations/step-000040/grid.png").exists())


if __name__ == "__main__":
    if not ROOMS.is_dir():
        print("LEFT OUT: launcher.real_rooms: no ../shared/rooms beside the repository")
        sys.exit(0)
    unittest.main(verbosity=2)
