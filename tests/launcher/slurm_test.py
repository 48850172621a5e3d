"""`launch` inside of a job of a real Slurm with two nodes. Skipped where Slurm (slurm-wlm, munge) is not installed."""

import re
import unittest

import slurm
from program import LIMEWASH, ROOT, Workspace
from ranks_test import wait_until

JOB = """#!/bin/bash
#SBATCH --no-kill --nodes=2 --ntasks-per-node=2 --output={output} --open-mode=append --signal=B:USR1@60
cd {root}
{command} & launch=$!
trap 'kill -USR1 $launch' USR1
wait $launch; wait $launch; status=$?
echo "status $status"
[ $status -eq 85 ] && scontrol requeue $SLURM_JOB_ID
exit $status
"""


@unittest.skipUnless(slurm.can_run(), "no Slurm here, or not the rights to start it")
class SlurmJobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = Workspace()
        cls.addClassCleanup(cls.work.close)
        cls.slurm = slurm.Slurm()
        cls.addClassCleanup(cls.slurm.close)

    def submit(self, name, *settings):
        self.output = self.work.path / f"{name}.txt"
        arguments = self.work.arguments("launch", name, "run.threads=1", "launch.trainers=4", "evaluation.every=0", *settings, flags=["--resume"])
        script = self.work.path / f"{name}.sh"
        script.write_text(JOB.format(output=self.output, root=ROOT, command=" ".join(f"'{part}'" for part in [LIMEWASH, *arguments])))
        job = self.slurm.run("sbatch", "--parsable", str(script))
        self.addCleanup(self.slurm.run, "scancel", job)
        return job

    def steps(self, name):
        losses = self.work.folder(name) / "losses.csv"
        return losses.read_text().count("\n") - 1 if losses.exists() else -1

    def state(self, job):
        return self.slurm.run("squeue", "-h", "-t", "all", "-j", job, "-o", "%T %r")

    def test_ranks_are_spread_and_a_stop_requeues_the_job(self):
        job = self.submit("spread", "training.steps=4000", "checkpoint.every=0")
        wait_until(lambda: self.steps("spread") >= 3, 120, "third step")
        ranks = [line.split()[:3] for line in self.output.read_text().splitlines() if line.strip().endswith("1") and " trainer " in line]
        self.assertEqual(ranks, [["0", "trainer", "one"], ["1", "trainer", "one"], ["2", "trainer", "two"], ["3", "trainer", "two"]])
        self.slurm.run("scancel", "--signal=USR1", "--batch", job)
        wait_until(lambda: self.state(job).startswith("PENDING"), 60, "requeue")
        self.assertIn("status 85", self.output.read_text())
        steps = self.steps("spread")
        self.assertTrue((self.work.folder("spread") / f"checkpoints/step-{steps:06d}/DONE").exists())

    def test_a_lost_node_leaves_fewer_trainers(self):
        job = self.submit("lost", "training.steps=40", "checkpoint.every=2")
        wait_until(lambda: self.steps("lost") >= 8, 120, "eighth step")
        self.addCleanup(self.slurm.wait_for_nodes)
        self.addCleanup(self.slurm.start_node, "two")
        self.slurm.lose("two")
        wait_until(lambda: re.search(r"^status \d+$", self.output.read_text(), re.MULTILINE), 240, "end")
        messages = self.output.read_text()
        self.assertIn("\nstatus 0\n", messages)
        self.assertIn("two can't be reached", messages)
        self.assertIn("going on with 2 of 4 trainers and 0 of 0 evaluators on one:2", messages)
        self.assertEqual(self.steps("lost"), 40)
        self.assertEqual(self.work.summary("lost")["trainers"], 2)
        wait_until(lambda: not self.state(job).startswith("RUNNING"), 60, "end of the job")


if __name__ == "__main__":
    unittest.main(verbosity=2)
