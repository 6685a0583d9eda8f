"""Llama-3's vocabulary on adversarial Unicode: ids equal tiktoken's and HF tokenizers', broken UTF-8 comes back.

Every code point in several surroundings, every string of up to four awkward pieces (CR, LF, blanks, contractions,
digits), long runs (blanks, combining marks, ideographs, one letter), emoji sequences, text of all planes at random.
Code points that Python's own tables do not know stand beside a digit and a contraction, which shows whether they count
as letters or numbers of a later Unicode.
Usage: test_unicode.py RETRACE_BINARY. Needs llama3/tokenizer.model in RETRACE_TEST_DATA.
"""
import itertools
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from llama3_vocabulary import hf_tokenizer, read_ranks, tiktoken_encoding, vocabulary_file

RETRACE = sys.argv[1]
MARKS = [chr(c) for c in range(0x300, 0x36F)]
ZWJ, SELECTOR = "\u200d", "\ufe0f"


class Ours:
    def __init__(self, vocabulary, folder):
        self.vocabulary, self.folder = vocabulary, folder

    def lines(self, texts):
        """The ids of each text, all from one process."""
        paths = []
        for i, text in enumerate(texts):
            paths.append(self.folder / str(i))
            paths[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
        done = subprocess.run([RETRACE, "tokenizer", "encode", self.vocabulary, *paths], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return [[int(i) for i in line.split()] for line in done.stdout.decode().split("\n")[:-1]]

    def decode(self, ids):
        (self.folder / "ids").write_text(" ".join(map(str, ids)))
        done = subprocess.run([RETRACE, "tokenizer", "decode", self.vocabulary, self.folder / "ids"], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


def category(code):
    return unicodedata.category(chr(code))


def known_code_points():
    return [c for c in range(0x110000) if category(c) not in ("Cn", "Cs", "Co")] + list(range(0xE000, 0xF900, 16))


def emoji():
    people, tones = "\U0001f468\U0001f469\U0001f9d1\U0001f466\U0001f467", ["", *map(chr, range(0x1F3FB, 0x1F400))]
    tools = "\U0001f4bb\U0001f680\u2764\u2695\U0001f33e\U0001f373"
    text = [a + tone + ZWJ + b + SELECTOR for a in people for tone in tones for b in tools]
    text += [ZWJ.join(family) for family in itertools.product(people, repeat=3)]
    text += [chr(0x1F1E6 + a) + chr(0x1F1E6 + b) for a in range(26) for b in range(26)]
    text += [digit + SELECTOR + "\u20e3" for digit in "0123456789#*"]
    text += ["\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in "gbeng") + "\U000e007f", ZWJ * 50, SELECTOR * 50]
    return " ".join(text) + "".join(text) + "\r\n".join(text)


def at_random(seed, size):
    draw = random.Random(seed)
    tops, out = [0x80, 0x80, 0x250, 0x2100, 0x3100, 0xFFFE, 0x1F700, 0x323B0], []
    while len(out) < size:
        code = draw.randrange(draw.choice(tops))
        if category(code) not in ("Cn", "Cs"):
            out += [chr(code), draw.choice(["", "", "", " ", "  ", "\n", "\r\n", "'s", "12345", "\t", "'LL", " =", "\u0301"])]
    return "".join(out)


def texts():
    draw = random.Random(5)
    yield "every known code point", "".join(f"a{chr(c)}b 1{chr(c)}2 {chr(c)}\n" for c in known_code_points())
    pieces = ["\r", "\n", " ", "\t", "a", "1", ".", "'S", "\u00a0", "\u3000", "\u00e9"]
    yield "strings of awkward pieces", "|q|".join("".join(p) for n in range(1, 5) for p in itertools.product(pieces, repeat=n))
    yield "runs of blanks", "".join(blank * n + "x" for blank in " \t\n\r\u00a0\u2003\u3000" for n in (*range(1, 140), 1000, 20000))
    yield "CRLF", "".join("\r\n" * n + " " * m + "if x:" for n in range(12) for m in range(12)) + "\r\r\n\n\r" * 500
    yield "combining marks", "".join("e" + "".join(draw.choices(MARKS, k=n)) for n in range(300)) + "\u0301" * 20000
    yield "ideographs and syllables", "".join(chr(draw.randrange(0x4E00, 0x9FFF)) for _ in range(50000)) + "".join(
        chr(draw.randrange(0xAC00, 0xD7A4)) for _ in range(20000)) + "\u3042" * 20000
    yield "one letter, long", "a" * 50000 + " " + "\u00df" * 20000 + " " + "ab" * 20000 + "1" * 20000
    yield "emoji sequences", emoji()
    for seed in range(4):
        yield f"all planes at random, {seed}", at_random(seed, 40000)


def unknown_code_points(ours, tiktoken):
    codes = [c for c in range(0x110000) if category(c) == "Cn"]
    groups = [codes[i:i + 4096] for i in range(0, len(codes), 4096)]
    made = ["".join(f"a1{chr(c)}b {chr(c)}'ll\n" for c in group) for group in groups]
    for group, text, ids in zip(groups, made, ours.lines(made), strict=True):
        assert ids == tiktoken(text), f"ids differ from tiktoken's between U+{group[0]:04X} and U+{group[-1]:04X}"
    print(f"{len(codes)} code points that Unicode {unicodedata.unidata_version} does not know: equal")


def broken(ours):
    """Every pair of bytes that is no UTF-8, cut and overlong sequences, surrogates, too large ones, in text."""
    pairs = [bytes(pair) for pair in itertools.product(range(0x80, 0x100), repeat=2)]
    whole = "\u00e9\u4f60\U0001f469".encode()
    parts = [*pairs, *(whole[:n] for n in range(1, len(whole))), b"\xc0\x80", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xed\xa0\x80",
             b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xff\xfe", bytes(range(256))]
    text = b"".join(b"x " + part + b" 1\r\n" + part * 3 for part in parts) + random.Random(3).randbytes(300000)
    ids = ours.lines([text])[0]
    assert ours.decode(ids) == text, "broken UTF-8 does not come back"
    print(f"broken UTF-8: {len(text)} bytes come back from {len(ids)} ids")


def main():
    vocabulary = vocabulary_file()
    if vocabulary is None:
        print("skipped: llama3/tokenizer.model is absent; set RETRACE_TEST_DATA to the folder that holds it")
        sys.exit(77)
    ranks = read_ranks(vocabulary)
    encoding, hf = tiktoken_encoding(ranks), hf_tokenizer(ranks)
    with tempfile.TemporaryDirectory() as name:
        ours = Ours(vocabulary, pathlib.Path(name))
        cases = list(texts())
        for (what, text), ids in zip(cases, ours.lines([text for _, text in cases]), strict=True):
            assert ids == encoding.encode_ordinary(text), f"{what}: ids differ from tiktoken's"
            assert ids == hf.encode(text, add_special_tokens=False).ids, f"{what}: ids differ from HF tokenizers'"
            print(f"{what}: {len(ids)} ids of {len(text.encode())} bytes equal", flush=True)
        unknown_code_points(ours, encoding.encode_ordinary)
        broken(ours)


main()
