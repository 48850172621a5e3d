#!/usr/bin/env python3
"""Trains and measures every arm of arms.yaml, and writes the tables of docs/ablation.md:

    make ablation
    make ablation ABLATION="--config configs/sd15_joint.yaml --base-model stable-diffusion-inpainting \\
        --dataset dataset --validation held_out --steps 10000 --work build/ablation-sd15"

Runs go on where they were when it is called again; a finished one is not run again. An arm that this program's
configuration cannot express is left out and named. Exit status: 0 all there, 1 something failed, 2 wrong usage, 85
stopped by a signal and ready to go on. Relative paths count from the repository's root."""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import yaml

import ablation_arms
import ablation_table
from ablation_data import Rooms
from ablation_runs import Job, Runner, read_json

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/ablation.md"
CONFIG = "configs/demo.yaml"
FAILED, USAGE, STOPPED = 1, 2, 85


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--steps", type=int, default=400, help="of every arm")
    add("--seeds", default="1,2,3", help="one run of every arm for each")
    add("--arms", default="", help="names of arms or groups, with commas; the default is all groups")
    add("--plan", type=pathlib.Path, default=ablation_arms.ARMS, help="the arms and groups")
    add("--config", default=CONFIG, help="the configuration that every arm starts from")
    add("--base-model", help="instead of the configuration's base.model")
    add("--dataset", help="a prepared dataset to train on; the default is procedural rooms")
    add("--validation", help="a prepared dataset to measure on; goes with --dataset")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="in every arm")
    add("--rooms", type=int, default=320, help="procedural rooms to train on")
    add("--validation-rooms", type=int, default=32, help="procedural rooms to measure on")
    add("--size", type=int, default=128, help="pixels of a procedural room")
    add("--jobs", type=int, help="runs at a time; the default is as many as there are cores for, 1 with --threads 0")
    add("--trainers", type=int, default=1, help="ranks of a run")
    add("--threads", type=int, help="of a rank; 0: the cores shared by a run's ranks. The default is 1 for limewash-tiny, else 0")
    add("--work", type=pathlib.Path, default=ROOT / "build/ablation", help="where runs and data are kept")
    add("--document", type=pathlib.Path, help="what to write; the default is docs/ablation.md for the default base and photos, "
        "WORK/ablation.md otherwise. Its figures stand beside it, as .json")
    add("--limewash", default=str(ROOT / "build/release/launcher/limewash"), help="the program")
    add("--known", type=pathlib.Path, metavar="JSON", help="figures of an earlier document, perhaps of another machine: what it has by "
        "the same definition, photos and steps is taken from there and not run again")
    add("--table", action="store_true", help="run nothing: write the tables of what there is")
    add("--check", action="store_true", help="run nothing: does the document say what its .json says?")
    options = parser.parse_args(arguments)
    if bool(options.dataset) != bool(options.validation):
        parser.error("--dataset and --validation go together")
    try:
        options.seeds = [int(seed) for seed in options.seeds.split(",")]
    except ValueError:
        parser.error(f"--seeds {options.seeds}: expected whole numbers with commas")
    options.arms = [name for name in options.arms.split(",") if name]
    tiny = options.config == CONFIG and not options.base_model
    usual = tiny and options.plan == ablation_arms.ARMS and not options.dataset and not options.set
    options.work = options.work.resolve()
    options.document = options.document or (DOCUMENT if usual else options.work / "ablation.md")
    if options.threads is None:
        options.threads = 1 if tiny else 0
    cores = len(os.sched_getaffinity(0))
    options.jobs = options.jobs or (max(1, cores // (options.threads * options.trainers)) if options.threads else 1)
    return options


class Ablation:
    def __init__(self, options, plan):
        self.options, self.plan = options, plan
        self.base = ablation_arms.read_yaml(ROOT / options.config)
        self.rooms = None if options.dataset else Rooms(
            options.work / "data", self.program, options.rooms, options.validation_rooms, options.size)
        self.known, self.known_masks = known_figures(options.known)

    def program(self, *arguments):
        """What it says goes to a file: `prepare` has a line for every wrong mask."""
        log = self.options.work / "logs/data.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"{arguments[0]} {arguments[arguments.index('--out') + 1]}", flush=True)
        with open(log, "a") as file:
            done = subprocess.run([self.options.limewash, *map(str, arguments)], stdout=file, stderr=file)
        if done.returncode == STOPPED:
            raise KeyboardInterrupt
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, arguments))}: exit status {done.returncode}; see {log}")

    def settings(self):
        """What the figures of one folder of runs have in common, as the document shows it."""
        options, base = self.options, self.base
        model = options.base_model or ablation_arms.get_key(base, "base.model", "models/limewash-tiny")
        photos = options.dataset or f"{options.rooms} procedural rooms of {options.size} pixels"
        return {"base": pathlib.Path(model).name, "config": options.config, "dataset": photos, "steps": options.steps,
                "batch": int(ablation_arms.get_key(base, "training.global_batch", 16)), "seeds": options.seeds,
                "jobs": options.jobs, "trainers": options.trainers, "threads": options.threads}

    def fixed(self):
        """What all runs in one folder have in common."""
        options = self.options
        return {"config": options.config, "base_model": options.base_model, "dataset": options.dataset,
                "validation": options.validation, "steps": options.steps, "set": options.set, "rooms": options.rooms,
                "validation_rooms": options.validation_rooms, "size": options.size}

    def guard_work(self):
        """Runs of other settings are not overwritten unasked: that would take hours to undo."""
        options, fixed = self.options, self.fixed()
        options.work.mkdir(parents=True, exist_ok=True)
        path = options.work / "settings.json"
        before = read_json(path)
        if before is None:
            path.write_text(json.dumps(fixed, indent=1) + "\n")
        elif before != fixed:
            different = ", ".join(f"{key} {before.get(key)} (asked: {fixed[key]})" for key in fixed if before.get(key) != fixed[key])
            sys.exit(f"{options.work}: holds runs of {different}; choose another --work, or remove it")

    def everywhere(self, data):
        """The keys that all arms share."""
        options = self.options
        train = options.dataset or self.rooms.path(data)
        validation = options.validation or self.rooms.path("validation")
        shared = {"run.output": str(options.work / "runs"), "run.threads": str(options.threads),
                  "launch.trainers": str(options.trainers), "tracking.experiment": "limewash-ablation",
                  "data.train": str(train), "data.validation": str(validation)}
        if options.base_model:
            shared["base.model"] = options.base_model
        for setting in options.set:
            key, found, value = setting.partition("=")
            if not found:
                sys.exit(f"--set {setting}: expected KEY=VALUE")
            shared[key] = value
        return shared

    def job(self, arm, seed):
        options = self.options
        name = f"{arm.name}-seed{seed}"
        folders = {other: str(options.work / "runs" / f"{other}-seed{seed}") for other in self.plan.arms}
        everywhere = {"run.name": name, **self.everywhere(arm.data)}
        config = ablation_arms.write_yaml(
            ablation_arms.configuration(self.base, arm, seed, options.steps, everywhere, folders))
        steps = max(1, round(options.steps * arm.steps))
        return Job(name, arm, seed, steps, options.work / "runs" / name, config, [f"{one}-seed{seed}" for one in arm.needs()])

    def jobs(self, arms):
        """By name: seed after seed, so that the first seed's table is there early."""
        made = [self.job(arm, seed) for seed in self.options.seeds for arm in arms]
        return {job.name: job for job in made}

    def definition(self, job, jobs):
        """A digest of all that decides a run's figures: its configuration wherever its folders are, the photos, and the
        runs that it builds on."""
        text = job.config.replace(str(self.options.work), "WORK").replace(str(ROOT), "ROOT")
        needed = [self.definition(jobs[name], jobs) for name in job.needs]
        return hashlib.sha256(json.dumps([text, self.fixed(), job.arm.data, job.arm.evaluate, needed]).encode()).hexdigest()[:16]

    def known_entry(self, job, jobs):
        """The figures that --known has of this very run; None where it has none."""
        entry = self.known.get(job.name)
        return entry if entry and entry.get("definition") == self.definition(job, jobs) else None

    def runner(self):
        return Runner(self.options.limewash, self.options.work, self.options.jobs)

    def run(self):
        """Returns False when it was stopped."""
        arms = [arm for arm in self.plan.choose(self.options.arms) if not self.unusable(arm)]
        if self.rooms:
            for kind in ["validation", *dict.fromkeys(arm.data for arm in arms)]:
                self.rooms.dataset(kind)
        return self.runner().run(self.unknown(self.jobs(arms)))

    def unknown(self, jobs):
        """Those that --known has no figures of, and what they build on."""
        wanted = set()

        def add(job):
            wanted.add(job.name)
            for name in job.needs:
                add(jobs[name])

        for job in jobs.values():
            if not self.known_entry(job, jobs):
                add(job)
        if len(wanted) < len(jobs):
            print(f"{len(jobs) - len(wanted)} of {len(jobs)} runs are known from {self.options.known}", flush=True)
        return {name: job for name, job in jobs.items() if name in wanted}

    def unusable(self, arm):
        """Why this arm cannot be run on these photos; "" when it can."""
        wrong_masks = self.options.dataset and arm.data != "clean"
        return "it needs photos with right and with wrong masks, which procedural rooms have" if wrong_masks else ""

    def results(self):
        """Every arm that any group shows, finished or not."""
        runner, jobs = self.runner(), self.jobs(self.plan.choose([]))
        arms = {}
        for name in [name for name in self.plan.arms if any(name in (*group.arms, group.against) for group in self.plan.groups)]:
            arm, seeds, remarks = self.plan.arms[name], {}, []
            for seed in self.options.seeds:
                job = jobs[f"{name}-seed{seed}"]
                state = runner.state.get(job.name, {"status": "waiting", "note": "not run yet", "seconds": 0, "program": ""})
                if runner.finished(job, jobs):
                    seeds[str(seed)] = {**ablation_table.collect(job, state["seconds"]), "program": state["program"],
                                        "definition": self.definition(job, jobs)}
                elif known := self.known_entry(job, jobs):
                    seeds[str(seed)] = known
                elif state["status"] == "finished":
                    remarks.append("finished with another definition; not run again yet")
                else:
                    remarks.append(state["note"] or state["status"])
            note = self.unusable(arm) or "; ".join(dict.fromkeys(remarks))
            arms[name] = {"title": arm.title, "seeds": seeds, "note": note}
        return {"settings": self.settings(), "masks": self.rooms.describe_masks() or self.known_masks if self.rooms else None, "arms": arms,
                "groups": [vars(group) for group in self.plan.groups]}

    def write(self, results):
        document = self.options.document
        text = document.read_text() if document.exists() else "# Ablation\n"
        document.parent.mkdir(parents=True, exist_ok=True)
        document.with_suffix(".json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        document.write_text(ablation_table.fill(text, results))
        for problem in ablation_table.wrong_claims(text, results):
            print(f"{document.name} claims what its figures do not show: {problem}", file=sys.stderr)


def known_figures(path):
    """Run name -> what a document's .json has of it, and its wrong masks."""
    if not path:
        return {}, None
    if (document := read_json(path)) is None:
        sys.exit(f"--known {path}: there is no such file")
    runs = {f"{name}-seed{seed}": entry for name, arm in document["arms"].items() for seed, entry in arm["seeds"].items()}
    return runs, document.get("masks")


def check(document):
    """Exit status."""
    text, results = document.read_text(), read_json(document.with_suffix(".json"))
    problems = ablation_table.wrong_claims(text, results)
    if ablation_table.fill(text, results) != text:
        problems.append("the tables are not those of the .json: write them by --table")
    for problem in problems:
        print(f"{document}: {problem}", file=sys.stderr)
    return FAILED if problems else 0


def main(arguments=None):
    os.chdir(ROOT)
    options = parse(arguments)
    if options.check:
        return check(options.document)
    try:
        ablation = Ablation(options, ablation_arms.Plan(options.plan))
        ablation.guard_work()
        whole = True if options.table else ablation.run()
    except (ValueError, KeyError, yaml.YAMLError) as error:
        print(f"{options.plan}: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return STOPPED
    results = ablation.results()
    ablation.write(results)
    print(f"tables in {options.document}")
    if not whole:
        print("stopped; the same command goes on")
        return STOPPED
    state = ablation.runner().state
    if skipped := sorted(name for name, entry in state.items() if entry["status"] == "skipped"):
        print(f"left out: {', '.join(skipped)}; the tables say why")
    failed = sorted(name for name, entry in state.items() if entry["status"] == "failed")
    if failed and not options.table:
        print(f"failed: {', '.join(failed)}; see {options.work / 'logs'}", file=sys.stderr)
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
