"""Encoding speed with Llama-3's vocabulary on one thread: retrace against tiktoken and HF tokenizers, same text, same ids.

The text is real source: Python's library, C headers, the tiny corpus, repeated to 24 MB. Times are processor time, best
of the turns; ours includes reading the file and printing the ids, not the program's start.
Usage: bench_tokenizer.py RETRACE_BINARY BENCH_JSON. Needs llama3/tokenizer.model in RETRACE_TEST_DATA.
"""
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import tempfile

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from llama3_vocabulary import hf_tokenizer, read_ranks, tiktoken_encoding, vocabulary_file

SIZE, TURNS = 24 << 20, 3


def texts():
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        yield path.read_bytes()
    for path in sorted(pathlib.Path("/usr/include").glob("*.h")):
        yield path.read_bytes()
    deps = pathlib.Path(os.environ.get("RETRACE_DEPS", pathlib.Path.home() / ".cache" / "retrace"))
    for archive in sorted((deps / "corpus" / "tiny").glob("*.tar.*")):
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile():
                    yield tar.extractfile(member).read()


def mixed_text():
    whole = "".join(t.decode() for t in texts() if is_text(t))
    return (whole * (1 + SIZE // len(whole)))[:SIZE]


def is_text(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError:
        return False


def seconds(action):
    best, result = float("inf"), None
    for _ in range(TURNS):
        before = os.times()
        result = action()
        after = os.times()
        best = min(best, sum(after[:4]) - sum(before[:4]))
    return best, result


def main():
    binary, bench = sys.argv[1:3]
    file = vocabulary_file()
    if file is None:
        sys.exit("skipped: llama3/tokenizer.model is absent; set RETRACE_TEST_DATA to the folder that holds it")
    ranks = read_ranks(file)
    tik = tiktoken_encoding(ranks)
    hf = hf_tokenizer(ranks)
    text = mixed_text()
    size_mb = len(text.encode()) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        path, empty = pathlib.Path(folder) / "text", pathlib.Path(folder) / "empty"
        path.write_text(text, newline="")
        empty.write_text("x")

        def ours(source, out=subprocess.DEVNULL):
            return subprocess.run([binary, "tokenizer", "encode", file, source], stdout=out, check=True).stdout
        printed = ours(path, subprocess.PIPE)
        whole_s, _ = seconds(lambda: ours(path))
        start_s, _ = seconds(lambda: ours(empty))
    ours_s = whole_s - start_s
    tik_s, ids = seconds(lambda: tik.encode_ordinary(text))
    assert [int(i) for i in printed.split()] == ids, "ids differ from tiktoken's"
    # HF keeps offsets of every token: in pieces of a megabyte, cut at line ends, it is faster than on the whole.
    pieces = text.splitlines(keepends=True)
    chunks, chunk = [], ""
    for piece in pieces:
        chunk += piece
        if len(chunk) > 1 << 20:
            chunks.append(chunk)
            chunk = ""
    chunks.append(chunk)
    assert hf.encode(chunks[0], add_special_tokens=False).ids == tik.encode_ordinary(chunks[0]), "HF's form is another vocabulary"
    hf_s, _ = seconds(lambda: [hf.encode(c, add_special_tokens=False).ids for c in chunks])
    rates = {"retrace": size_mb / ours_s, "tiktoken": size_mb / tik_s, "HF tokenizers": size_mb / hf_s}
    for name, rate in rates.items():
        print(f"{name:<16} {rate:7.2f} MB/s   retrace is {rates['retrace'] / rate:.2f} times as fast")
    results = json.loads(pathlib.Path(bench).read_text()) if pathlib.Path(bench).exists() else {}
    results["tokenizer"] = {"megabytes": size_mb, "mb_per_s": rates, "ratio_to_tiktoken": rates["retrace"] / rates["tiktoken"],
                            "ratio_to_hf": rates["retrace"] / rates["HF tokenizers"]}
    pathlib.Path(bench).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
