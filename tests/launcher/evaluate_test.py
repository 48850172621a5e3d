"""limewash evaluate: the same figures as the run that made an adapter, whatever the files are."""

import json
import subprocess
import unittest

from program import LIMEWASH, ROOT, Workspace, environment, limewash

EVALUATION = ("evaluation.photos=4", "evaluation.references=1", "evaluation.own_color=false", "evaluation.steps=4",
              "evaluation.batch=2", "run.threads=1", "reference.strategy=random")
STEP = "step-000010"


def edited_safetensors(source, target, change):
    """A copy of a safetensors file whose header went through `change`; the tensors' bytes stay."""
    data = source.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    text = json.dumps(change(header)).encode()
    target.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


class Evaluate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace()
        cls.work.run("train", "run", "run.threads=1", "training.steps=10", "checkpoint.every=10")
        cls.run_folder = cls.work.folder("run")
        cls.checkpoint = cls.run_folder / "checkpoints" / STEP
        cls.exported = cls.work.path / "exported"
        for form, name in (("peft", "lora.safetensors"), ("kohya", "kohya.safetensors"),
                           ("ip-adapter", "ip.safetensors")):
            limewash("export", "--adapter", cls.run_folder, "--out", cls.exported / name, "--format", form)
        cls.whole = cls.evaluate("whole", "--adapter", cls.checkpoint, "--method", "base", "--method", "recolor")

    @classmethod
    def tearDownClass(cls):
        cls.work.close()

    @classmethod
    def evaluate(cls, out, *arguments):
        """The line of JSON; a checkpoint or a run brings its own configuration."""
        done = limewash("evaluate", *arguments, "--out", cls.work.path / out, "--json")
        lines = done.stdout.splitlines()
        assert len(lines) == 1, done.stdout
        return json.loads(lines[0])

    @classmethod
    def files_alone(cls, out, *arguments):
        """Of files, which say nothing of how to evaluate."""
        settings = [part for setting in EVALUATION for part in ("--set", setting)]
        return cls.evaluate(out, *arguments, "--data", cls.work.path / "validation", "--model",
                            ROOT / "models/limewash-tiny", *settings)

    def refused(self, status, words, *arguments):
        done = limewash("evaluate", *arguments, "--out", self.work.path / "refused", check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertFalse((self.work.path / "refused").exists())

    def metrics_of_run(self, step):
        return json.loads((self.run_folder / "evaluations" / step / "metrics.json").read_text())

    def test_a_checkpoint_has_the_figures_of_its_run(self):
        subject = self.whole["subjects"][0]
        self.assertEqual((subject["name"], subject["method"], subject["step"]), (f"run-{STEP}", "adapter", 10))
        self.assertEqual(subject["metrics"], self.metrics_of_run(STEP)["metrics"])
        self.assertEqual(subject["shuffled_reference"], self.work.summary("run")["controls"]["shuffled_reference"])
        written = json.loads((self.work.path / "whole" / subject["files"] / "metrics.json").read_text())
        self.assertEqual(written, self.metrics_of_run(STEP))

    def test_the_base_alone_is_step_0_of_the_run(self):
        subject = self.whole["subjects"][1]
        self.assertEqual((subject["name"], subject["step"]), ("base", 0))
        self.assertEqual(subject["metrics"], self.metrics_of_run("step-000000")["metrics"])

    def test_recolouring_and_floor_are_the_runs_controls(self):
        controls = self.work.summary("run")["controls"]
        self.assertEqual(self.whole["subjects"][2]["metrics"], controls["recolored_without_network"])
        self.assertEqual(self.whole["controls"], {name: controls[name] for name in
                                                  ("recolored_without_network", "floor")})

    def test_exported_files_have_the_figures_of_the_checkpoint(self):
        expected = self.whole["subjects"][0]["metrics"]
        for lora in ("lora", "kohya"):
            found = self.files_alone(f"files-{lora}", "--lora", self.exported / f"{lora}.safetensors",
                                     "--ip-adapter", self.exported / "ip.safetensors", "--without-controls")
            self.assertEqual(found["subjects"][0]["metrics"], expected, lora)
            self.assertEqual(found["controls"], {})
        run = self.evaluate("of-run", "--adapter", self.run_folder, "--without-controls")
        self.assertEqual(run["subjects"][0]["metrics"], expected)

    def test_one_part_alone_is_another_adapter(self):
        expected = self.whole["subjects"][0]["metrics"]
        for flag, name in (("--lora", "lora"), ("--adapter", "lora"), ("--ip-adapter", "ip"), ("--adapter", "ip")):
            found = self.files_alone("part", flag, self.exported / f"{name}.safetensors", "--without-controls")
            self.assertNotEqual(found["subjects"][0]["metrics"], expected)

    def test_a_second_evaluation_writes_the_same_files(self):
        again = self.evaluate("again", "--adapter", self.checkpoint, "--method", "base", "--method", "recolor")
        self.assertEqual(again, self.whole)
        first, second = self.work.path / "whole", self.work.path / "again"
        names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
        self.assertEqual(names, sorted(str(path.relative_to(second)) for path in second.rglob("*") if path.is_file()))
        for folder in (f"run-{STEP}", "base", "recolor", "controls/floor"):
            self.assertIn(f"{folder}/grid.png", names)
        for name in names:
            self.assertEqual((first / name).read_bytes(), (second / name).read_bytes(), name)

    def test_two_ranks_agree_with_one(self):
        out = self.work.path / "ranks"
        command = ["mpirun", "-n", "2", "--oversubscribe", "--bind-to", "none", LIMEWASH, "evaluate", "--adapter",
                   self.checkpoint, "--out", out, "--without-controls", "--json"]
        root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        done = subprocess.run(list(map(str, command)), env=environment(**root), cwd=ROOT, capture_output=True,
                              text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["subjects"][0]["metrics"], self.whole["subjects"][0]["metrics"])
        self.assertEqual(json.loads((out / "metrics.json").read_text()), self.metrics_of_run(STEP))

    def test_the_table_has_a_column_for_each_subject(self):
        done = limewash("evaluate", "--adapter", self.checkpoint, "--method", "recolor", "--without-controls",
                        "--out", self.work.path / "table")
        self.assertRegex(done.stdout, rf"run-{STEP}\s+recolor")
        self.assertRegex(done.stdout, r"delta_e_2000_exact +\d+\.\d+ +\d+\.\d+")
        page = (self.work.path / "table" / "report.html").read_text()
        self.assertEqual(page.count("data:image/png;base64,"), 2)

    def test_the_test_side_is_only_read_when_asked_for(self):
        split = self.work.path / "split"
        photos = self.work.path / "train-rooms"
        limewash("prepare", "--images", photos / "images", "--masks", photos / "masks", "--out", split, "--size", 64,
                 "--set", "prepare.validation_share=0.3", "--set", "prepare.test_share=0.3")
        counts = json.loads((split / "report.json").read_text())["splits"]
        found = {}
        for side in ("validation", "test"):
            line = self.evaluate(side, "--method", "recolor", "--data", split, "--split", side, "--without-controls",
                                 "--set", "evaluation.photos=100", "--set", "evaluation.references=1")
            self.assertEqual(line["dataset"]["split"], side)
            records = json.loads((self.work.path / side / "metrics.json").read_text())["records"]
            found[side] = {record["photo"] for record in records}
            self.assertEqual(len(found[side]), counts[side])
        self.assertEqual(found["validation"] & found["test"], set())
        default = self.evaluate("default", "--method", "recolor", "--data", split, "--without-controls")
        self.assertEqual(default["dataset"]["split"], "validation")
        unseen = self.work.path / "unseen"
        limewash("prepare", "--images", photos / "images", "--masks", photos / "masks", "--out", unseen, "--size", 64,
                 "--set", "prepare.test_share=0.3")
        self.refused(1, "no validation side", "--method", "recolor", "--data", unseen)
        chosen = self.work.run("train", "chosen", f"data.validation={unseen}", "training.steps=1", check=False)
        self.assertEqual(chosen.returncode, 1)
        self.assertIn("no validation side", chosen.stderr)

    def test_wrong_input_is_named(self):
        data, tiny = self.work.path / "validation", ROOT / "models/limewash-tiny"
        lora, ip = self.exported / "lora.safetensors", self.exported / "ip.safetensors"
        self.refused(2, "nothing to evaluate", "--data", data)
        self.refused(2, "--data", "--method", "base")
        self.refused(2, "base.model", "--method", "base", "--data", data, "--model", "nowhere")
        self.refused(1, "nowhere.safetensors", "--adapter", "nowhere.safetensors", "--data", data)
        self.refused(1, "nowhere.safetensors", "--lora", "nowhere.safetensors", "--data", data)
        self.refused(1, "is no dataset", "--method", "recolor", "--data", self.exported, "--model", tiny)
        self.refused(1, "has no sample of the split 'test'", "--method", "recolor", "--data", data, "--split", "test")
        damaged = self.work.path / "damaged.safetensors"
        damaged.write_bytes(lora.read_bytes()[:1000])
        self.refused(1, "damaged.safetensors", "--adapter", damaged, "--data", data)

        foreign = self.work.path / "foreign.safetensors"

        def rename(header):
            header.pop("__metadata__", None)
            return {name.replace("down_blocks.0", "down_blocks.7"): entry for name, entry in header.items()}

        edited_safetensors(lora, foreign, rename)
        self.refused(1, "does not fit this UNet", "--adapter", foreign, "--data", data)

        def other_encoder(header):
            """The image encoder's width halved, the projection's rows doubled: the same bytes."""
            entry = header["image_proj.proj.weight"]
            rows, columns = entry["shape"]
            entry["shape"] = [rows * 2, columns // 2]
            return header

        edited_safetensors(ip, foreign, other_encoder)
        self.refused(1, "foreign.safetensors", "--adapter", foreign, "--data", data)


if __name__ == "__main__":
    unittest.main(verbosity=2)
