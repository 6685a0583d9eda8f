"""2,000 steps in bf16: how far the loss strays from that of the same training in fp32, ours beside transformers'.

One tiny Llama, bytes of Python's library, AdamW; both sides take the same batches from the same start. Each side is
compared with its own fp32 twin: the mean over steps of |loss in bf16 - loss in fp32|. Ours (bf16 weights and
activations, fp32 masters) must be no farther off than transformers in either of its ways with fp32 masters: bf16
weights and activations as ours, or autocast (activations stay fp32 between products). Pure bf16 is printed beside it.

Usage: slow_bf16_gap.py RETRACE_BINARY [SEED ...]. tests_data beside the binary says which samples a step takes.
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile

import numpy as np
import torch
import transformers
from streaming import MDSWriter

RETRACE = pathlib.Path(sys.argv[1]).resolve()
TESTS_DATA = RETRACE.parent / "tests_data"
SEEDS = [int(word) for word in sys.argv[2:]] or [1]
STEPS, LAST, BATCH, LENGTH, LR, DECAY, CLIP = 2000, 200, 8, 128, 2e-3, 0.1, 1.0
TOLERANCE = 1.1  # rounding alone sets trainings apart, so gaps as large as each other differ by chance
MODES = ("fp32", "bf16 weights, fp32 masters", "bf16 autocast", "pure bf16")


def write_data(folder):
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    text = b"".join(path.read_bytes() for path in sorted(library.glob("*.py")))
    count = min(len(text) // LENGTH, STEPS * BATCH)
    assert count > STEPS * BATCH // 4, "the machine has no Python library to read"
    samples = np.frombuffer(text[:count * LENGTH], np.uint8).reshape(count, LENGTH)
    columns = {"input_ids": "ndarray:uint32", "indices": "ndarray:uint32", "length": "int", "domain": "str"}
    with MDSWriter(out=str(folder), columns=columns) as writer:
        for row in samples:
            writer.write({"input_ids": row.astype(np.uint32), "indices": np.array([[0, LENGTH]], np.uint32),
                          "length": LENGTH, "domain": "peer"})
    return torch.from_numpy(samples.astype(np.int64))


def batches_of(data, out, seed):
    environment = dict(os.environ, RETRACE_MIX_FOLDER=str(data), RETRACE_MIX_STEPS=str(STEPS), RETRACE_MIX_BATCH=str(BATCH),
                       RETRACE_MIX_SEED=str(seed), RETRACE_MIX_OUT=str(out))
    done = subprocess.run([TESTS_DATA, "batches of a data set*"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [[int(word) for word in line.split()] for line in out.read_text().splitlines()]


def learning_rate(step):
    warm_up = math.ceil(0.1 * STEPS)
    if step < warm_up:
        return LR * step / warm_up
    return LR * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (STEPS - warm_up))))


def make_model(folder, seed):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(vocab_size=256, hidden_size=64, intermediate_size=160, num_hidden_layers=3,
                                      num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False,
                                      max_position_embeddings=LENGTH)
    transformers.LlamaForCausalLM(config).float().save_pretrained(folder)


def peer_losses(folder, samples, batches, mode):
    """The loss is the mean over labels in fp32, of logits in the dtype that the mode computes in, as transformers' own."""
    copied, rounded = mode == "bf16 weights, fp32 masters", mode == "pure bf16"
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16 if copied or rounded else torch.float32).train()
    parameters = list(model.parameters())
    masters = parameters
    if copied:
        source = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        masters = [p.detach().clone().requires_grad_() for p in source.parameters()]
    decayed = ["norm" not in name for name, _ in model.named_parameters()]
    groups = [{"params": [p for p, d in zip(masters, decayed) if d == flag], "weight_decay": DECAY if flag else 0.0}
              for flag in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.95), eps=1e-8, fused=True)
    losses = []
    for step in range(STEPS):
        ids = samples[batches[step]]
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "bf16 autocast"):
            logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        if copied:
            for parameter, master in zip(parameters, masters):
                master.grad = parameter.grad.float()
        torch.nn.utils.clip_grad_norm_(masters, CLIP)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        optimizer.step()
        optimizer.zero_grad()
        model.zero_grad()
        if copied:
            with torch.no_grad():
                for parameter, master in zip(parameters, masters):
                    parameter.copy_(master)
        losses.append(loss.item())
    return np.array(losses)


def our_losses(work, data, folder, dtype, seed):
    run = work / f"run-{dtype}"
    recipe = work / f"{dtype}.toml"
    recipe.write_text(f"""
[run]
dir = "{run}"
threads = 1
seed = {seed}
[data]
seq_len = {LENGTH}
trajectories = 0
mds_folders = ["{data}"]
mds_names = ["peer"]
mds_weights = [1.0]
[model]
path = "{folder}"
dtype = "{dtype}"
[optim]
lr = {LR}
weight_decay = {DECAY}
clip_norm = {CLIP}
[train]
device = "cpu"
steps = {STEPS}
batch_sequences = {BATCH}
micro_batch = {BATCH}
""")
    done = subprocess.run([RETRACE, "train", str(recipe), "-q"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = np.array([line["loss"] for line in lines if line["stage"] == "train"])
    assert len(losses) == STEPS
    return losses


def gaps(losses, twin):
    apart = np.abs(losses - twin)
    return np.array([apart[-LAST:].mean(), apart.mean()])


def one_seed(work, seed):
    work.mkdir()
    samples = write_data(work / "data")
    make_model(work / "model", seed)
    batches = batches_of(work / "data", work / "batches", seed)
    ours = {dtype: our_losses(work, work / "data", work / "model", dtype, seed) for dtype in ("float32", "bfloat16")}
    peers = {mode: peer_losses(work / "model", samples, batches, mode) for mode in MODES}
    fp32 = np.abs(ours["float32"] / peers["fp32"] - 1)
    print(f"seed {seed}: fp32 loss {peers['fp32'][0]:.4f} -> {peers['fp32'][-LAST:].mean():.4f}; ours in fp32 differs by "
          f"{fp32[:100].max():.1e} relative in 100 steps, {gaps(ours['float32'], peers['fp32'])[0]:.1e} over the last {LAST}")
    assert fp32[:20].max() < 1e-5, "the two sides do not train alike in fp32"
    assert peers["fp32"][-LAST:].mean() < 0.5 * peers["fp32"][0], "the peer did not learn, so the comparison says nothing"
    found = {"retrace bf16": gaps(ours["bfloat16"], ours["float32"]),
             **{mode: gaps(peers[mode], peers["fp32"]) for mode in MODES[1:]}}
    for name, (last, whole) in found.items():
        print(f"  {name:28s} last {LAST} steps {last:.5f}, all {whole:.5f}", flush=True)
    return found


def main():
    torch.set_num_threads(1)
    assert TESTS_DATA.exists(), f"{TESTS_DATA} is missing: build the target tests_data"
    with tempfile.TemporaryDirectory() as folder:
        found = [one_seed(pathlib.Path(folder) / str(seed), seed) for seed in SEEDS]
    means = {name: np.mean([seed[name] for seed in found], axis=0) for name in found[0]}
    for name, (last, whole) in means.items():
        print(f"mean of {len(SEEDS)} seeds, {name:28s} last {LAST} steps {last:.5f}, all {whole:.5f}")
    for i, what in enumerate((f"the last {LAST} steps", "all steps")):
        mine, bound = means["retrace bf16"][i], min(means[mode][i] for mode in MODES[1:3])
        assert mine <= TOLERANCE * bound, f"over {what} ours is {mine:.5f} from fp32, transformers' {bound:.5f}"


main()
