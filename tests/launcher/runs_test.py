"""`limewash runs`: list, show, compare, best, repair and replay on run folders, and wrong input to each."""

import json
import os
import pathlib
import shutil
import tempfile
import unittest

from program import Workspace, environment, limewash
from tracking_test import mlflow_server


def answer(*arguments, env=None):
    """The one line of JSON that a command prints."""
    lines = limewash(*arguments, "--json", env=env).stdout.splitlines()
    assert len(lines) == 1, lines
    return json.loads(lines[0])


def made_up_run(folder, name, delta_e, exact, shading, status="finished"):
    """A run folder with a summary of chosen figures: evaluations at steps 0, 10, 20."""
    run = folder / name
    run.mkdir(parents=True)
    evaluations = [
        {"step": 10 * i, "paintings": 4, "missing": {}, "delta_e_2000": value,
         "delta_e_2000_exact": exact[i] if exact else None, "shading_fidelity": shading[i]}
        for i, value in enumerate(delta_e)
    ]
    (run / "summary.json").write_text(json.dumps({
        "status": status, "steps": 20, "samples": 160, "seconds": 8.0, "samples_per_second": 20.0,
        "trainers": 1, "evaluators": 0, "final_loss": 0.5, "checkpoint": "checkpoints/step-000020",
        "evaluations": evaluations, "controls": {"floor": {"delta_e_2000": 0.3}}, "best": None}))
    (run / "config.yaml").write_text(f"run: {{name: {name}, seed: 42}}\noptimizer: {{learning_rate: 0.{len(name)}}}\n")
    for step in (10, 20):
        checkpoint = run / "checkpoints" / f"step-{step:06d}"
        checkpoint.mkdir(parents=True)
        (checkpoint / "DONE").touch()
    return run


