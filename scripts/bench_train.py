"""Training speed of the 5.0M-parameter shape: retrace against HF Transformers with fused AdamW, same tokens, same threads.

Both run in turns on the same machine, several times each; the figure is the median over the steps of the best turn.
Usage: bench_train.py RETRACE_BINARY BENCH_JSON
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
import transformers
from streaming import MDSWriter

VOCAB, WIDTH, FEED_FORWARD, LAYERS, HEADS, KV_HEADS = 4096, 256, 704, 4, 4, 2
BATCH, LENGTH, STEPS, WARM_STEPS, TURNS = 4, 1024, 12, 4, 2
THREADS = len(os.sched_getaffinity(0))


def make_data(folder):
    columns = {"input_ids": "ndarray:uint32", "indices": "ndarray:uint32", "length": "int", "domain": "str"}
    rng = np.random.default_rng(1)
    with MDSWriter(out=str(folder), columns=columns) as writer:
        for _ in range(BATCH * STEPS):
            writer.write({"input_ids": rng.integers(0, VOCAB, LENGTH).astype(np.uint32),
                          "indices": np.array([[0, LENGTH]], np.uint32), "length": LENGTH, "domain": "bench"})


def run_ours(binary, work, data, dtype, turn):
    run = work / f"run-{dtype}-{turn}"
    recipe = work / f"bench-{dtype}-{turn}.toml"
    recipe.write_text(f"""
[run]
dir = "{run}"
threads = {THREADS}
[tokenizer]
vocab_size = {VOCAB}
[data]
seq_len = {LENGTH}
trajectories = 0
mds_folders = ["{data}"]
mds_names = ["bench"]
mds_weights = [1.0]
[model]
hidden_size = {WIDTH}
intermediate_size = {FEED_FORWARD}
num_layers = {LAYERS}
num_heads = {HEADS}
num_kv_heads = {KV_HEADS}
dtype = "{dtype}"
[train]
steps = {STEPS}
batch_sequences = {BATCH}
micro_batch = {BATCH}
[checkpoint]
every = 0
""")
    subprocess.run([binary, "train", str(recipe), "-q"], check=True)
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [s for s in steps if s.get("stage") == "train"]
    return BATCH * LENGTH / statistics.median(s["step_time_s"] for s in steps[WARM_STEPS:])


def run_peer(mode):
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    config = transformers.LlamaConfig(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=FEED_FORWARD,
                                      num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
                                      tie_word_embeddings=False)
    model = transformers.LlamaForCausalLM(config)
    if mode == "pure bf16":
        model = model.to(torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids, times = torch.randint(0, VOCAB, (BATCH, LENGTH)), []
    for _ in range(STEPS):
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "bf16 autocast"):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - begin)
    return BATCH * LENGTH / statistics.median(times[WARM_STEPS:])


def main():
    binary, out = sys.argv[1], pathlib.Path(sys.argv[2])
    ours, peer = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        make_data(work / "data")
        for turn in range(TURNS):
            for dtype in ("float32", "bfloat16"):
                ours[dtype] = max(ours.get(dtype, 0), run_ours(binary, work, work / "data", dtype, turn))
            for mode in ("fp32", "bf16 autocast", "pure bf16"):
                peer[mode] = max(peer.get(mode, 0), run_peer(mode))
    best = max(peer.values())
    result = {"shape": "5.0M", "threads": THREADS, "tokens_per_s": ours, "peer_tokens_per_s": peer,
              "ratio_to_best_peer": max(ours.values()) / best}
    everything = json.loads(out.read_text()) if out.exists() else {}
    everything["train"] = result
    out.write_text(json.dumps(everything, indent=1) + "\n")
    for name, value in ours.items():
        print(f"retrace {name:14s} {value:9.0f} tokens/s  {value / best:5.2f} x the best peer setting")
    for name, value in peer.items():
        print(f"transformers {name:9s} {value:9.0f} tokens/s")


if __name__ == "__main__":
    main()
