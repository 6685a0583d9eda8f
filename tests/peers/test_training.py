"""Training against PyTorch: 50 AdamW steps of transformers' Llama on the same packed documents in fp32 give the losses
that `retrace train` records, within 1e-4 relative at every step; and torchrun gives the losses of --nproc bit for bit.

Usage: test_training.py RETRACE_BINARY
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from streaming import MDSWriter

VOCAB, WIDTH, FEED_FORWARD, LAYERS, HEADS, KV_HEADS = 300, 64, 128, 3, 4, 2
BATCH, LENGTH, STEPS, LR, DECAY, CLIP = 6, 96, 50, 3e-3, 0.1, 1.0
TOLERANCE = 1e-4


def make_samples(rng):
    """BATCH samples, one data set as large as a batch: every step sees all of it, whatever the order."""
    samples = []
    for i in range(BATCH):
        cuts = sorted(rng.choice(np.arange(4, LENGTH - 4), size=i % 3, replace=False).tolist())
        ends = cuts + [LENGTH]
        spans = list(zip([0] + cuts, ends))
        ids = rng.integers(0, VOCAB, LENGTH).astype(np.uint32)
        for t in range(1, LENGTH):  # something to learn
            if rng.random() < 0.7:
                ids[t] = (ids[t - 1] * 7 + 3) % VOCAB
        mask = (rng.random(LENGTH) < 0.8).astype(np.uint8)
        mask[[begin for begin, _ in spans]] = 0
        samples.append((ids, spans, mask))
    return samples


def write_mds(folder, samples):
    columns = {"input_ids": "ndarray:uint32", "indices": "ndarray:uint32", "mask": "ndarray:uint8", "length": "int",
               "domain": "str"}
    with MDSWriter(out=str(folder), columns=columns) as writer:
        for ids, spans, mask in samples:
            writer.write({"input_ids": ids, "indices": np.array(spans, np.uint32), "mask": mask, "length": LENGTH,
                          "domain": "peer"})


def make_model(folder, tied):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=FEED_FORWARD,
                                      num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
                                      tie_word_embeddings=tied, max_position_embeddings=LENGTH)
    model = transformers.LlamaForCausalLM(config).float()
    model.save_pretrained(folder)
    return model


def learning_rate(step):
    warm_up = math.ceil(0.1 * STEPS)
    if step < warm_up:
        return LR * step / warm_up
    progress = (step - warm_up) / max(1, STEPS - warm_up)
    return LR * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))


def peer_losses(model, samples, loss_kind):
    decayed = [p for n, p in model.named_parameters() if "norm" not in n]
    norms = [p for n, p in model.named_parameters() if "norm" in n]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": DECAY}, {"params": norms, "weight_decay": 0.0}],
                                  lr=LR, betas=(0.9, 0.95), eps=1e-8)
    total = sum(int(mask.sum()) for _, _, mask in samples)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = 0.0
        for ids, spans, mask in samples:
            for begin, end in spans:
                tokens = torch.tensor(ids[begin:end].astype(np.int64))[None]
                logits = model(input_ids=tokens).logits[0, :-1]
                nll = torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none")
                share = total if loss_kind == "global_tokens" else len(samples) * int(mask.sum())
                loss = loss + (nll * torch.tensor(mask[begin + 1:end].astype(np.float32))).sum() / share
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
        losses.append(loss.item())
    return losses


def recipe_text(run, model, data, loss_kind, steps):
    return f"""
[run]
dir = "{run}"
threads = 1
timeout_s = 60
[data]
seq_len = {LENGTH}
trajectories = 0
mds_folders = ["{data}"]
mds_names = ["peer"]
mds_weights = [1.0]
[model]
path = "{model}"
dtype = "float32"
[optim]
lr = {LR}
weight_decay = {DECAY}
clip_norm = {CLIP}
[train]
steps = {steps}
batch_sequences = {BATCH}
micro_batch = 2
loss = "{loss_kind}"
"""


def recorded_losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["stage"] == "train"]


def compare(binary, work, tied, loss_kind):
    name = f"{'tied' if tied else 'untied'}-{loss_kind}"
    samples = make_samples(np.random.default_rng(3))
    data, folder, run = work / f"data-{name}", work / f"model-{name}", work / f"run-{name}"
    write_mds(data, samples)
    model = make_model(folder, tied)
    recipe = work / f"{name}.toml"
    recipe.write_text(recipe_text(run, folder, data, loss_kind, STEPS))
    subprocess.run([binary, "train", str(recipe), "-q"], check=True, stdout=subprocess.DEVNULL)
    ours, theirs = recorded_losses(run), peer_losses(model, samples, loss_kind)
    assert len(ours) == STEPS, f"{name}: {len(ours)} steps recorded instead of {STEPS}"
    worst = max(abs(a / b - 1) for a, b in zip(ours, theirs))
    print(f"{name}: loss {theirs[0]:.4f} -> {theirs[-1]:.4f}, worst relative difference {worst:.1e}")
    assert theirs[-1] < 0.5 * theirs[0], f"{name}: the peer did not learn, so the comparison says nothing"
    assert worst < TOLERANCE, f"{name}: losses differ by {worst:.1e} relative"
    return recipe


def compare_torchrun(binary, work, recipe):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node", "2"]
    ready = subprocess.run([sys.executable, "-c", "import torch.distributed.run"], capture_output=True)
    if ready.returncode != 0:
        print("NOT RUN: torchrun cannot import torch here, so its losses are not compared")
        return
    arguments = ["train", str(recipe), "train.steps=8", "-q"]
    subprocess.run([binary, *arguments, f"run.dir={work / 'own'}", "--nproc", "2"], check=True,
                   stdout=subprocess.DEVNULL)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*launcher, binary, *arguments, f"run.dir={work / 'torchrun'}"], check=True, env=environment,
                   stdout=subprocess.DEVNULL)
    ours, theirs = recorded_losses(work / "own"), recorded_losses(work / "torchrun")
    assert len(ours) == 8 and ours == theirs, f"--nproc 2 gives {ours}, torchrun {theirs}"
    print("torchrun and --nproc 2: the same losses bit for bit")


def main():
    binary = sys.argv[1]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        recipe = compare(binary, work, False, "sequence_mean")
        compare(binary, work, True, "global_tokens")
        compare_torchrun(binary, work, recipe)


if __name__ == "__main__":
    main()