class MadeUpRuns(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="limewash-runs-"))
        self.runs = self.work / "runs"
        made_up_run(self.runs, "alpha", [30, 9, 5], [31, 8, 6], [0.5, 0.9, 0.7])
        made_up_run(self.runs / "sweep", "beta", [30, 4, 7], [31, 7, 9], [0.5, 0.6, 0.8], status="stopped")
        made_up_run(self.runs, "gamma", [1, 50, 50], None, [0.99, 0.1, 0.1])

    def tearDown(self):
        shutil.rmtree(self.work)

    def test_list_finds_runs_at_any_level_with_their_best_figures(self):
        listed = answer("runs", "list", self.runs)["runs"]
        self.assertEqual([run["name"] for run in listed], ["alpha", "gamma", "beta"])
        beta = listed[2]
        self.assertEqual((beta["status"], beta["steps"], beta["tracker"]), ("stopped", 20, "none"))
        self.assertEqual((beta["best_step"], beta["delta_e_2000_exact"], beta["delta_e_2000"]), (10, 7, 4))
        self.assertIsNone(listed[1]["delta_e_2000_exact"])
        text = limewash("runs", "list", self.runs).stdout
        self.assertEqual(len(text.splitlines()), 4)

    def test_list_sorts_by_a_figure_with_missing_ones_last_and_limits(self):
        listed = answer("runs", "list", self.runs, "--sort", "delta_e_2000_exact")["runs"]
        self.assertEqual([run["name"] for run in listed], ["alpha", "beta", "gamma"])
        by_shading = answer("runs", "list", self.runs, "--sort", "shading_fidelity", "--limit", 1)["runs"]
        self.assertEqual([run["name"] for run in by_shading], ["alpha"], "0.7 of its best evaluation")
        wrong = limewash("runs", "list", self.runs, "--sort", "colour", check=False)
        self.assertEqual(wrong.returncode, 2)

    def test_a_damaged_run_is_listed_as_such_and_named(self):
        (self.runs / "alpha" / "summary.json").write_text('{"status": "fin')
        done = limewash("runs", "list", self.runs)
        self.assertIn("damaged", done.stdout)
        self.assertIn("alpha/summary.json", done.stderr)
        self.assertEqual(answer("runs", "best", self.runs, "--by", "delta_e_2000")["run"], str(self.runs / "sweep/beta"))

    def test_best_knows_the_better_end_and_the_base_alone_never_wins(self):
        lowest = answer("runs", "best", self.runs, "--by", "delta_e_2000")
        self.assertEqual((lowest["run"], lowest["step"], lowest["value"]), (str(self.runs / "sweep/beta"), 10, 4))
        self.assertEqual(lowest["better"], "low")
        self.assertTrue(pathlib.Path(lowest["checkpoint"], "DONE").exists())
        highest = answer("runs", "best", self.runs, "--by", "shading_fidelity")
        self.assertEqual((highest["run"], highest["step"], highest["better"]), (str(self.runs / "alpha"), 10, "high"))
        self.assertEqual(answer("runs", "best", self.runs)["metric"], "delta_e_2000_exact")

    def test_a_test_split_selects_nothing(self):
        path = self.runs / "gamma" / "summary.json"
        summary = json.loads(path.read_text())
        summary["evaluations"].append({"step": 20, "split": "test", "delta_e_2000": 0.1})
        path.write_text(json.dumps(summary))
        self.assertEqual(answer("runs", "best", self.runs, "--by", "delta_e_2000")["value"], 4)

    def test_best_says_when_the_checkpoint_is_gone_or_no_run_has_the_figure(self):
        shutil.rmtree(self.runs / "sweep/beta/checkpoints/step-000010")
        self.assertIsNone(answer("runs", "best", self.runs, "--by", "delta_e_2000")["checkpoint"])
        none = limewash("runs", "best", self.runs, "--by", "edge_bleed", check=False)
        self.assertEqual(none.returncode, 1)
        unknown = limewash("runs", "best", self.runs, "--by", "shading_fidelty", check=False)
        self.assertEqual(unknown.returncode, 2)
        self.assertIn("did you mean shading_fidelity", unknown.stderr)

    def test_compare_marks_the_better_and_shows_the_settings_that_differ(self):
        page = self.work / "page.html"
        both = answer("runs", "compare", self.runs / "alpha", self.runs / "sweep/beta", "--html", page)
        self.assertEqual(both["better"]["final"]["delta_e_2000"], [0])
        self.assertEqual(both["better"]["final"]["shading_fidelity"], [1])
        self.assertEqual(both["better"]["best"]["delta_e_2000"], [1])
        self.assertEqual(list(both["settings"]), ["optimizer.learning_rate"])
        html = page.read_text()
        for part in ("alpha", "beta", "optimizer.learning_rate", "<svg", "Floor"):
            self.assertIn(part, html)
        self.assertNotIn("://", html)
        text = limewash("runs", "compare", self.runs / "alpha", self.runs / "sweep/beta").stdout
        self.assertRegex(text, r"delta_e_2000 +5\.00\* +7\.00\n")

    def test_names_from_the_disk_are_text_on_the_page(self):
        name = "<script>alert(1)</script>".replace("/", "∕") + "x" * 180
        made_up_run(self.runs, name, [3, 2, 1], None, [0, 0, 0])
        page = self.work / "page.html"
        limewash("runs", "compare", self.runs / "alpha", self.runs / name, "--html", page)
        self.assertNotIn("<script", page.read_text())

    def test_wrong_input_is_an_error_that_names_it(self):
        (self.work / "empty").mkdir()
        for command in ("list", "show", "repair", "best"):
            gone = limewash("runs", command, self.work / "gone", check=False)
            self.assertEqual(gone.returncode, 1, command)
            self.assertIn("gone", gone.stderr, command)
        for command in (("show",), ("repair",), ("compare", self.runs / "alpha")):
            empty = limewash("runs", *command, self.work / "empty", check=False)
            self.assertEqual(empty.returncode, 1, command)
            self.assertIn("empty", empty.stderr, command)
        self.assertEqual(limewash("runs", "compare", self.runs / "alpha", check=False).returncode, 2)
        twice = limewash("runs", "compare", self.runs / "alpha", self.runs / "alpha/.", check=False)
        self.assertEqual(twice.returncode, 2)
        self.assertEqual(answer("runs", "list", self.work / "empty")["runs"], [])

    def test_a_damaged_summary_is_named_whatever_reads_it(self):
        path = self.runs / "alpha" / "summary.json"
        whole = json.loads(path.read_text())
        for damage in ("", "{", "[]", "null", '{"steps": "many"}', '{"evaluations": {"a": 1}}', '{"evaluations": [7]}',
                       '{"evaluations": [{"step": "x"}]}', '{"controls": {"floor": 3}}', '{"steps": 1e999}',
                       json.dumps({**whole, "status": 5})):
            path.write_text(damage)
            for command in (("show", self.runs / "alpha"), ("compare", self.runs / "gamma", self.runs / "alpha")):
                done = limewash("runs", *command, check=False)
                self.assertEqual(done.returncode, 1, (damage, done.stderr))
                self.assertIn("summary.json", done.stderr, damage)

    def test_a_summary_of_nulls_is_shown_as_missing(self):
        (self.runs / "alpha" / "summary.json").write_text(json.dumps(
            {"status": None, "steps": None, "samples_per_second": None, "evaluations": None, "controls": None}))
        limewash("runs", "show", self.runs / "alpha")
        limewash("runs", "compare", self.runs / "alpha", self.runs / "gamma")
        limewash("runs", "list", self.runs)


