"""Wall clocks that differ between ranks and jump while they train: nothing that waits may care. libfaketime moves the clock
of each rank and leaves the monotonic one alone.

Usage: test_clock.py RETRACE_BINARY
"""
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import launching as l

STEPS, TIMEOUT_S, DAY_S = 160, 5, 86400


def library():
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return found[0] if found else None


class Job:
    """Two ranks by hand, each with a clock of its own that `set_clock` moves."""

    def __init__(self, binary, work, name, steps):
        self.run, self.clocks, self.log = work / name, [work / f"{name}-clock-{r}" for r in range(2)], work / f"{name}.log"
        port = l.free_port()
        self.processes = []
        for rank, offset in enumerate(("+3h", "-2h")):
            self.set_clock(rank, offset)
            with open(self.log, "ab") as log:
                words = [binary, "train", work / "tiny.toml", f"run.dir={self.run}", f"train.steps={steps}", "-q"]
                self.processes.append(l.start(
                    words, log, RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE="2",
                    MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), LD_PRELOAD=str(library()), DONT_FAKE_MONOTONIC="1",
                    FAKETIME_TIMESTAMP_FILE=str(self.clocks[rank]), FAKETIME_NO_CACHE="1"))

    def set_clock(self, rank, offset):
        part = self.clocks[rank].with_suffix(".part")
        part.write_text(offset + "\n")
        part.rename(self.clocks[rank])

    def wait_for_step(self, step):
        l.wait_until(f"step {step}", lambda: l.newest_step(self.run) >= step, process=self.processes[0])

    def text(self):
        return self.log.read_text(errors="replace")


def jumps(binary, work):
    job = Job(binary, work, "jumps", STEPS)
    for step, first, second in ((20, "+40d", "-40d"), (50, "-40d", "+40d"), (80, "+0", "+400d")):
        job.wait_for_step(step)
        job.set_clock(0, first)
        job.set_clock(1, second)
    statuses = [process.wait(240) for process in job.processes]
    assert statuses == [0, 0], f"{statuses}\n{job.text()}"
    times = [json.loads(line)["time"] for line in (job.run / "metrics.jsonl").read_text().splitlines()]
    moves = [later - earlier for earlier, later in zip(times, times[1:])]
    assert max(moves) > 30 * DAY_S and min(moves) < -30 * DAY_S, "the clock was not moved: the test says nothing"
    assert l.losses(job.run) == l.losses(work / "twin") and l.root_hash(job.run) == l.root_hash(work / "twin")
    print(f"jumps of {min(moves) / DAY_S:.0f} and {max(moves) / DAY_S:+.0f} days: the losses and weights of a quiet clock")


def frozen(binary, work):
    """While clocks jump, a frozen rank is found out after run.timeout_s of real time, not sooner and not later."""
    job = Job(binary, work, "frozen", 5000)
    job.wait_for_step(20)
    pid = l.ranks_of(job.run)[1]
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    offsets = ["+40d", "-40d"]
    while job.processes[0].poll() is None and time.monotonic() - began < TIMEOUT_S + 30:
        job.set_clock(0, offsets[0])
        offsets.reverse()
        time.sleep(0.3)
    took_s = time.monotonic() - began
    os.kill(pid, signal.SIGKILL)
    statuses = [process.wait(60) for process in job.processes]
    assert statuses[0] == 75, f"{statuses}\n{job.text()}"
    assert "rank 1 (step" in job.text(), job.text()
    assert TIMEOUT_S - 0.5 <= took_s <= TIMEOUT_S + 5, f"found out after {took_s:.1f} s instead of {TIMEOUT_S}"
    print(f"a frozen rank under a jumping clock: found out after {took_s:.1f} s, run.timeout_s is {TIMEOUT_S}")


def main():
    if not shutil.which("faketime") or library() is None:
        l.skip("libfaketime is not installed (Debian: faketime)")
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        recipe = l.make_training(work, STEPS, TIMEOUT_S)
        with open(work / "twin.log", "wb") as log:
            twin = l.start([binary, "train", recipe, f"run.dir={work / 'twin'}", "-q", "--nproc", "2"], log)
        assert twin.wait(240) == 0, (work / "twin.log").read_text()
        jumps(binary, work)
        frozen(binary, work)


if __name__ == "__main__":
    main()
