"""mpirun and srun around retrace: the losses of --nproc 2, a killed rank ends the job with status 75 on all ranks, and the
scripts under scripts/launch start the same. Slurm's daemons run here from a private configuration, two nodes on this machine.

Usage: test_mpirun_srun.py RETRACE_BINARY
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import launching as l

STEPS = 60
LAUNCH = pathlib.Path(__file__).parents[2] / "scripts" / "launch"
# mpirun refuses root unless told so, and looks for ssh although it needs none on one machine.
MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_plm": "isolated",
       "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_btl": "self,vader"}

SLURM_CONF = """
ClusterName=retrace
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MinJobAge=300
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def call(command, **environment):
    return subprocess.run([str(word) for word in command], env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, check=False)


class Bench:
    def __init__(self, binary, work):
        self.binary, self.work = pathlib.Path(binary).resolve(), work
        self.recipe = l.make_training(work, STEPS)
        twin = call([self.binary, *self.words("twin"), "--nproc", "2"])
        assert twin.returncode == 0, twin.stdout

    def words(self, name, steps=STEPS):
        return ["train", self.recipe, f"run.dir={self.work / name}", f"train.steps={steps}", "-q"]

    def check(self, name, launched, launcher):
        assert launched.returncode == 0, f"{name}: status {launched.returncode}\n{launched.stdout}"
        run = self.work / name
        assert l.losses(run) == l.losses(self.work / "twin"), f"{name}: other losses than --nproc 2"
        assert l.root_hash(run) == l.root_hash(self.work / "twin"), f"{name}: other weights than --nproc 2"
        facts = (run / "run.json").read_text()
        assert f'"{launcher}"' in facts, f"{name}: run.json does not name {launcher}: {facts}"
        print(f"{name}: {STEPS} losses and the weights of --nproc 2, bit for bit")

    def killed(self, name, command, **environment):
        """Rank 1 is killed in the middle: rank 0 must end by itself and name it."""
        run = self.work / name
        with open(self.work / f"{name}.log", "wb") as log:
            process = l.start(command, log, **environment)
            l.wait_until(f"{name}: step 20", lambda: l.newest_step(run) >= 20 and len(l.ranks_of(run)) == 2, process=process)
            l.kill_rank(run, 1)
            status = process.wait(60)
        text = (self.work / f"{name}.log").read_text(errors="replace")
        assert status != 0, text
        l.wait_until(f"{name}: all ranks are gone", lambda: not l.ranks_of(run), 30)
        return status, text


def mpirun(bench):
    if not shutil.which("mpirun"):
        return "mpirun is not installed (Debian: openmpi-bin)"
    environment = {**MPI, "OMP_NUM_THREADS": "1"}
    command = ["mpirun", "-n", "2", "--bind-to", "none", bench.binary]
    bench.check("mpirun", call([*command, *bench.words("mpirun")], **environment), "openmpi")
    script = call([LAUNCH / "mpirun", "localhost:2", *bench.words("mpirun-script")], RETRACE=str(bench.binary), **environment)
    bench.check("mpirun-script", script, "openmpi")
    # Inside a Slurm job Open MPI's ranks see the names that srun gave to their daemon, too.
    inside = call([*command, *bench.words("mpirun-in-slurm")], SLURM_PROCID="0", SLURM_STEP_NUM_TASKS="1",
                  SLURM_STEP_NODELIST="n1", **environment)
    bench.check("mpirun-in-slurm", inside, "openmpi")
    status, text = bench.killed("mpirun-killed", [*command, *bench.words("mpirun-killed", 4000)], **environment)
    print(f"mpirun: a killed rank ends the job, mpirun returns {status}")
    return None


