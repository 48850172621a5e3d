"""What bad input gets: a message that names the place, the right exit status, and never a crash."""

import os
import shutil
import unittest

from program import ROOT, Workspace, limewash


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace(rooms=6)

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    def refused(self, text, *words):
        path = self.work.path / "bad.yaml"
        path.write_text(text)
        done = limewash("launch", "--config", path, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        for word in ("bad.yaml", *words):
            self.assertIn(word, done.stderr)
        return done

    def test_a_mistyped_key_names_line_key_and_the_nearest_one(self):
        self.refused("training:\n  stpes: 20\n", ":2", "training.stpes", "steps")

    def test_broken_yaml_names_the_line(self):
        self.refused("training:\n  steps: [1, 2\nrun: {name: x}\n", "bad.yaml:")

    def test_a_wrong_type_and_a_value_out_of_range_name_the_value(self):
        self.refused("training: {steps: many}\n", "training.steps", "many")
        self.refused("training: {steps: -5}\n", "training.steps", "-5")

    def test_an_override_is_checked_like_the_file(self):
        done = self.work.run("launch", "bad", "trainig.steps=5", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("trainig", done.stderr)

    def test_a_wrong_option_is_wrong_usage(self):
        self.assertEqual(limewash("launch", "--confg", "x", check=False).returncode, 2)
        self.assertEqual(limewash(check=False).returncode, 2)
        self.assertEqual(limewash("--help").returncode, 0)

    def test_a_mistyped_command_gets_the_nearest_one(self):
        for words, near in ((["trian"], "train"), (["model", "rnu"], "run"), (["runs", "shwo", "x"], "show")):
            done = limewash(*words, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words[min(1, len(words) - 1)], done.stderr)
            self.assertIn(f"did you mean {near}?", done.stderr)

    def test_a_missing_dataset_is_named(self):
        done = self.work.run("train", "nodata", "data.train=nowhere/at/all", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nowhere/at/all", done.stderr)

    def test_random_bytes_as_weights_are_named(self):
        base = self.work.path / "broken-base"
        shutil.copytree(ROOT / "models/limewash-tiny", base, ignore=shutil.ignore_patterns("recipe"))
        weights = next((base / "unet").glob("*.safetensors"))
        weights.write_bytes(os.urandom(100_000))
        done = self.work.run("train", "broken", f"base.model={base}", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(weights.name, done.stderr)

    def test_a_corrupt_photo_is_quarantined_and_the_rest_goes_on(self):
        photos = self.work.path / "photos"
        shutil.copytree(self.work.path / "train-rooms", photos)
        (photos / "rooms.json").unlink()  # plain photos from here on
        images = sorted((photos / "images").glob("*.png"))
        images[0].write_bytes(images[0].read_bytes()[:200])
        images[1].write_bytes(os.urandom(500))
        done = limewash("prepare", "--images", photos / "images", "--masks", photos / "masks",
                        "--out", self.work.path / "cleaned", "--size", 64)
        for image in images[:2]:
            self.assertIn(image.name, done.stderr)
        self.assertIn("4 of 6 photos kept", done.stdout)

    def test_a_flipped_bit_in_a_shard_is_named(self):
        damaged = self.work.path / "damaged"
        shutil.copytree(self.work.path / "train", damaged, ignore=shutil.ignore_patterns("cache-*"))
        shard = next(damaged.glob("shard-*.h5"))
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
        done = self.work.run("train", "damaged", f"data.train={damaged}", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(shard.name, done.stderr)

    def test_a_truncated_shard_is_named(self):
        cut = self.work.path / "cut"
        shutil.copytree(self.work.path / "train", cut, ignore=shutil.ignore_patterns("cache-*"))
        shard = next(cut.glob("shard-*.h5"))
        shard.write_bytes(shard.read_bytes()[:-1000])
        done = self.work.run("train", "cut", f"data.train={cut}", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(shard.name, done.stderr)

    def test_a_batch_that_ranks_cannot_share_is_refused(self):
        done = self.work.run("launch", "uneven", "launch.trainers=3", "launch.max_restarts=0", check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("micro-batches", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
