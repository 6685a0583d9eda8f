"""Training speed of two shapes, retrace against HF Transformers with fused AdamW: same weights' shape, tokens and threads.
5.0M: parameters drawn at random, 4 x 1,024 tokens a step. SmolLM2-135M: the real weights, 1 x 1,024 tokens a step.

Both run in turns on the same machine. A turn's figure is the median over its steps, the figure the median over turns;
the ratio is that of one turn to the best peer setting of the same turn, again the median over turns.
Usage: bench_train.py RETRACE_BINARY BENCH_JSON. RETRACE_BENCH_SHAPES=smollm2-135m,5.0m names shapes (default: all),
RETRACE_BENCH_LENGTH=4096 sets SmolLM2's sequence, RETRACE_BENCH_TURNS=1 the turns, RETRACE_BENCH_THREADS=1 the threads:
one thread is timed by its processor time, so that what else runs on the machine does not count.
"""
import gc
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
import transformers
from streaming import MDSWriter

FETCH = pathlib.Path(__file__).resolve().parent / "fetch-smollm2"
THREADS = int(os.environ.get("RETRACE_BENCH_THREADS", len(os.sched_getaffinity(0))))
PEER_MODES = ("fp32", "bf16 autocast", "pure bf16")
OUR_MODES = {"float32": "fp32", "bfloat16": "bf16"}
SMALL = dict(vocab_size=4096, hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, tie_word_embeddings=False)


class Shape:
    """What both sides train: a Hugging Face folder, `batch` sequences of `length` tokens a step."""

    def __init__(self, name, batch, length, steps, warm_steps, turns):
        self.name, self.batch, self.length = name, batch, length
        self.steps, self.warm_steps, self.turns = steps, warm_steps, turns

    def prepare(self, binary, work):
        self.folder = work / f"{self.name}-weights"
        if self.name == "5.0m":
            torch.manual_seed(0)
            transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL)).save_pretrained(self.folder)
        else:
            source = subprocess.run([FETCH], stdout=subprocess.PIPE, text=True, check=True).stdout.strip().splitlines()[-1]
            subprocess.run([binary, "import", source, self.folder], check=True, stdout=subprocess.DEVNULL)
        self.vocabulary = json.loads((self.folder / "config.json").read_text())["vocab_size"]
        self.ids = np.random.default_rng(1).integers(0, self.vocabulary, (self.batch, self.length))
        self.data, self.work = work / f"{self.name}-data", work
        columns = {"input_ids": "ndarray:uint32", "indices": "ndarray:uint32", "length": "int", "domain": "str"}
        with MDSWriter(out=str(self.data), columns=columns) as writer:
            for row in self.ids:
                writer.write({"input_ids": row.astype(np.uint32), "indices": np.array([[0, self.length]], np.uint32),
                              "length": self.length, "domain": "bench"})

    def rate(self, times):
        return self.batch * self.length / statistics.median(times[self.warm_steps:])


def run_ours(binary, shape, dtype, turn):
    run = shape.work / f"{shape.name}-{dtype}-{turn}"
    recipe = run.with_suffix(".toml")
    recipe.write_text(f"""
[run]
dir = "{run}"
threads = {THREADS}
[data]
seq_len = {shape.length}
trajectories = 0
mds_folders = ["{shape.data}"]
mds_names = ["bench"]
mds_weights = [1.0]
[model]
path = "{shape.folder}"
dtype = "{dtype}"
recompute = "none"
[train]
device = "cpu"
steps = {shape.steps}
batch_sequences = {shape.batch}
micro_batch = {shape.batch}
[checkpoint]
every = 0
""")
    process = subprocess.Popen([binary, "train", str(recipe), "-q"], stdout=subprocess.DEVNULL)
    ends = processor_time_at_steps(process, run / "metrics.jsonl")
    assert process.wait() == 0, f"retrace train gave {process.returncode}"
    shutil.rmtree(run / "checkpoints")
    if THREADS == 1:
        return shape.rate([b - a for a, b in zip([0, *ends], ends)])
    return shape.rate([s["step_time_s"] for s in train_lines(run / "metrics.jsonl")])


