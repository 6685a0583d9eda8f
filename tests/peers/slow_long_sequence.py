"""65,536 tokens in fp32 against transformers with sdpa attention: each token's log-probability, the loss, and every
gradient. One document of 65,536 tokens (RoPE's base as in the 64K recipe) and one packed sequence of as many in five
documents (Llama 3's scaled RoPE), which transformers sees one by one.

Run by scripts/peer-python with the path of the retrace binary; tests_model beside it does our part.
"""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM

TESTS_MODEL = pathlib.Path(sys.argv[1]).resolve().parent / "tests_model"
TOKENS, VOCABULARY = 65536, 512
LOGPROB_BOUND, LOSS_BOUND, GRADIENT_BOUND = 1e-4, 1e-6, 2e-5
CASES = {
    "one document, RoPE base 8e6": ([TOKENS], "keep_attn", {"rope_type": "default", "rope_theta": 8e6}),
    "five documents, scaled RoPE": (
        [20000, 1, 31000, 4096, 10439], "none",
        {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 8192}),
}


def make_model(folder, rope):
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=TOKENS, rope_parameters=rope, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=None, pad_token_id=None, attn_implementation="sdpa")).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            else:
                parameter.normal_(0, 1.5 * parameter.shape[-1] ** -0.5)
    model.save_pretrained(folder)
    return model


def make_batch(lengths):
    """Each label is the next token of its document; one in ten is left out, the others have weights of their own."""
    ends = numpy.cumsum(lengths)
    ids = torch.randint(VOCABULARY, (TOKENS,))
    labels = torch.roll(ids, -1)
    labels[torch.rand(TOKENS) < 0.1] = -1
    labels[torch.from_numpy(ends) - 1] = -1
    return ids, labels, torch.rand(TOKENS) + 0.5, [0, *ends.tolist()]


def theirs(model, ids, labels, weights, starts):
    nll = torch.zeros(TOKENS)
    for begin, end in zip(starts, starts[1:]):
        logprobs = model(input_ids=ids[begin:end][None], use_cache=False).logits[0].log_softmax(-1)
        picked = logprobs.gather(1, labels[begin:end].clamp_min(0)[:, None])[:, 0]
        nll_here = torch.where(labels[begin:end] >= 0, -picked, 0.0)
        (nll_here.double() * weights[begin:end].double()).sum().backward()
        nll[begin:end] = nll_here.detach()
    return nll


def ours(folder, work, recompute, ids, labels, weights, starts):
    batch, out = work / "batch.json", work / "out"
    batch.write_text(json.dumps({"ids": ids.tolist(), "labels": labels.tolist(), "weights": weights.tolist(),
                                 "starts": starts, "recompute": recompute}))
    environment = dict(os.environ, RETRACE_GRAD_MODEL=str(folder), RETRACE_GRAD_BATCH=str(batch), RETRACE_GRAD_OUT=str(out))
    done = subprocess.run([TESTS_MODEL, "gradients of a HF folder*"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    values = {path.stem: torch.from_numpy(numpy.fromfile(path, dtype=numpy.float32)) for path in out.glob("*.f32")}
    return torch.from_numpy(numpy.fromfile(out / "nll.bin", dtype=numpy.float32)), float((out / "loss.txt").read_text()), values


def compare(name, work, lengths, recompute, rope):
    work.mkdir()
    model = make_model(work / "model", rope)
    ids, labels, weights, starts = make_batch(lengths)
    begin = time.perf_counter()
    want = theirs(model, ids, labels, weights, starts)
    their_s, begin = time.perf_counter() - begin, time.perf_counter()
    got, got_loss, gradients = ours(work / "model", work, recompute, ids, labels, weights, starts)
    our_s = time.perf_counter() - begin
    assert (labels >= 0).sum() > 0.85 * TOKENS and want.mean() > 1, f"{name}: the comparison says nothing"
    gap = (got.double() - want.double()).abs().max().item()
    loss = (want.double() * weights.double()).sum().item()
    off = abs(got_loss / loss - 1)
    parameters = dict(model.named_parameters())
    assert gradients.keys() == parameters.keys(), f"{name}: parameter names"
    errors = {n: ((gradients[n] - p.grad.flatten()).norm() / p.grad.norm()).item() for n, p in parameters.items()}
    worst = max(errors, key=errors.get)
    print(f"{name}: {TOKENS} tokens, log-probabilities within {gap:.1e}, loss within {off:.1e}, gradients within "
          f"{errors[worst]:.1e} ({worst}); {our_s:.0f} s, transformers {their_s:.0f} s", flush=True)
    assert gap < LOGPROB_BOUND, f"{name}: a log-probability differs by {gap}"
    assert off < LOSS_BOUND, f"{name}: loss {got_loss} against {loss}"
    assert errors[worst] < GRADIENT_BOUND, f"{name}: gradient of {worst} differs by {errors[worst]}"


def main():
    assert TESTS_MODEL.exists(), f"{TESTS_MODEL} is missing: build the target tests_model"
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as temporary:
        for index, (name, case) in enumerate(CASES.items()):
            compare(name, pathlib.Path(temporary) / str(index), *case)
    print(f"transformers' memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB at most")


main()
