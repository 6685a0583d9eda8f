"""Llama against transformers: log-probabilities, greedy text and gradients of random tiny models of many shapes.

Run by scripts/peer-python with the path of the retrace binary; the gradients come from tests_model beside it.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["OMP_NUM_THREADS"] = "1"  # the models are tiny; this holds for the programs started below too

import numpy
import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

RETRACE = pathlib.Path(sys.argv[1]).resolve()
TESTS_MODEL = RETRACE.parent / "tests_model"
TEXT = pathlib.Path(__file__).read_text()
LOGPROB_BOUND, GRADIENT_BOUND = 1e-4, 1e-5

LLAMA3_SCALING = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 64}

SHAPES = {
    "gqa 4/2": dict(hidden_size=128, num_attention_heads=4, num_key_value_heads=2),
    "gqa 6/1, width 192": dict(hidden_size=192, num_attention_heads=6, num_key_value_heads=1),
    "no gqa, head 64": dict(hidden_size=128, num_attention_heads=2, num_key_value_heads=2, head_dim=64),
    "head 128 wider than the model": dict(hidden_size=96, num_attention_heads=3, num_key_value_heads=1, head_dim=128),
    "tied": dict(hidden_size=96, num_attention_heads=3, num_key_value_heads=3, tie_word_embeddings=True),
    "llama3 scaling": dict(hidden_size=128, num_attention_heads=4, num_key_value_heads=2,
                           rope_parameters=dict(LLAMA3_SCALING, rope_theta=500000.0)),
    "llama3 scaling, tied, other epsilon": dict(
        hidden_size=256, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-6,
        rope_parameters=dict(LLAMA3_SCALING, factor=32.0, rope_theta=10000.0)),
}


def make_tokenizer(folder):
    """A byte-level BPE of 400 tokens with no special token."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([TEXT], trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def make_model(folder, shape):
    settings = dict(vocab_size=400, intermediate_size=160, num_hidden_layers=3, max_position_embeddings=4096,
                    bos_token_id=None, eos_token_id=None, pad_token_id=None, rms_norm_eps=1e-5)
    settings.update(shape)
    model = LlamaForCausalLM(LlamaConfig(**settings)).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            else:
                parameter.normal_(0, 1.5 * parameter.shape[-1] ** -0.5)
    model.save_pretrained(folder, max_shard_size="200KB")
    return model


def retrace(*arguments):
    done = subprocess.run([RETRACE, *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, f"retrace {arguments[0]} gave {done.returncode}: {done.stderr.decode()}"
    return done.stdout


def compare_scores(name, folder, model, text_file):
    line = json.loads(retrace("score", folder, text_file, "--per-token"))
    ids = torch.tensor(line["ids"])
    ours = torch.tensor(line["logprobs"][1:], dtype=torch.float64)
    with torch.no_grad():
        logits = model(ids[None]).logits[0].float()
    theirs = logits.log_softmax(-1)[:-1].gather(1, ids[1:, None])[:, 0].double()
    assert line["logprobs"][0] is None and len(ours) == len(theirs) > 500
    gap = (ours - theirs).abs().max().item()
    assert gap < LOGPROB_BOUND, f"{name}: log-probabilities differ by {gap}"
    assert abs(line["nll"] + theirs.sum().item()) < 1e-3 * len(theirs), f"{name}: nll"
    return gap


def compare_greedy(name, folder, model, tokenizer):
    for prompt in ("a", TEXT[:700]):
        ids = tokenizer.encode(prompt).ids
        with torch.no_grad():
            made = model.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False,
                                  pad_token_id=0)[0, len(ids):].tolist()
        ours = retrace("generate", folder, "--prompt", prompt, "--max-tokens", 40)
        assert ours.decode(errors="replace") == tokenizer.decode(made), \
            f"{name}: greedy text differs: {ours!r} against {tokenizer.decode(made)!r}"


def compare_gradients(name, folder, model, recompute, temp):
    """A packed batch of three documents, some labels absent, weighted; HF sees the documents one by one."""
    generator = torch.Generator().manual_seed(7)
    lengths = [37, 1, 90]
    starts = [0, 37, 38, 128]
    ids = torch.randint(400, (128,), generator=generator)
    labels = torch.cat([ids[1:], ids[:1]])
    labels[[36, 37, 127, 5, 60]] = -1
    weights = torch.rand(128, generator=generator) + 0.5
    loss = torch.zeros((), dtype=torch.float64)
    model.zero_grad()
    for start, length in zip(starts, lengths):
        span = slice(start, start + length)
        logprobs = model(ids[span][None]).logits[0].log_softmax(-1)
        has = labels[span] >= 0
        picked = logprobs.gather(1, labels[span].clamp_min(0)[:, None])[:, 0]
        loss = loss - (picked * weights[span] * has).sum()
    loss.backward()

    batch, out = temp / "batch.json", temp / "gradients"
    batch.write_text(json.dumps({"ids": ids.tolist(), "labels": labels.tolist(), "weights": weights.tolist(),
                                 "starts": starts, "recompute": recompute}))
    environment = dict(os.environ, RETRACE_GRAD_MODEL=str(folder), RETRACE_GRAD_BATCH=str(batch),
                       RETRACE_GRAD_OUT=str(out))
    done = subprocess.run([TESTS_MODEL, "gradients of a HF folder*"], env=environment, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ours_loss = float((out / "loss.txt").read_text())
    assert abs(ours_loss - loss.item()) < 1e-5 * loss.item(), f"{name}: loss {ours_loss} against {loss.item()}"
    worst = 0.0
    parameters = dict(model.named_parameters())
    assert {p.name for p in out.glob("*.f32")} == {n + ".f32" for n in parameters}, f"{name}: parameter names"
    for parameter_name, parameter in parameters.items():
        ours = torch.from_numpy(numpy.fromfile(out / (parameter_name + ".f32"), dtype=numpy.float32))
        theirs = parameter.grad.flatten()
        error = ((ours - theirs).norm() / theirs.norm()).item()
        assert error < GRADIENT_BOUND, f"{name}: gradient of {parameter_name} differs by {error}"
        worst = max(worst, error)
    for file in out.iterdir():
        file.unlink()
    return worst


def main():
    torch.manual_seed(1)
    assert TESTS_MODEL.exists(), f"{TESTS_MODEL} is missing: build the target tests_model"
    with tempfile.TemporaryDirectory() as temporary:
        temp = pathlib.Path(temporary)
        text_file = temp / "text.py"
        text_file.write_text(TEXT[:6000])  # one window: longer texts are rolled
        for index, (name, shape) in enumerate(SHAPES.items()):
            folder = temp / f"model-{index}"
            model = make_model(folder, shape)
            tokenizer = make_tokenizer(folder)
            gap = compare_scores(name, folder, model, text_file)
            compare_greedy(name, folder, model, tokenizer)
            recompute = ("none", "keep_attn", "full")[index % 3]
            worst = compare_gradients(name, folder, model, recompute, temp)
            print(f"{name}: log-probabilities within {gap:.1e}, gradients within {worst:.1e} ({recompute})")


main()