def train_lines(metrics):
    """Whole lines only: the last may still be in the making."""
    text = metrics.read_text() if metrics.exists() else ""
    return [line for line in map(json.loads, text[:text.rfind("\n") + 1].splitlines()) if line.get("stage") == "train"]


def processor_time_at_steps(process, metrics):
    """The process's processor time when it has recorded a step, for each step, to 10 ms."""
    ends = []
    while process.poll() is None:
        steps = len(train_lines(metrics))
        try:
            fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            break
        ends += [(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")] * (steps - len(ends))
        time.sleep(0.005)
    return ends


def run_peer(shape, mode):
    torch.set_num_threads(THREADS)
    dtype = torch.bfloat16 if mode == "pure bf16" else torch.float32
    model = transformers.AutoModelForCausalLM.from_pretrained(shape.folder, dtype=dtype).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids, times = torch.from_numpy(shape.ids), []
    now = time.process_time if THREADS == 1 else time.perf_counter
    for _ in range(shape.steps):
        begin = now()
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "bf16 autocast"):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(now() - begin)
    del model, optimizer, loss
    gc.collect()
    return shape.rate(times)


def bench(binary, shape, work):
    shape.prepare(binary, work)
    ours, peers, ratios = {d: [] for d in OUR_MODES}, {m: [] for m in PEER_MODES}, []
    for turn in range(shape.turns):
        for dtype in OUR_MODES:
            ours[dtype].append(run_ours(binary, shape, dtype, turn))
        for mode in PEER_MODES:
            peers[mode].append(run_peer(shape, mode))
        ratios.append(ours["bfloat16"][-1] / max(rates[-1] for rates in peers.values()))
    result = {"tokens_a_step": f"{shape.batch} x {shape.length}", "threads": THREADS, "clock": "processor" if THREADS == 1 else "wall",
              "tokens_per_s": {d: statistics.median(r) for d, r in ours.items()},
              "peer_tokens_per_s": {m: statistics.median(r) for m, r in peers.items()},
              "ratios_to_best_peer": ratios, "ratio_to_best_peer": statistics.median(ratios)}
    print(f"{shape.name}, {shape.batch} x {shape.length} tokens a step, {THREADS} thread(s){', processor time' if THREADS == 1 else ''}")
    for name, rates in [*((f"retrace {OUR_MODES[d]}", r) for d, r in ours.items()),
                        *((f"transformers {m}", r) for m, r in peers.items())]:
        print(f"  {name:26s} {statistics.median(rates):9.0f} tokens/s   turns: {' '.join(f'{r:.0f}' for r in rates)}")
    print(f"  retrace bf16 is {result['ratio_to_best_peer']:.2f} times the best peer setting "
          f"(turns: {' '.join(f'{r:.2f}' for r in ratios)})", flush=True)
    return result


def main():
    binary, out = sys.argv[1], pathlib.Path(sys.argv[2])
    length = int(os.environ.get("RETRACE_BENCH_LENGTH", "1024"))
    turns = int(os.environ.get("RETRACE_BENCH_TURNS", "3"))
    shapes = [Shape("5.0m", 4, 1024, 12, 4, turns), Shape("smollm2-135m", 1, length, 6, 2, turns)]
    wanted = os.environ.get("RETRACE_BENCH_SHAPES")
    if wanted and set(wanted.split(",")) - {shape.name for shape in shapes}:
        sys.exit(f"RETRACE_BENCH_SHAPES={wanted}: the shapes are {', '.join(shape.name for shape in shapes)}")
    everything = json.loads(out.read_text()) if out.exists() else {}
    results = everything.setdefault("train", {})
    for stale in [key for key in results if key not in {shape.name for shape in shapes}]:
        del results[stale]
    with tempfile.TemporaryDirectory() as folder:
        for shape in shapes:
            if not wanted or shape.name in wanted.split(","):
                results[shape.name] = bench(binary, shape, pathlib.Path(folder))
                out.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
