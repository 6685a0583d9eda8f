"""Encoding speed with Llama-3's vocabulary on one thread: retrace against tiktoken and HF tokenizers, same text, same ids.

The text is real source: Python's library, C headers, the tiny corpus, repeated to 24 MB. Times are processor time, best
of the turns; ours includes reading the file and printing the ids, not the program's start.
Usage: bench_tokenizer.py RETRACE_BINARY BENCH_JSON. Needs llama3/tokenizer.model in RETRACE_TEST_DATA.
"""
import base64
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
import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
SIZE, TURNS = 24 << 20, 3
TOP = pathlib.Path(__file__).resolve().parents[1]


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


def hf_tokenizer(ranks):
    """The same vocabulary as byte-level BPE in HF's form: every split of a token into two others is a merge."""
    vocabulary, merges = from_ranks(ranks, byte_letters())
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def byte_letters():
    """The printable character that stands for each byte in byte-level vocabularies."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {b: chr(b) for b in printable}
    for b in range(256):
        letters.setdefault(b, chr(0x100 + len(letters) - len(printable)))
    return letters


def from_ranks(ranks, letters):
    def word(token):
        return "".join(letters[b] for b in token)
    merges = []
    for token, rank in ranks.items():
        pairs = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        pairs.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        merges += [(rank, word(a), word(b)) for a, b in pairs]
    merges.sort(key=lambda merge: merge[0])
    return {word(token): rank for token, rank in ranks.items()}, [(a, b) for _, a, b in merges]


def main():
    binary, bench = sys.argv[1:3]
    data = pathlib.Path(os.environ.get("RETRACE_TEST_DATA", TOP / ".." / "shared" / "data"))
    file = data / "llama3" / "tokenizer.model"
    if not file.exists():
        sys.exit(f"skipped: {file} is absent; set RETRACE_TEST_DATA to a folder with llama3/tokenizer.model")
    ranks = {base64.b64decode(t): int(r) for t, r in (line.split() for line in file.read_bytes().splitlines())}
    tik = tiktoken.Encoding("llama3", pat_str=SPLIT, mergeable_ranks=ranks, special_tokens={})
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


main()