@contextlib.contextmanager
def slurm(folder):
    """A Slurm of two nodes on this machine; gives its environment, or the reason why it cannot run."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "srun", "sbatch") if not shutil.which(name)]
    if missing:
        yield None, f"{', '.join(missing)} not installed (Debian: slurmctld slurmd slurm-client munge)"
        return
    if os.geteuid() != 0:
        yield None, "Slurm's daemons need root here"
        return
    folder.mkdir(mode=0o755)
    for name in ("state", "spool-n1", "spool-n2"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    conf = folder / "slurm.conf"
    conf.write_text(SLURM_CONF.format(host=os.uname().nodename.split(".")[0], folder=folder,
                                      ports=[l.free_port() for _ in range(3)]))
    environment = {"SLURM_CONF": str(conf)}
    munge = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.sock",
             f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
    daemons = []
    try:
        with open(folder / "daemons.log", "wb") as log:
            daemons.append(l.start(munge, log))
            l.wait_until("munge", (folder / "munge.sock").exists, 20, daemons[0])
            daemons.append(l.start(["slurmctld", "-D", "-c", "-f", conf], log, **environment))
            for node in ("n1", "n2"):
                daemons.append(l.start(["slurmd", "-D", "-f", conf, "-N", node], log, **environment))
        try:
            l.wait_until("Slurm's nodes", lambda: call(["sinfo", "-h", "-t", "idle", "-o", "%D"], **environment)
                         .stdout.strip() == "2", 60, daemons[1])
        except AssertionError as problem:
            logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in sorted(folder.glob("*.log")))
            yield None, f"Slurm's daemons do not come up here ({problem}):\n{logs}"
            return
        yield environment, None
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def srun(bench):
    with slurm(bench.work / "slurm") as (environment, reason):
        if reason:
            return reason
        environment["OMP_NUM_THREADS"] = "1"
        one_node = ["srun", "-N", "1", "-n", "2", bench.binary]
        bench.check("srun", call([*one_node, *bench.words("srun")], **environment), "slurm")
        # Two nodes: each rank is alone on its own. Their names resolve to nothing here, so the address is given.
        two_nodes = call(["srun", "-N", "2", "-n", "2", bench.binary, *bench.words("srun-two-nodes")], MASTER_ADDR="127.0.0.1",
                         **environment)
        bench.check("srun-two-nodes", two_nodes, "slurm")
        # A task of one that starts its own ranks.
        alone = call(["srun", "-N", "1", "-n", "1", bench.binary, *bench.words("srun-nproc"), "--nproc", "2"], **environment)
        bench.check("srun-nproc", alone, "retrace")
        # The batch script, which finds the address of the first node by itself.
        log = bench.work / "batch.log"
        batch = call(["sbatch", "--wait", "--nodes", "2", "--ntasks-per-node", "1", "-o", log, "--chdir", bench.work,
                      LAUNCH / "slurm", *bench.words("sbatch")], RETRACE=str(bench.binary), **environment)
        batch.stdout += log.read_text() if log.exists() else ""
        bench.check("sbatch", batch, "slurm")
        status, text = bench.killed("srun-killed", [*one_node, *bench.words("srun-killed", 4000)], **environment)
        assert "lost rank 1" in text or "rank 1 " in text, text
        print(f"srun: a killed rank is named, the job ends, srun returns {status}")
        requeued(bench, environment)
    return None


def requeued(bench, environment):
    """A rank of a batch job is killed: the job is queued again and ends with the twin's weights."""
    name, run, log = "requeued", bench.work / "requeued", bench.work / "requeued.log"
    submitted = call(["sbatch", "--parsable", "--nodes", "1", "--ntasks-per-node", "2", "-o", log, "--chdir", bench.work,
                      LAUNCH / "slurm", *bench.words(name)], RETRACE=str(bench.binary), **environment)
    assert submitted.returncode == 0, submitted.stdout
    job = submitted.stdout.strip()
    l.wait_until(f"{name}: step 20", lambda: l.newest_step(run) >= 20 and len(l.ranks_of(run)) == 2)
    l.kill_rank(run, 1)
    state = lambda: call(["squeue", "-h", "-j", job, "-t", "all", "-o", "%T"], **environment).stdout.strip()
    l.wait_until(f"{name}: killed and queued again", lambda: "queued again" in log.read_text(), 60)
    # Slurm lets a requeued job wait for about two minutes; the operator's word shortens that. Not to nothing: a
    # node refuses a job as already killed if it comes back in the second in which it was killed.
    l.wait_until(f"{name}: pending", lambda: state() == "PENDING", 60)
    call(["scontrol", "update", f"JobId={job}", "StartTime=now+3"], **environment)
    l.wait_until(f"{name}: done", lambda: state() in ("COMPLETED", "FAILED", "CANCELLED"), 240)
    assert state() == "COMPLETED", f"{state()}\n{log.read_text()}"
    assert l.losses(run) == l.losses(bench.work / "twin") and l.root_hash(run) == l.root_hash(bench.work / "twin")
    print("sbatch: a killed rank, the job queued again, the weights of the undisturbed run")


def main():
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(sys.argv[1], pathlib.Path(folder))
        reasons = [reason for reason in (mpirun(bench), srun(bench)) if reason]
    if reasons:
        l.skip("; ".join(reasons))


if __name__ == "__main__":
    main()
