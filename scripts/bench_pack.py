"""Packing of 1 GB of plain text on one thread and on all: MB/s, the ratio, and that the bytes are equal.
On a busy machine the ratio of times says little: the busiest thread's share of the processor time says how far the
work is spread.

The text is real source (Python's library, C headers, the corpora that are there), repeated with another number in
every line, one JSONL object a file of at most 1 MB, tokenised with Llama-3's vocabulary into samples of 8,192 tokens.
Usage: bench_pack.py RETRACE_BINARY BENCH_JSON. Needs llama3/tokenizer.model in RETRACE_TEST_DATA.
RETRACE_BENCH_PACK_MB=100 packs less.
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from bench_tokenizer import texts
from llama3_vocabulary import vocabulary_file

SIZE = int(os.environ.get("RETRACE_BENCH_PACK_MB", "1000")) * 10**6
CORES = len(os.sched_getaffinity(0))


def varied(text, turn):
    """The same text with another number in each sixteenth line, so that no two copies are equal."""
    lines = text.splitlines(keepends=True)
    for i in range(turn % 16, len(lines), 16):
        lines[i] = f"{turn * 1000003 + i} {lines[i]}"
    return "".join(lines)


def write_corpus(path):
    sources = []
    for data in texts():
        try:
            text = data.decode()
        except UnicodeDecodeError:
            continue
        sources += [text[at:at + 1000000] for at in range(0, len(text), 1000000)]
    size = turn = 0
    with path.open("w", newline="") as out:
        while size < SIZE:
            for text in sources:
                text = varied(text, turn)
                out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                size += len(text.encode())
                if size >= SIZE:
                    break
            turn += 1
    return size


def pack(binary, vocabulary, corpus, work, threads):
    run, recipe = work / f"run-{threads}", work / f"{threads}.toml"
    recipe.write_text(f"""
[run]
dir = "{run}"
threads = {threads}
[tokenizer]
path = "{vocabulary}"
[data]
seq_len = 8192
trajectories = 0
text_sources = ["{corpus}"]
text_names = ["text"]
text_weights = [1.0]
""")
    begin, spent = time.perf_counter(), {}
    process = subprocess.Popen([binary, "pack", recipe, "-q"], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        spent.update(thread_times(process.pid))
        time.sleep(0.02)
    assert process.returncode == 0, f"packing gave {process.returncode}"
    return time.perf_counter() - begin, sorted(spent.values(), reverse=True), run / "texts" / "text"


def thread_times(pid):
    """Processor time of each thread so far."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            fields = task.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[task.parent.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def digest(folder):
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()


def main():
    binary, bench = sys.argv[1:3]
    vocabulary = vocabulary_file()
    if vocabulary is None:
        sys.exit("skipped: llama3/tokenizer.model is absent; set RETRACE_TEST_DATA to the folder that holds it")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        size_mb = write_corpus(work / "corpus.jsonl") / 1e6
        rates, digests, spent = {}, set(), {}
        for threads in (1, CORES):
            wall, spent[threads], out = pack(binary, vocabulary, work / "corpus.jsonl", work, threads)
            rates[threads] = size_mb / wall
            digests.add(digest(out))
            print(f"{threads} thread(s): {rates[threads]:7.1f} MB/s, {wall:.1f} s; processor time by thread: "
                  f"{', '.join(f'{s:.1f}' for s in spent[threads])} s", flush=True)
    assert len(digests) == 1, "the bytes depend on the number of threads"
    spread = sum(spent[1]) / spent[CORES][0]
    print(f"{size_mb:.0f} MB: {CORES} threads are {rates[CORES] / rates[1]:.2f} times as fast as one, {spread:.2f} by the "
          f"busiest thread's processor time; the bytes are equal")
    results = json.loads(pathlib.Path(bench).read_text()) if pathlib.Path(bench).exists() else {}
    results["pack"] = {"megabytes": size_mb, "mb_per_s": rates, "processor_s_by_thread": spent, "ratio": rates[CORES] / rates[1],
                       "ratio_by_busiest_thread": spread}
    pathlib.Path(bench).write_text(json.dumps(results, indent=1) + "\n")


main()
