#!/usr/bin/env python3
"""Remakes ruler_goldens.json with RULER's own generators.

usage: make_ruler_goldens.py RULER WORDS > ruler_goldens.json
  RULER  a checkout of github.com/NVIDIA/RULER (made with commit c3f5e3b4f87f97e048793bb510a3a6b19a46bf3a)
  WORDS  folder of nounlist.txt, adjectivelist.txt, verblist.txt (scripts/fetch-ruler-words prints one)
Needs numpy, nltk and tqdm. Per sample: first 16 hex digits of the SHA-256 of input + answer_prefix, length, outputs.
"""
import hashlib
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOKENIZER = r"""
import re
class Toy:
    def text_to_tokens(self, text): return re.findall(r"\w+|[^\w\s]|\s", text)
def select_tokenizer(kind, path): return Toy()
"""
WONDERWORDS = """
import pathlib, types
def _read(name): return [w.rstrip() for w in open(pathlib.Path({words!r}) / name).readlines()]
random_word = types.SimpleNamespace(_get_words_from_text_file=_read)
"""
TASKS = {
    "niah_single_1": ("niah", "--type_haystack noise --type_needle_k words --type_needle_v numbers "
                              "--num_needle_k 1 --num_needle_v 1 --num_needle_q 1"),
    "vt": ("variable_tracking", "--type_haystack noise --num_chains 1 --num_hops 4"),
    "cwe": ("common_words_extraction", "--freq_cw 30 --freq_ucw 3 --num_cw 10"),
}


def main():
    ruler, words = pathlib.Path(sys.argv[1]), str(pathlib.Path(sys.argv[2]).resolve())
    goldens = {}
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        shutil.copytree(ruler / "scripts/data", data)
        (data / "tokenizer.py").write_text(TOKENIZER)
        (data / "wonderwords.py").write_text(WONDERWORDS.format(words=words))
        (data / "synthetic/json/english_words.json").write_text('{"0": "unused"}')
        spec = importlib.util.spec_from_file_location("constants", data / "synthetic/constants.py")
        constants = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(constants)
        for length, samples in ((1024, 8), (4096, 8), (16384, 4)):
            for name, (script, extra) in TASKS.items():
                task = constants.TASKS[script]
                subprocess.run(
                    [sys.executable, data / f"synthetic/{script}.py", "--save_dir", folder, "--save_name", f"{name}-{length}",
                     "--tokenizer_path", "toy", "--tokenizer_type", "toy", "--max_seq_length", str(length),
                     "--tokens_to_generate", str(task["tokens_to_generate"]), "--num_samples", str(samples),
                     "--random_seed", "42", "--template", task["template"] + task["answer_prefix"], *extra.split()],
                    check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(data)})
                rows = [json.loads(line) for line in open(f"{folder}/{name}-{length}/validation.jsonl")]
                goldens[f"{name}-{length}"] = [
                    [hashlib.sha256((r["input"] + r["answer_prefix"]).encode()).hexdigest()[:16], r["length"], r["outputs"]]
                    for r in rows]
    print(json.dumps(goldens, separators=(",", ":")))


main()
