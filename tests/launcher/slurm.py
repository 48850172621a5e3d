"""A Slurm of two nodes on this machine, each under a host name of its own, for the time of a test. It listens on loopback only."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

from program import processes_with
from ranks_test import wait_until

CONFIG = """
ClusterName=limewash-test
SlurmctldHost={here}(127.0.0.1)
SlurmctldPort={controller}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
ReturnToService=2
MpiDefault=none
SlurmdTimeout=10
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""
NODES = ("one", "two")


def can_run():
    """Whether this machine has Slurm, and lets this process start it."""
    tools = all(shutil.which(tool) for tool in ("slurmctld", "slurmd", "munged", "sbatch", "unshare", "nsenter"))
    return tools and os.geteuid() == 0 and subprocess.run(["unshare", "--uts", "--mount", "true"], capture_output=True).returncode == 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Slurm:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="limewash-slurm-"))
        # Slurm refuses what others could write to.
        for name in ("state", "munge", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(mode=0o755)
        self.folder.chmod(0o755)
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        nodes = "\n".join(f"NodeName={node} NodeHostname={node} NodeAddr=127.0.0.1 Port={free_port()} CPUs=2 State=UNKNOWN" for node in NODES)
        self.config = self.folder / "slurm.conf"
        self.config.write_text(CONFIG.format(here=socket.gethostname(), controller=free_port(), folder=self.folder, nodes=nodes))
        self.environment = {**os.environ, "SLURM_CONF": str(self.config)}
        # A node listens on the address that its name has.
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()} {' '.join(NODES)}\n")
        munge = self.folder / "munge"
        self.daemons = []
        try:
            self.start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}/socket", f"--pid-file={munge}/pid",
                       f"--log-file={munge}/log", f"--seed-file={munge}/seed")
            wait_until(lambda: (munge / "socket").exists(), 20, "munge")
            self.start("slurmctld", "-D")
            for node in NODES:
                self.start_node(node)
            self.wait_for_nodes()
        except BaseException:
            self.close()
            raise

    def start(self, *command):
        self.daemons.append(subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def start_node(self, node):
        self.start("unshare", "--uts", "--mount", "sh", "-c",
                   f"hostname {node} && mount --bind '{self.folder}/hosts' /etc/hosts && exec slurmd -D -N {node}")

    def wait_for_nodes(self):
        wait_until(lambda: self.run("sinfo", "-h", "-o", "%D %t") == f"{len(NODES)} idle", 60, "idle nodes")

    def run(self, *command):
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def processes_of(self, node):
        """Numbers of the node's processes, its daemon's included."""
        def name(pid):
            return subprocess.run(["nsenter", "-t", str(pid), "-u", "hostname"], capture_output=True, text=True).stdout.strip()

        return [pid for pid in processes_with(f"SLURM_CONF={self.config}") if name(pid) == node]

    def lose(self, node):
        """All of the node ends at once, and it does not come back by itself."""
        for pid in self.processes_of(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self):
        for node in NODES:
            self.lose(node)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
