"""torchrun's elastic restarts around retrace: ranks, agents and nodes are lost, and training ends with the weights of a
run that nothing happened to.

Usage: test_torchrun.py RETRACE_BINARY
"""
import hashlib
import json
import os
import pathlib
import signal
import sys
import tempfile

import launching as l

STEPS = 160


class Bench:
    def __init__(self, binary, work):
        self.binary, self.work = binary, work
        self.recipe = l.make_training(work, STEPS)

    def arguments(self, run):
        return [self.binary, "train", self.recipe, f"run.dir={run}", "-q"]

    def start(self, name, options, log, **environment):
        command = [*l.torchrun(), *options, *self.arguments(self.work / name)]
        return l.start(command, log, OMP_NUM_THREADS="1", **environment)

    def log(self, name):
        return open(self.work / f"{name}.log", "wb")

    def text(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")

    def ended_well(self, name, process):
        assert process.wait(480) == 0, f"{name} ended with {process.returncode}:\n{self.text(name)[-6000:]}"

    def check_same(self, run, twin):
        assert l.losses(self.work / run) == l.losses(self.work / twin), f"{run}: other losses than {twin}"
        assert l.root_hash(self.work / run) == l.root_hash(self.work / twin), f"{run}: other weights than {twin}"


def error_files(folder):
    return {(path.parts[-3], int(path.parts[-2])): json.loads(path.read_text())["message"]
            for path in folder.glob("**/attempt_*/*/error.json")}


def killed_ranks(bench, name, **environment):
    """Both ranks of one agent are killed, one after the other; the agent restarts all each time."""
    run = bench.work / name
    with bench.log(name) as log:
        options = ["--standalone", "--nproc-per-node", "2", "--max-restarts", "2", "--log-dir", bench.work / f"{name}-logs"]
        process = bench.start(name, options, log, **environment)
        ports = []
        for victim, step in ((1, 30), (0, 80)):
            l.wait_until(f"{name}: step {step}", lambda at=step: l.newest_step(run) >= at and len(l.ranks_of(run)) == 2,
                         process=process)
            variables = l.environment_of(l.ranks_of(run)[victim])
            ports.append(variables["MASTER_PORT"])
            assert variables["TORCHELASTIC_RESTART_COUNT"] == str(len(ports) - 1)
            l.kill_rank(run, victim)
            l.wait_until(f"{name}: rank {victim} is gone", lambda v=variables: all(
                l.environment_of(pid).get("TORCHELASTIC_RESTART_COUNT") != v["TORCHELASTIC_RESTART_COUNT"]
                for pid in l.ranks_of(run).values()), process=process)
        bench.ended_well(name, process)
    bench.check_same(name, "twin")
    failures = error_files(bench.work / f"{name}-logs")
    for attempt, (survivor, victim) in enumerate([(0, 1), (1, 0)]):
        words = failures[(f"attempt_{attempt}", survivor)]
        assert f"rank {victim}" in words["message"] and "step" in words["message"], words
        assert words["extraInfo"]["rank"] == survivor and words["extraInfo"]["step"] >= 30, words
        assert words["extraInfo"]["phase"], words
    print(f"{name}: ranks 1 and 0 killed, two restarts, the weights of the undisturbed run; "
          f"survivors said: {failures[('attempt_0', 0)]['message']!r}")
    return ports


# An agent that has imported what it needs and waits for a file: it joins when it is told to.
LATE = ("import os, sys, time, torch.distributed.run as r\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.05)\n"
        "r.main(['--no-python', *sys.argv[2:]])")


def agent(bench, name, nodes, log, port, more=(), after=None, **environment):
    """Starts one agent more of a job whose rendezvous the first of them serves."""
    conf = "last_call_timeout=12,keep_alive_interval=1,keep_alive_max_attempt=3,join_timeout=120"
    options = ["--nnodes", nodes, "--nproc-per-node", "1", "--max-restarts", "3", "--rdzv-backend", "c10d", "--rdzv-conf", conf,
               "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", name, "--local-addr", "127.0.0.1"]
    words = [*options, *bench.arguments(bench.work / name), *more]
    launcher = [sys.executable, "-c", LATE, after] if after else l.torchrun()
    return l.start([*launcher, *words], log, OMP_NUM_THREADS="1", **environment)


def two_agents(bench):
    """A rank of the second agent is killed: both agents restart theirs, with restart counts of their own."""
    name, run = "two-agents", bench.work / "two-agents"
    with bench.log(name) as log:
        port = l.free_port()
        both = [agent(bench, name, "2", log, port) for _ in range(2)]
        l.wait_until(f"{name}: step 40", lambda: l.newest_step(run) >= 40 and len(l.ranks_of(run)) == 2, process=both[0])
        l.kill_rank(run, 1)
        counts = []

        def restarted():
            counts[:] = [l.environment_of(pid).get("TORCHELASTIC_RESTART_COUNT") for pid in l.ranks_of(run).values()]
            return len(counts) == 2 and "1" in counts
        l.wait_until(f"{name}: both ranks are back", restarted, process=both[0])
        for process in both:
            bench.ended_well(name, process)
    bench.check_same(name, "twin")
    print(f"{name}: a rank killed, restart counts {counts} on the two agents, the weights of the undisturbed run")


def elastic(bench):
    """An agent is lost with its rank, the other goes on alone; a new one joins, and both go on."""
    name, run, word = "elastic", bench.work / "elastic", bench.work / "join"
    # torch 2.11 tells a new agent nothing of a store that older agents share: it must not be shared.
    fresh = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    # Large enough that a rank alone is still at work when the new agent joins.
    more = ["model.hidden_size=256", "model.intermediate_size=512", "optim.lr=1e-4", "train.steps=300"]
    with bench.log("elastic-twin") as log:
        bench.ended_well("elastic-twin", l.start([*bench.arguments(bench.work / "elastic-twin"), *more, "--nproc", "2"], log))
    with bench.log(name) as log:
        port = l.free_port()
        first = agent(bench, name, "1:2", log, port, more, **fresh)
        second = agent(bench, name, "1:2", log, port, more, **fresh)
        third = agent(bench, name, "1:2", log, port, more, word, **fresh)
        world = lambda: {l.environment_of(pid).get("WORLD_SIZE") for pid in l.ranks_of(run).values()}
        try:
            l.wait_until(f"{name}: step 20 of two", lambda: l.newest_step(run) >= 20 and world() == {"2"}, process=first)
            lost = next(pid for pid in l.ranks_of(run).values() if l.parent_of(pid) == second.pid)
            second.kill()
            os.kill(lost, signal.SIGKILL)
            second.wait()
            begun = l.newest_step(run)
            l.wait_until(f"{name}: one goes on alone", lambda: world() == {"1"} and l.newest_step(run) >= begun + 10,
                         process=first)
            word.touch()
            l.wait_until(f"{name}: two go on", lambda: world() == {"2"}, process=first)
            joined = l.newest_step(run)
            for process in (first, third):
                bench.ended_well(name, process)
        finally:
            for process in (first, second, third):
                process.kill()
    # Sums over another number of ranks differ in their last bits, which a small learning rate keeps small.
    ours, theirs = l.losses(run), l.losses(bench.work / "elastic-twin")
    worst = max(abs(a / b - 1) for a, b in zip(ours, theirs))
    assert len(ours) == len(theirs) and worst < 1e-3, f"{name}: losses differ by {worst:.1e}"
    print(f"{name}: 2 ranks, 1 from step {begun}, 2 again from step {joined}; of {len(ours)} losses none is further than "
          f"{worst:.1e} from the undisturbed run's")


def killed_loop(bench):
    """`retrace run`: a rank is killed while the first round trains."""
    repos = l.make_repositories(bench.work / "repos", 8)
    recipe = pathlib.Path(__file__).parents[1] / "e2e" / "micro.toml"
    words = lambda name: [bench.binary, "run", recipe, f"synth.input={repos}", f"run.dir={bench.work / name}",
                          "train.steps=30", "-q"]
    with bench.log("loop-twin") as log:
        bench.ended_well("loop-twin", l.start(words("loop-twin"), log))
    name, run = "loop", bench.work / "loop"
    with bench.log(name) as log:
        command = [*l.torchrun(), "--standalone", "--nproc-per-node", "2", "--max-restarts", "2", *words(name)]
        process = l.start(command, log, OMP_NUM_THREADS="1")
        l.wait_until(f"{name}: a checkpoint", lambda: l.newest_step(run) >= 4 and len(l.ranks_of(run)) == 2, process=process)
        assert not (run / "rounds" / "001" / "round.json").exists()
        l.kill_rank(run, 1)
        bench.ended_well(name, process)
    digest = lambda folder: hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()
    assert digest(run) == digest(bench.work / "loop-twin"), "the loop under torchrun ends with other weights"
    print("loop: a rank of `retrace run` killed in its first round, the weights of the undisturbed loop")


def main():
    if l.torchrun() is None:
        l.skip("torchrun cannot import torch here")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(sys.argv[1], pathlib.Path(folder))
        with bench.log("twin") as log:
            bench.ended_well("twin", l.start([*bench.arguments(bench.work / "twin"), "--nproc", "2"], log))
        ports = killed_ranks(bench, "agent-store")
        assert ports[0] == ports[1], "the agent's store is said to stand through restarts"
        ports = killed_ranks(bench, "own-store", TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1")
        assert ports[0] != ports[1], "the port is said to change with every attempt"
        two_agents(bench)
        elastic(bench)
        killed_loop(bench)


if __name__ == "__main__":
    main()
