"""Two nodes on this machine: network namespaces joined by a veth pair, with host names of their own that each resolves to its
own loopback interface, as Debian does. Training across them equals training on one node; a link that is cut ends the job
on both in time, with status 75 and the peer's name; when it is back the same command goes on.

Usage: test_two_nodes.py RETRACE_BINARY
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import launching as l

STEPS, TIMEOUT_S = 200, 6
ENTER = 'hostname "$1" && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"'


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Nodes:
    """nodea (10.77.N.1) and nodeb (10.77.N.2)."""

    def __init__(self, work):
        self.tag, self.work = f"rt{os.getpid()}", work
        self.net = f"10.77.{os.getpid() % 250}"
        self.spaces = [f"{self.tag}a", f"{self.tag}b"]

    def __enter__(self):
        for space in self.spaces:
            ip("netns", "add", space)
        ip("link", "add", self.spaces[0], "type", "veth", "peer", "name", self.spaces[1])
        for n, (space, name) in enumerate(zip(self.spaces, ("nodea", "nodeb"))):
            ip("link", "set", space, "netns", space)
            ip("-n", space, "addr", "add", f"{self.net}.{n + 1}/24", "dev", space)
            ip("-n", space, "link", "set", space, "up")
            ip("-n", space, "link", "set", "lo", "up")
            other = ("nodeb", "nodea")[n]
            (self.work / f"hosts-{name}").write_text(
                f"127.0.0.1 localhost\n127.0.1.1 {name}\n{self.net}.{2 - n} {other}\n")
        return self

    def __exit__(self, *_):
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)

    def link(self, state):
        ip("-n", self.spaces[0], "link", "set", self.spaces[0], state)

    def crossed_bytes(self):
        text = subprocess.run(["ip", "-n", self.spaces[0], "-s", "-j", "link", "show", self.spaces[0]], check=True,
                              capture_output=True, text=True).stdout
        return json.loads(text)[0]["stats64"]["rx"]["bytes"]

    def start(self, node, command, log, **environment):
        name = ("nodea", "nodeb")[node]
        enter = ["ip", "netns", "exec", self.spaces[node], "unshare", "--mount", "--uts", "sh", "-c", ENTER, "enter", name,
                 self.work / f"hosts-{name}"]
        return l.start([*enter, *command], log, OMP_NUM_THREADS="1", **environment)


class Bench:
    def __init__(self, binary, work, nodes):
        self.binary, self.work, self.nodes = pathlib.Path(binary).resolve(), work, nodes
        self.recipe = l.make_training(work, STEPS, TIMEOUT_S)

    def words(self, name, steps):
        return [self.binary, "train", self.recipe, f"run.dir={self.work / name}", f"train.steps={steps}", "-q"]

    def twin(self, ranks, steps):
        name = f"twin-{ranks}-{steps}"
        subprocess.run([str(word) for word in [*self.words(name, steps), "--nproc", ranks]], check=True,
                       stdout=subprocess.DEVNULL)
        return name

    def text(self, name, node):
        return (self.work / f"{name}-{node}.log").read_text(errors="replace")

    def by_hand(self, name, steps, port):
        """Rank 0 on nodea, rank 1 on nodeb, from the environment alone."""
        processes = []
        for rank in range(2):
            with open(self.work / f"{name}-{rank}.log", "wb") as log:
                processes.append(self.nodes.start(rank, self.words(name, steps), log, RANK=str(rank), WORLD_SIZE="2",
                                                  LOCAL_RANK="0", LOCAL_WORLD_SIZE="1", MASTER_ADDR="nodea",
                                                  MASTER_PORT=str(port)))
        return processes

    def by_torchrun(self, name, steps, port, ranks_a_node):
        processes = []
        for node in range(2):
            options = ["--nnodes", "2", "--node-rank", node, "--nproc-per-node", ranks_a_node, "--master-addr", "nodea",
                       "--master-port", port, "--log-dir", self.work / f"{name}-logs-{node}"]
            with open(self.work / f"{name}-{node}.log", "wb") as log:
                processes.append(self.nodes.start(node, [*l.torchrun(), *options, *self.words(name, steps)], log))
        return processes

    def ended_well(self, name, processes):
        for node, process in enumerate(processes):
            status = process.wait(240)
            assert status == 0, f"{name}: node {node} ended with {status}\n{self.text(name, 0)[-3000:]}{self.text(name, 1)[-3000:]}"

    def check_same(self, name, twin):
        assert l.losses(self.work / name) == l.losses(self.work / twin), f"{name}: other losses than {twin}"
        assert l.root_hash(self.work / name) == l.root_hash(self.work / twin), f"{name}: other weights than {twin}"


def whole(bench):
    twin = bench.twin(2, 40)
    for name, start in (("by-hand", lambda name: bench.by_hand(name, 40, l.free_port())),
                        ("torchrun", lambda name: bench.by_torchrun(name, 40, l.free_port(), 1))):
        if name == "torchrun" and l.torchrun() is None:
            print("NOT RUN: torchrun cannot import torch here")
            continue
        before = bench.nodes.crossed_bytes()
        bench.ended_well(name, start(name))
        bench.check_same(name, twin)
        crossed = bench.nodes.crossed_bytes() - before
        assert crossed > 1e6, f"{name}: only {crossed} bytes came over the link"
        print(f"{name}: the losses and weights of --nproc 2, bit for bit; {crossed / 1e6:.1f} MB over the link")
    if l.torchrun() is not None:
        twin = bench.twin(4, 40)
        bench.ended_well("torchrun-4", bench.by_torchrun("torchrun-4", 40, l.free_port(), 2))
        bench.check_same("torchrun-4", twin)
        print("torchrun-4: two ranks on each node, the losses and weights of --nproc 4")


def cut(bench):
    name, run, port = "cut", bench.work / "cut", l.free_port()
    twin = bench.twin(2, STEPS)
    processes = bench.by_hand(name, STEPS, port)
    l.wait_until(f"{name}: step 10", lambda: l.newest_step(run) >= 10, process=processes[0])
    bench.nodes.link("down")
    time.sleep(2)
    bench.nodes.link("up")
    short = l.newest_step(run)
    l.wait_until(f"{name}: goes on after a short cut", lambda: l.newest_step(run) >= short + 10, process=processes[0])
    bench.nodes.link("down")
    began = time.monotonic()
    statuses = [process.wait(60) for process in processes]
    took_s = time.monotonic() - began
    texts = [bench.text(name, rank) for rank in range(2)]
    assert statuses == [75, 75], f"{statuses}\n{texts[0]}\n{texts[1]}"
    assert took_s < TIMEOUT_S + 5, f"ended after {took_s:.1f} s, run.timeout_s is {TIMEOUT_S}"
    for rank in range(2):
        assert re.search(rf"error: .*\brank {1 - rank}\b", texts[rank]), texts[rank]
        print(f"cut: rank {rank} said {texts[rank].strip().splitlines()[-1]!r}")
    begun = l.newest_step(run)
    assert begun < STEPS, "the run was too short to be cut"
    bench.nodes.link("up")
    bench.ended_well(name, bench.by_hand(name, STEPS, port))
    bench.check_same(name, twin)
    print(f"cut: a cut of 2 s is ridden out; a longer one ended both ranks with status 75 after {took_s:.1f} s; "
          f"the same command went on from step {begun} to the weights of the undisturbed run")


def cut_torchrun(bench):
    """The launcher beside rank 0 serves the store: rank 1 loses both, and each says so in its error file."""
    name, run = "cut-torchrun", bench.work / "cut-torchrun"
    processes = bench.by_torchrun(name, 5000, l.free_port(), 1)
    l.wait_until(f"{name}: step 10", lambda: l.newest_step(run) >= 10, process=processes[0])
    bench.nodes.link("down")
    began = time.monotonic()
    l.wait_until(f"{name}: the ranks are gone", lambda: not l.ranks_of(run), TIMEOUT_S + 8)
    took_s = time.monotonic() - began
    bench.nodes.link("up")
    assert all(process.wait(240) != 0 for process in processes)
    for node in range(2):
        files = list((bench.work / f"{name}-logs-{node}").glob("**/error.json"))
        assert len(files) == 1, f"{files}\n{bench.text(name, node)}"
        words = json.loads(files[0].read_text())["message"]
        told = words["extraInfo"]  # the other rank's step is told where it was known before the cut
        assert re.search(rf"\brank {1 - node}\b", words["message"]) and told["exit_status"] == 75, words
        assert "step" in told and told["phase"] and told["rank"] == node, words
        print(f"{name}: after {took_s:.1f} s rank {node}'s error file says {words['message']!r}")


def main():
    missing = [tool for tool in ("ip", "unshare", "mount") if not shutil.which(tool)]
    if missing:
        l.skip(f"{', '.join(missing)} not installed (Debian: iproute2)")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        nodes = Nodes(work)
        try:
            nodes.__enter__()
        except subprocess.CalledProcessError as problem:
            nodes.__exit__()
            l.skip(f"no network namespaces here (CAP_NET_ADMIN is needed): {problem.stderr.decode().strip()}")
        try:
            bench = Bench(sys.argv[1], work, nodes)
            whole(bench)
            cut(bench)
            if l.torchrun() is not None:
                cut_torchrun(bench)
        finally:
            nodes.__exit__()


if __name__ == "__main__":
    main()
