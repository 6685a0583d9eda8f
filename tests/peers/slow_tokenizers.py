"""Llama-3's vocabulary on at least 50 MB of real source in eight languages: ids equal tiktoken's and HF tokenizers'.

The files are those of the eight-language corpus, then Python's library, C headers and documentation of this machine,
each file once. Usage: slow_tokenizers.py RETRACE_BINARY. Needs llama3/tokenizer.model in RETRACE_TEST_DATA and
scripts/fetch-corpus eight.
"""
import os
import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from llama3_vocabulary import hf_tokenizer, read_ranks, tiktoken_encoding, vocabulary_file

RETRACE = sys.argv[1]
DEPS = pathlib.Path(os.environ.get("RETRACE_DEPS", pathlib.Path.home() / ".cache" / "retrace"))
SIZE, BATCH, LARGEST = 50 * 10**6, 200, 4 * 10**6
FOLDERS = [pathlib.Path(sysconfig.get_paths()["stdlib"]), pathlib.Path("/usr/include"), pathlib.Path("/usr/share")]


def texts():
    """Bytes of files that are UTF-8 text, none twice."""
    seen = set()
    for data in everything():
        if data and len(data) <= LARGEST and b"\0" not in data and data not in seen:
            seen.add(data)
            try:
                yield data.decode()
            except UnicodeDecodeError:
                continue


def everything():
    for archive in sorted((DEPS / "corpus" / "eight").glob("*.tar.*")):
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.isfile():
                    yield tar.extractfile(member).read()
    for folder in FOLDERS:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST:
                yield path.read_bytes()


def encoded(vocabulary, folder, batch):
    paths = []
    for i, text in enumerate(batch):
        paths.append(folder / str(i))
        paths[-1].write_bytes(text.encode())
    done = subprocess.run([RETRACE, "tokenizer", "encode", vocabulary, *paths], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return [[int(i) for i in line.split()] for line in done.stdout.decode().split("\n")[:-1]]


def main():
    vocabulary = vocabulary_file()
    if vocabulary is None or not list((DEPS / "corpus" / "eight").glob("*.tar.*")):
        print("skipped: llama3/tokenizer.model (RETRACE_TEST_DATA) or the corpus (scripts/fetch-corpus eight) is absent")
        sys.exit(77)
    ranks = read_ranks(vocabulary)
    encoding, hf = tiktoken_encoding(ranks), hf_tokenizer(ranks)
    size = ids = files = 0
    with tempfile.TemporaryDirectory() as name:
        source = texts()
        while size < SIZE:
            batch = [text for _, text in zip(range(BATCH), source)]
            assert batch, f"the machine has only {size} bytes of text"
            for text, got in zip(batch, encoded(vocabulary, pathlib.Path(name), batch), strict=True):
                assert got == encoding.encode_ordinary(text), f"ids differ from tiktoken's in {text[:60]!r}..."
                assert got == hf.encode(text, add_special_tokens=False).ids, f"ids differ from HF's in {text[:60]!r}..."
                size, ids, files = size + len(text.encode()), ids + len(got), files + 1
    print(f"{ids} ids equal on {size / 1e6:.1f} MB in {files} files")


main()
