"""The ablation command: its tables against NumPy, resuming, what is missing, and a small run of the real program.

Most of it runs a stand-in for the program, whose figures this test chooses."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "eval/ablation"))
SCRIPT = ROOT / "eval/ablation/ablation.py"
LIMEWASH = os.environ.get("LIMEWASH", str(ROOT / "build/release/launcher/limewash"))

import ablation_arms  # noqa: E402
import ablation_data  # noqa: E402
import ablation_table  # noqa: E402

PLAN = """
baseline: one
common: {loss.color.weight: 0.5, base.lora: ""}
groups:
  - {name: first, title: First, question: "Which?", arms: [one, two, unknown]}
  - {name: second, title: Second, question: "And which?", arms: [two, built, together], against: two, by_lightness: true}
arms:
  one: {title: the first, set: {}}
  two: {title: the second, set: {loss.color.weight: 1e-2}}
  unknown: {title: not known yet, set: {loss.color.no_such_key: 1}}
  built: {title: built on two, steps: 0.5, set: {base.ip_adapter: "{two}/adapter/ip_adapter.safetensors"}}
  together: {title: parts of both, evaluate: {lora: one, ip_adapter: two}}
"""
CONFIG = """
base: {model: models/some-base}
training: {steps: 100, global_batch: 16}
optimizer: {learning_rate: 1e-4, warmup_steps: 10}
"""

# Writes what the program would, figures from figures.json; each call goes to calls.log. While a file `slow` is there it
# waits for SIGTERM.
STAND_IN = """#!{python}
import json, os, pathlib, re, signal, sys, time, yaml
here = pathlib.Path(__file__).parent
with open(here / "calls.log", "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
config = yaml.safe_load(pathlib.Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
if "no_such_key" in config.get("loss", {{}}).get("color", {{}}):
    print("12:00:00.000 error " + sys.argv[sys.argv.index("--config") + 1] + ":7: loss.color.no_such_key: unknown key")
    sys.exit(2)
name, steps = config["run"]["name"], config["training"]["steps"]
figures = json.loads((here / "figures.json").read_text())[name]
if figures == "fails":
    print("12:00:00.000 info all is well\\n12:00:00.000 error the disk is full")
    sys.exit(1)
records = [{{"asked": color, "delta_e_2000": value, "lightness_difference": None}}
           for color, value in zip(("#101010", "#202020", "#808080", "#f0f0f0"), figures.get("painted", [1, 2, 3, 4]))]
folder = pathlib.Path(config["run"]["output"]) / name
if sys.argv[1] == "evaluate":
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps({{"records": records}}))
    (folder / "evaluation.json").write_text(json.dumps({{"subjects": [
        {{"method": "adapter", "files": ".", "metrics": figures, "shuffled_reference": figures}}], "controls": {{}}}}))
    sys.exit(0)
folder.mkdir(parents=True, exist_ok=True)
if (here / "slow").exists():
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
    (here / "waiting").touch()
    while not stopped:
        time.sleep(0.02)
    (folder / "summary.json").write_text(json.dumps({{"status": "stopped", "steps": 1}}))
    sys.exit(85)
evaluated = folder / f"evaluations/step-{{steps:06d}}"
evaluated.mkdir(parents=True, exist_ok=True)
(evaluated / "metrics.json").write_text(json.dumps({{"records": records}}))
(folder / "summary.json").write_text(json.dumps({{
    "status": "finished", "steps": steps, "evaluations": [{{"step": 0, "delta_e_2000": 40.0}}, {{"step": steps, **figures}}],
    "controls": {{"shuffled_reference": {{"delta_e_2000": 30.0}}, "floor": {{"delta_e_2000": 0.5}},
                 "recolored_without_network": {{"delta_e_2000": float("nan")}}}}}}))
"""


class WithStandIn(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="limewash-ablation-"))
        self.program = self.folder / "limewash"
        self.program.write_text(STAND_IN.format(python=sys.executable))
        self.program.chmod(0o755)
        (self.folder / "plan.yaml").write_text(PLAN)
        (self.folder / "config.yaml").write_text(CONFIG)
        generator = numpy.random.default_rng(7)
        self.figures = {
            f"{arm}-seed{seed}": {"delta_e_2000": level + float(generator.uniform(-1, 1)), "hue_error": None,
                                  "shading_fidelity": 0.9 + float(generator.uniform(-0.01, 0.01)),
                                  "painted": [float(value) for value in generator.uniform(1, 9, 4)]}
            for arm, level in (("one", 5), ("two", 20), ("built", 20.2), ("together", 30)) for seed in (1, 2, 3)}
        self.write_figures()

    def tearDown(self):
        shutil.rmtree(self.folder)

    def write_figures(self):
        (self.folder / "figures.json").write_text(json.dumps(self.figures))

    def command(self, *more):
        return [sys.executable, str(SCRIPT), "--limewash", str(self.program), "--plan", str(self.folder / "plan.yaml"),
                "--config", str(self.folder / "config.yaml"), "--dataset", "train", "--validation", "validation",
                "--steps", "50", "--jobs", "2", "--work", str(self.folder / "work"), *more]

    def run_it(self, *more, status=0):
        done = subprocess.run(self.command(*more), capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def calls(self):
        log = self.folder / "calls.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def document(self):
        return (self.folder / "work/ablation.md").read_text()

    def row(self, start, after=""):
        """The cells of the first line after the text `after` whose first cell begins so."""
        text = self.document()
        lines = text[text.index(after):].splitlines()
        return next(([cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith(f"| {start}")), None)

    def of(self, arm, figure):
        return [self.figures[f"{arm}-seed{seed}"][figure] for seed in (1, 2, 3)]

    def test_cells_are_median_and_spread_over_the_seeds_as_numpy_computes_them(self):
        self.run_it()
        for arm, title in (("one", "the first"), ("two", "the second")):
            row = self.row(f"`{arm}`: {title}")
            for cell, figure, decimals in ((row[1], "delta_e_2000", 2), (row[2], "shading_fidelity", 3)):
                values = numpy.array(self.of(arm, figure))
                self.assertEqual(cell, f"{numpy.median(values):.{decimals}f} "
                                       f"({values.min():.{decimals}f}–{values.max():.{decimals}f})")
        self.assertEqual(self.row("*the base alone*")[1], "40.00 (40.00–40.00)")
        self.assertEqual(self.row("*floor: the VAE alone*")[1], "0.50 (0.50–0.50)")
        self.assertIsNone(self.row("*recolouring without a network*"), "no finite figure, no row")
        self.assertNotIn("hue_error", self.document(), "a figure that nobody has is no column")

    def test_figures_by_lightness_are_medians_over_the_paintings_of_the_band(self):
        self.run_it()
        dark = numpy.median([numpy.median(self.of("two", "painted")[seed][:2]) for seed in range(3)])
        middle = numpy.median([self.of("two", "painted")[seed][2] for seed in range(3)])
        row = self.row("`two` |", after="by the lightness")
        self.assertTrue(row[1].startswith(f"{dark:.2f} ("), row)
        self.assertTrue(row[2].startswith(f"{middle:.2f} ("), row)

    def test_a_difference_within_the_spread_is_no_difference(self):
        self.run_it()
        results = json.loads((self.folder / "work/ablation.json").read_text())
        spread = max(numpy.ptp(self.of("two", "delta_e_2000")), numpy.ptp(self.of("built", "delta_e_2000")))
        self.assertLess(abs(numpy.median(self.of("two", "delta_e_2000")) - numpy.median(self.of("built", "delta_e_2000"))), spread)
        self.assertEqual(ablation_table.compare(results, "built", "two", "delta_e_2000"), "no difference")
        self.assertEqual(ablation_table.compare(results, "one", "two", "delta_e_2000"), "better")
        self.assertEqual(ablation_table.compare(results, "two", "one", "delta_e_2000"), "worse")
        self.assertEqual(ablation_table.verdict([0.9, 0.91], [0.5, 0.51], lower_is_better=False), "better")
        self.assertIsNone(ablation_table.verdict([1.0], [2.0, 2.1], True), "one seed has no spread")

    def test_a_second_call_runs_nothing_and_writes_the_same(self):
        self.run_it()
        self.assertEqual(sum("launch" in call for call in self.calls()), 12)
        first = self.document()
        self.run_it()
        self.assertEqual([call for call in self.calls() if "unknown" not in call], [])
        self.assertEqual(self.document(), first)

    def test_what_another_machine_has_run_is_taken_from_its_document(self):
        self.run_it("--seeds", "1,2")
        here, there = self.folder / "work", self.folder / "elsewhere"
        known = json.loads((here / "ablation.json").read_text())
        del known["arms"]["built"]["seeds"]["2"]
        (self.folder / "known.json").write_text(json.dumps(known))
        self.calls()
        self.run_it("--work", str(there), "--known", str(self.folder / "known.json"))
        again = {pathlib.Path(call.split()[call.split().index("--config") + 1]).stem for call in self.calls()}
        third = {f"{arm}-seed3" for arm in ("one", "two", "built", "together")}
        self.assertEqual({name for name in again if "unknown" not in name}, {"built-seed2", "two-seed2"} | third,
                         "what is not known, and what that builds on")
        self.run_it()
        self.assertEqual((there / "ablation.md").read_text(), self.document(), "as if all had been run in one place")
        self.calls()
        (self.folder / "plan.yaml").write_text(PLAN.replace("1e-2", "1e-3"))
        self.run_it("--work", str(self.folder / "third"), "--known", str(there / "ablation.json"), "--seeds", "1")
        again = {pathlib.Path(call.split()[call.split().index("--config") + 1]).stem for call in self.calls()}
        self.assertEqual({name for name in again if "unknown" not in name}, {"two-seed1", "built-seed1", "together-seed1", "one-seed1"},
                         "an arm that was redefined, what builds on it, and what that needs")

    def test_only_an_arm_that_was_redefined_runs_again_and_what_builds_on_it(self):
        self.run_it()
        self.calls()
        (self.folder / "plan.yaml").write_text(PLAN.replace("1e-2", "1e-3"))
        table = self.run_it("--table")
        self.assertIn("missing", self.row("`two`: the second")[1], table.stdout)
        self.run_it()
        again = {pathlib.Path(call.split()[call.split().index("--config") + 1]).stem.split("-")[0] for call in self.calls()}
        self.assertEqual(again - {"unknown"}, {"two", "built", "together"})
        self.assertNotIn("missing", self.row("`two`: the second")[1])

    def test_an_arm_that_did_not_finish_is_missing_and_not_a_number(self):
        self.figures["two-seed2"] = "fails"
        self.write_figures()
        self.run_it(status=1)
        document = self.document()
        self.assertIn("`two`: the second (**2 of 3 seeds**)", document)
        self.assertIn("- `two`: the disk is full", document)
        self.assertIn("two-seed2 did not finish", document)
        self.assertEqual(self.row("`unknown`: not known yet")[1:], ["**missing**", "–", "–"])
        self.assertIn("- `unknown` is missing: loss.color.no_such_key: unknown key", document)
        values = numpy.array([self.figures[f"two-seed{seed}"]["delta_e_2000"] for seed in (1, 3)])
        self.assertEqual(self.row("`two`: the second")[1], f"{numpy.median(values):.2f} ({values.min():.2f}–{values.max():.2f})")

    def test_a_signal_stops_the_runs_and_the_same_command_goes_on(self):
        (self.folder / "slow").touch()
        process = subprocess.Popen(self.command("--arms", "one", "--seeds", "1"), stdout=subprocess.PIPE, text=True)
        begin = time.time()
        while not (self.folder / "waiting").exists():
            self.assertLess(time.time() - begin, 60)
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 85, output)
        self.assertIn("- `one` is missing: stopped", self.document())
        (self.folder / "slow").unlink()
        self.calls()
        self.run_it("--arms", "one", "--seeds", "1")
        self.assertIn("--resume", self.calls()[0])
        self.assertEqual(self.row("`one`: the first")[1], f"{self.figures['one-seed1']['delta_e_2000']:.2f}")

    def test_runs_of_other_settings_are_not_replaced(self):
        self.run_it("--arms", "one", "--seeds", "1")
        self.calls()
        refused = subprocess.run(self.command("--steps", "60"), capture_output=True, text=True)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("steps 50 (asked: 60)", refused.stderr)
        self.assertEqual(self.calls(), [])

    def test_configurations_hold_the_arm_the_seed_and_a_warm_up_of_the_same_share(self):
        self.run_it()
        config = ablation_arms.read_yaml(self.folder / "work/configs/built-seed3.yaml")
        self.assertEqual(config["training"], {"steps": "25", "global_batch": "16"})
        self.assertEqual(config["optimizer"], {"learning_rate": "1e-4", "warmup_steps": "2"})
        self.assertEqual(config["base"]["ip_adapter"], str(self.folder / "work/runs/two-seed3/adapter/ip_adapter.safetensors"))
        self.assertEqual(config["run"]["seed"], "3")
        self.assertEqual(config["evaluation"]["every"], "25")
        self.assertEqual(config["loss"]["color"]["weight"], "0.5", "what all arms have in common")
        other = (self.folder / "work/configs/two-seed3.yaml").read_text()
        self.assertIn("weight: 1e-2\n", other, "as it was written, over what all arms have in common")
        self.assertIn('lora: ""\n', other)

    def test_claims_are_held_against_the_figures(self):
        self.run_it()
        document = self.folder / "work/ablation.md"
        tables = document.read_text()
        right = "<!-- claim: one better than two by delta_e_2000 -->"
        document.write_text(tables + right)
        self.assertEqual(subprocess.run(self.command("--check", "--document", str(document))).returncode, 0)
        for wrong in ("one worse than two by delta_e_2000", "one better than nothing by delta_e_2000", "one is fine",
                      "two no difference from one by delta_e_2000", "one better than unknown by delta_e_2000"):
            document.write_text(tables + f"<!-- claim: {wrong} -->")
            done = subprocess.run(self.command("--check", "--document", str(document)), capture_output=True, text=True)
            self.assertEqual(done.returncode, 1, wrong)
            self.assertIn(wrong, done.stderr)
        document.write_text(tables.replace("(40.00–40.00)", "(39.00–40.00)"))
        self.assertEqual(subprocess.run(self.command("--check", "--document", str(document)), capture_output=True).returncode, 1)

    def test_runs_of_two_builds_of_the_program_are_told(self):
        self.run_it("--arms", "one")
        self.assertNotIn("different builds", self.document())
        self.program.write_text(self.program.read_text() + "# another build\n")
        self.run_it("--arms", "two")
        self.assertIn("2 different builds", self.document())

    def test_prose_between_tables_stays(self):
        self.run_it("--arms", "one")
        document = self.folder / "work/ablation.md"
        document.write_text(document.read_text().replace("## Second", "## Second\n\nWhat people wrote."))
        self.run_it()
        self.assertEqual(document.read_text().count("What people wrote."), 1)
        self.assertEqual(document.read_text().count("<!-- table: second -->"), 1)


class Data(unittest.TestCase):
    def test_thirty_percent_of_the_masks_are_wrong_and_all_of_those_below_the_worst_iou(self):
        generator = numpy.random.default_rng(3)
        rooms = [{"image": f"images/{i}.png", "mask": f"masks/{i}.png",
                  "corrupted": [{"mask": f"c/{i}-{k}.png", "kind": "holes", "iou": float(generator.uniform(0.3, 1))}
                                for k in range(8)]} for i in range(200)]
        chosen = ablation_data.choose_masks(rooms)
        wrong = [one for one in chosen.values() if one[1] != "none"]
        self.assertEqual((len(chosen), len(wrong)), (200, 60))
        self.assertLess(max(iou for _, _, iou in wrong), 0.7)

    def test_as_many_photos_score_below_the_threshold_as_asked(self):
        values = numpy.random.default_rng(4).uniform(size=320)
        self.assertEqual((values < ablation_data.threshold(values, 0.3)).sum(), 96)

    def test_the_committed_arms_can_be_read_and_every_group_compares_with_one_of_its_own(self):
        plan = ablation_arms.Plan()
        for group in plan.groups:
            self.assertIn(group.against, group.arms)
        names = [arm.name for arm in plan.choose([])]
        for name in names:
            for needed in plan.arms[name].needs():
                self.assertLess(names.index(needed), names.index(name))


class RealProgram(unittest.TestCase):
    def test_two_arms_of_twenty_steps_and_the_parts_of_both(self):
        work = pathlib.Path(tempfile.mkdtemp(prefix="limewash-ablation-"))
        try:
            command = [sys.executable, str(SCRIPT), "--limewash", LIMEWASH, "--work", str(work), "--steps", "20", "--seeds", "1",
                       "--arms", "parts_apart,filtered_weighed", "--rooms", "12", "--validation-rooms", "4", "--size", "64",
                       "--document", str(work / "ablation.md"), "--set", "evaluation.steps=4", "--set", "data.recolorings=2",
                       "--set", "training.global_batch=8"]
            subprocess.run(command, check=True, cwd=ROOT)
            results = json.loads((work / "ablation.json").read_text())
            for name in ("lora", "parts_apart", "filtered_weighed"):
                run = results["arms"][name]["seeds"]["1"]
                self.assertGreater(run["figures"]["delta_e_2000_exact"], 0, name)
                self.assertGreater(run["shuffled"], 0, name)
                self.assertEqual(sum(band["paintings"] for band in run["by_lightness"].values()), run["paintings"])
            self.assertEqual(results["arms"]["joint"]["seeds"], {})
            masks = results["masks"]
            self.assertEqual((masks["photos"], sum(masks["kinds"].values())), (12, masks["wrong"]))
            self.assertLess(masks["mean_iou"], 0.7)
            self.assertEqual(masks["kept"], 12 - masks["wrong"], "as many photos are dropped as have wrong masks")
            self.assertLess(masks["wrong_kept"], masks["wrong"] / 2, "and most of them are the wrong ones")
            lora, base = results["arms"]["lora"]["seeds"]["1"], results["arms"]["filtered_weighed"]["seeds"]["1"]["base"]
            self.assertEqual(lora["base"], base, "the base alone is one control for all arms")
            self.assertEqual(lora["shuffled"], lora["figures"]["delta_e_2000"], "a LoRA alone sees no reference")
        finally:
            shutil.rmtree(work)


if __name__ == "__main__":
    unittest.main(verbosity=2)
