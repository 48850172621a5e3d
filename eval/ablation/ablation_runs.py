"""Runs the arms: several at a time, each after what it needs, and not again what is finished."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time

DONE, STOPPED, USAGE = 0, 85, 2


@dataclasses.dataclass
class Job:
    """One arm with one seed. `folder` is its run; `config` the text of its configuration."""

    name: str
    arm: object
    seed: int
    steps: int
    folder: pathlib.Path
    config: str
    needs: list

    def result_file(self):
        return self.folder / ("evaluation.json" if self.arm.evaluate else "summary.json")


def read_json(path):
    """None when it is not there."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError:
        return None


def reached_its_end(job):
    """Whether the run's own files say so, whatever configuration it had."""
    result = read_json(job.result_file())
    if result is None:
        return False
    return bool(job.arm.evaluate) or (result.get("status") == "finished" and result.get("steps") == job.steps)


def complaint(log, config):
    """What the program said about an error, without the place of our own file."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if " error " in line or line.startswith("error")]
    text = (errors or lines or ["it said nothing"])[0]
    return re.sub(re.escape(str(config)) + r"(:\d+)?:? *", "", text.split(" error ", 1)[-1]).strip()


class Runner:
    """Keeps `work`: configs/, logs/, and state.json with what became of every run and which build of the program ran it."""

    def __init__(self, limewash, work, jobs_at_once, say=functools.partial(print, flush=True)):
        self.limewash, self.work, self.at_once, self.say = limewash, work, jobs_at_once, say
        self.stopping = False
        for name in ("configs", "logs"):
            (work / name).mkdir(parents=True, exist_ok=True)
        self.state = read_json(work / "state.json") or {}
        self.program = hashlib.sha256(pathlib.Path(limewash).read_bytes()).hexdigest()[:12]

    def finished(self, job, jobs):
        """It is finished, with this configuration, and after the runs that it builds on."""
        config = self.work / "configs" / f"{job.name}.yaml"
        if not reached_its_end(job) or not config.exists() or config.read_text() != job.config:
            return False
        made = job.result_file().stat().st_mtime
        needed = [jobs[name] for name in job.needs]
        return all(self.finished(one, jobs) and one.result_file().stat().st_mtime <= made for one in needed)

    def command(self, job, jobs):
        config = self.work / "configs" / f"{job.name}.yaml"
        if job.arm.evaluate:
            folders = {jobs[name].arm.name: jobs[name].folder for name in job.needs}
            return [self.limewash, "evaluate", "--config", str(config), "--out", str(job.folder), "--json",
                    "--lora", str(folders[job.arm.evaluate["lora"]] / "adapter/pytorch_lora_weights.safetensors"),
                    "--ip-adapter", str(folders[job.arm.evaluate["ip_adapter"]] / "adapter/ip_adapter.safetensors")]
        same = config.exists() and config.read_text() == job.config
        # A run of another configuration, or on top of weights that are there no more, starts anew.
        begun = config.stat().st_mtime if same else 0
        same = same and all(jobs[name].result_file().stat().st_mtime <= begun for name in job.needs)
        return [self.limewash, "launch", "--config", str(config), "--resume" if same else "--overwrite"]

    def _record(self, job, status, note, seconds):
        self.state[job.name] = {"status": status, "note": note, "seconds": round(seconds, 1), "program": self.program}
        temporary = self.work / "state.json.tmp"
        temporary.write_text(json.dumps(self.state, indent=1) + "\n")
        temporary.replace(self.work / "state.json")

    def _start(self, job, jobs):
        command = self.command(job, jobs)
        goes_on = "--resume" in command and job.folder.exists()
        self._record(job, "running", "", self.state.get(job.name, {}).get("seconds", 0) if goes_on else 0)
        (self.work / "configs" / f"{job.name}.yaml").write_text(job.config)
        with open(self.work / "logs" / f"{job.name}.log", "w") as log:
            # A session of its own: an interrupt of the terminal reaches the program only through this script.
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True), time.time()

    def _end(self, job, status, seconds):
        seconds += self.state[job.name]["seconds"]  # of earlier attempts
        if status == DONE and reached_its_end(job):
            self._record(job, "finished", "", seconds)
        elif status == STOPPED or self.stopping:
            self._record(job, "stopped", "", seconds)
        else:
            note = complaint(self.work / "logs" / f"{job.name}.log", self.work / "configs" / f"{job.name}.yaml")
            self._record(job, "skipped" if status == USAGE else "failed", note, seconds)
        entry = self.state[job.name]
        self.say(f"{job.name}: {entry['status']}, {seconds:.0f} s" + (f": {entry['note']}" if entry["note"] else ""))

    def run(self, jobs):
        """All of `jobs`, name -> Job in the order wanted. Returns False when a signal ended it early."""
        waiting = [job for job in jobs.values() if not self.finished(job, jobs)]
        self.say(f"{len(jobs) - len(waiting)} of {len(jobs)} runs are finished already")
        running, ended = {}, {}
        total, start = len(waiting), time.time()

        def stop(*_):
            self.stopping = True

        handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while (waiting and not self.stopping) or running:
                if not self.stopping:
                    self._start_ready(jobs, waiting, running, ended)
                else:
                    for process, _ in running.values():
                        self._ask_to_stop(process)
                time.sleep(0.1)
                for name, (process, begin) in list(running.items()):
                    if (status := process.poll()) is not None:
                        del running[name]
                        self._end(jobs[name], status, time.time() - begin)
                        ended[name] = self.state[name]["status"]
                        if not self.stopping:
                            self.say(self._progress(len(ended), total, time.time() - start))
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return not self.stopping

    @staticmethod
    def _progress(done, total, seconds):
        left = seconds / done * (total - done) / 60
        return f"  {done} of {total}" + (f", about {left:.0f} min left" if done < total else "")

    def _start_ready(self, jobs, waiting, running, ended):
        for job in list(waiting):
            if len(running) >= self.at_once:
                return
            missing = [name for name in job.needs if not self.finished(jobs[name], jobs)]
            if any(name in ended for name in missing):
                waiting.remove(job)
                self._record(job, "skipped", f"{', '.join(missing)} did not finish", 0)
                ended[job.name] = "skipped"
                self.say(f"{job.name}: skipped: {self.state[job.name]['note']}")
            elif not missing:
                waiting.remove(job)
                running[job.name] = self._start(job, jobs)

    _asked = frozenset()

    def _ask_to_stop(self, process):
        """Once: the program writes a checkpoint and ends."""
        if process.pid not in self._asked and process.poll() is None:
            self._asked = self._asked | {process.pid}
            os.kill(process.pid, signal.SIGTERM)