class TrainedRun(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.space = Workspace()
        cls.space.run("train", "one", "run.threads=1")
        cls.run_folder = cls.space.folder("one")

    @classmethod
    def tearDownClass(cls):
        cls.space.close()

    def entries(self):
        """(key, step) -> value of the metrics that the journal holds."""
        points = {}
        for line in (self.run_folder / "journal-trainer.jsonl").read_text().splitlines():
            entry = json.loads(line)["entry"]
            if entry["kind"] == "metric":
                points[entry["key"], entry["step"]] = entry["value"]
        return points

    def test_the_report_shows_pictures_and_breakdowns(self):
        html = (self.run_folder / "report.html").read_text()
        for part in ("By asked colour", "By lightness of the asked colour", "data:image/jpeg;base64,", "worst painting of"):
            self.assertIn(part, html)

    def test_a_torn_and_flipped_journal_is_repaired_without_losing_an_entry(self):
        journal = self.run_folder / "journal-trainer.jsonl"
        whole = journal.read_bytes()
        self.addCleanup(journal.write_bytes, whole)
        lines = whole.splitlines(keepends=True)
        broken = lines[:]
        broken[5] = broken[5].replace(b'"entry"', b'"entrY"')
        journal.write_bytes(b"".join(broken) + lines[-1][:25])
        looked = answer("runs", "repair", self.run_folder, "--dry-run")
        self.assertFalse(looked["repaired"])
        repaired = answer("runs", "repair", self.run_folder)["journals"][0]
        self.assertEqual(looked["journals"][0]["damage"], repaired["damage"])
        first, second = repaired["damage"]
        self.assertEqual((first["line"], first["offset"]), (6, len(b"".join(lines[:5]))))
        self.assertEqual((second["line"], second["torn"]), (len(lines) + 1, True))
        self.assertEqual(repaired["intact"], len(lines) - 1)
        self.assertEqual(journal.read_bytes(), b"".join(lines[:5] + lines[6:]))
        aside = pathlib.Path(repaired["set_aside"])
        self.assertEqual(aside.read_bytes(), broken[5] + lines[-1][:25] + b"\n")
        self.assertEqual(answer("runs", "repair", self.run_folder)["journals"][0]["places"], 0)

    def test_a_shipped_run_is_replayed_into_a_fresh_server_exactly_once(self):
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        from mlflow.tracking import MlflowClient

        with mlflow_server() as home, mlflow_server() as other:
            shipped = answer("runs", "sync", self.run_folder, "--uri", home)
            self.assertGreater(shipped["shipped"], 0)
            state = (self.run_folder / "tracker.json").read_bytes()
            for attempt, expected in enumerate((shipped["shipped"], 0)):
                replayed = answer("runs", "replay", self.run_folder, "--uri", other)
                self.assertEqual(replayed["shipped"], expected, f"replay {attempt}")
            # As after a crash between shipping and remembering it.
            for path in self.run_folder.glob("tracker-replay-*.json"):
                path.unlink()
            self.assertEqual(answer("runs", "replay", self.run_folder, "--uri", other)["shipped"], shipped["shipped"])
            self.assertEqual((self.run_folder / "tracker.json").read_bytes(), state, "the home server's state stays")
            self.assertEqual(answer("runs", "list", self.run_folder)["runs"][0]["tracker"], "shipped")

            client = MlflowClient(other)
            runs = client.search_runs([client.get_experiment_by_name("limewash").experiment_id])
            self.assertEqual(len(runs), 1)
            self.assertEqual(runs[0].info.status, "FINISHED")
            points = self.entries()
            for key in {key for key, _ in points}:
                history = client.get_metric_history(runs[0].info.run_id, key)
                self.assertEqual({(key, point.step): point.value for point in history},
                                 {place: value for place, value in points.items() if place[0] == key})
                self.assertEqual(len(history), len({point.step for point in history}), f"{key}: each step once")
            self.assertTrue(client.list_artifacts(runs[0].info.run_id, "images"))

            several = limewash("runs", "sync", self.run_folder, self.space.path / "gone", "--uri", home, "--json", check=False)
            self.assertEqual(several.returncode, 1)
            result = json.loads(several.stdout)
            self.assertIsNone(result["runs"][0]["problem"])
            self.assertIn("gone", result["runs"][1]["problem"])

    def test_replay_without_a_server_is_an_error(self):
        self.assertEqual(limewash("runs", "replay", self.run_folder, check=False).returncode, 1)
        dead = limewash("runs", "replay", self.run_folder, "--uri", "ftp://x", check=False, env=environment())
        self.assertEqual(dead.returncode, 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
