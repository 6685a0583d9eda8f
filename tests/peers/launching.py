"""Shared by the tests of launchers: a tiny training recipe with data, what a run has recorded, and its processes."""
import json
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import time

RECIPE = """
[run]
threads = 1
timeout_s = {timeout_s}
[tokenizer]
vocab_size = 300
[data]
seq_len = 32
trajectories = 0
mds_folders = ["{data}"]
mds_names = ["tiny"]
mds_weights = [1.0]
[model]
hidden_size = {width}
intermediate_size = {width}
num_layers = 2
num_heads = 4
num_kv_heads = 2
dtype = "float32"
[optim]
lr = 1e-2
[train]
steps = {steps}
batch_sequences = 8
micro_batch = 2
device = "cpu"
[checkpoint]
every = 5
"""


def make_training(folder, steps, timeout_s=30, width=32):
    """A recipe and one MDS shard of 64 random samples of 32 tokens (mosaicml-streaming format v2)."""
    rng, tokens, samples = random.Random(7), 32, 64
    data = folder / "data"
    data.mkdir()
    config = {"version": 2, "format": "mds", "compression": None, "hashes": [], "size_limit": 1 << 26,
              "column_names": ["input_ids"], "column_encodings": [f"ndarray:uint16:{tokens}"], "column_sizes": [2 * tokens]}
    text = json.dumps(config, sort_keys=True).encode()
    begin = 4 + 4 * (samples + 1) + len(text)
    shard = struct.pack(f"<{samples + 2}I", samples, *(begin + 2 * tokens * i for i in range(samples + 1))) + text
    for _ in range(samples):
        shard += struct.pack(f"<{tokens}H", *(rng.randrange(1, 40) for _ in range(tokens)))
    (data / "shard.00000.mds").write_bytes(shard)
    raw = {"basename": "shard.00000.mds", "bytes": len(shard), "hashes": {}}
    shards = [{**config, "samples": samples, "raw_data": raw, "zip_data": None}]
    (data / "index.json").write_text(json.dumps({"version": 2, "shards": shards}))
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE.format(data=data, steps=steps, timeout_s=timeout_s, width=width))
    return recipe


def make_repositories(folder, count):
    """Small Python repositories, no two alike."""
    for r, topic in enumerate(["queue", "matrix", "parser", "ledger", "router", "cache", "vector", "signal"][:count]):
        root = folder / f"{topic}kit"
        (root / topic).mkdir(parents=True)
        (root / "LICENSE").write_text("MIT License\n\nPermission is hereby granted, free of charge, to any person\n")
        (root / "README.md").write_text(f"# {topic}kit\n\nTools for a {topic} with {r + 2} fields.\n")
        (root / topic / "__init__.py").write_text(f'"""A {topic}."""\n\nfrom .core import run\n')
        text = f'"""What a {topic} does."""\n'
        for f in range(6):
            text += (f"\n\ndef {topic}_{f}(rows, limit={r * 7 + f}):\n    \"\"\"{topic.title()} step {f} of {r}.\"\"\"\n"
                     f"    kept = [row + {f * 3 + r} for row in rows[:limit]]\n    return kept\n")
        (root / topic / "core.py").write_text(text + f"\n\ndef run(rows):\n    return {topic}_0({topic}_{r % 6}(rows))\n")
    return folder


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["stage"] == "train"]


def newest_step(run):
    found = [int(path.name[5:]) for path in (run / "checkpoints").glob("step-*") if path.name[5:].isdigit()]
    return max(found, default=0)


def root_hash(run):
    """Identity of the newest checkpoint: weights and moments."""
    return json.loads((run / "checkpoints" / f"step-{newest_step(run)}" / "manifest.json").read_text())["root"]


def environment_of(pid):
    try:
        words = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    return dict(word.decode(errors="replace").split("=", 1) for word in words if b"=" in word)


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def ranks_of(run):
    """rank -> process number of the retrace processes that work on the run folder now."""
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"python" in words[0] or f"run.dir={run}".encode() not in words:
            continue
        variables = environment_of(path.parent.name)
        rank = next((variables[name] for name in ("RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID") if name in variables), None)
        if rank is not None and path.parent.joinpath("exe").exists() and os.readlink(path.parent / "exe").endswith("/retrace"):
            found[int(rank)] = int(path.parent.name)
    return found


def wait_until(what, condition, timeout_s=300, process=None):
    end = time.monotonic() + timeout_s
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"{what}: the launcher ended before, with status {process.returncode}")
        assert time.monotonic() < end, f"{what}: not within {timeout_s} s"
        time.sleep(0.02)


def kill_rank(run, rank):
    os.kill(ranks_of(run)[rank], signal.SIGKILL)


def free_port():
    """Below the ports that Linux gives to outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def start(command, log, **environment):
    return subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT,
                            stdin=subprocess.DEVNULL, env={**os.environ, **environment})


def torchrun():
    """The launcher's words, or None where torch's Python package is not there."""
    if subprocess.run([sys.executable, "-c", "import torch.distributed.run"], capture_output=True, check=False).returncode:
        return None
    return [sys.executable, "-m", "torch.distributed.run", "--no-python"]


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)
