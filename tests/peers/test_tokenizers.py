"""Our token ids against tiktoken, HF tokenizers and SentencePiece, and our speed against tiktoken's.

Run by scripts/peer-python with the path of the retrace binary. Needs llama3/tokenizer.model in RETRACE_TEST_DATA for
the first part; the other parts make their tokenizers themselves.
"""
import base64
import math
import os
import pathlib
import random
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import unicodedata

import sentencepiece
import tiktoken
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers

RETRACE = sys.argv[1]
DATA = pathlib.Path(os.environ.get("RETRACE_TEST_DATA", pathlib.Path(__file__).parents[2] / ".." / "shared" / "data"))
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|pad|>"]

HARD = [
    " ", "\n", "\r\n\r\n", "   x   ", "tabs\t\t\tand\x0b\x0c feeds", "don't WE'LL I'M he'D they'Ve '\u017fs '\u017f 'S",
    "\u00a0\u180e\u2003x\u3000y \x85z\u2028\u2029\ufeff \u200b", "1234567890 12 345 \u0661\u0662\u0663\u0664 \u216b \u00bd\u00b2",
    "nai\u0308ve caf\u00e9 cafe\u0301 \u4f60\u597d\uff0c\u4e16\u754c \u0915\u094d\u0937 \u0e01\u0e33",
    "\U0001f469\u200d\U0001f4bb\U0001f1e9\U0001f1ea \U00010348 \U000e0001", "".join(SPECIAL), "<s></s><unk><0x0A>\u2581\u2581",
    " " * 5000 + "x", "\n" * 3 + "=" * 3000 + "\n" + "\t" * 400 + "}\n\n", "nul\0inside\0", "\u0120hello\u010a",
    "a" * 3000, "\u00e9" * 2000, "ab" * 1500 + "1" * 1000, ":\n\n    \n}\n\n\n```\n\n", "\u01c5\u02b0\u0345\u0301x",
]


def fuzz(seed, size):
    """Text of assigned characters of all planes, mixed with blanks, digits and quotes."""
    draw = random.Random(seed)
    tops = [0x80, 0x80, 0x80, 0x250, 0x2100, 0x3100, 0xFFFE, 0x1F700]
    out = []
    while len(out) < size:
        char = chr(draw.randrange(draw.choice(tops)))
        if unicodedata.category(char) not in ("Cn", "Cs", "Co"):
            out.append(char)
            if draw.random() < 0.2:
                out.append(draw.choice([" ", "  ", "\n", "\r\n", "'s", "12345", "\t", "'LL", " ="]))
    return "".join(out)


def sources():
    """About a hundred real source files: Python's library and C headers, valid UTF-8."""
    library = sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    headers = sorted(pathlib.Path("/usr/include").glob("*.h")) + sorted(pathlib.Path("/usr/include/linux").glob("*.h"))
    texts = []
    for path in library[:70] + headers[:40]:
        try:
            texts.append(path.read_bytes().decode())
        except UnicodeDecodeError:
            continue
    assert len(texts) > 50, "the machine has no Python library and no C headers to read"
    return texts


class Ours:
    def __init__(self, tokenizer, folder):
        self.tokenizer, self.folder = str(tokenizer), pathlib.Path(folder)

    def run(self, verb, data):
        path = self.folder / "text"
        path.write_bytes(data)
        done = subprocess.run([RETRACE, "tokenizer", verb, self.tokenizer, str(path)], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def encode(self, text):
        return [int(i) for i in self.run("encode", text if isinstance(text, bytes) else text.encode()).split()]

    def decode(self, ids):
        return self.run("decode", " ".join(map(str, ids)).encode())


def compare(name, ours, reference, texts, bytes_back=True, tie=lambda got, want: False):
    tokens = ties = 0
    for number, text in enumerate(texts):
        want, got = reference(text), ours.encode(text)
        if got != want and tie(got, want):
            ties += 1
        elif got != want:
            at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
            raise AssertionError(f"{name}: ids differ at token {at}: {got[at:at + 8]} against {want[at:at + 8]} "
                                 f"in {text[:60]!r}...")
        if bytes_back and (number < 40 or number % 5 == 0):
            assert ours.decode(got) == text.encode(), f"{name}: decode does not give {text[:60]!r}... back"
        tokens += len(got)
    print(f"{name}: {tokens} ids equal on {len(texts)} texts" + (f", {ties} of them up to equal scores" if ties else ""))


def processor_time():
    """Of this process and of the children that have ended: what else runs on the machine does not count."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def best_of(count, action):
    times = []
    for _ in range(count):
        start = processor_time()
        action()
        times.append(processor_time() - start)
    return min(times)


def speed(ours, reference, texts):
    text = "".join(texts)
    text = text * (1 + (12 << 20) // len(text))
    theirs = best_of(2, lambda: reference(text))
    whole, start_up = best_of(3, lambda: ours.run("encode", text.encode())), best_of(3, lambda: ours.run("encode", b"x"))
    size = len(text.encode()) / 1e6
    print(f"speed on {size:.0f} MB, one thread, processor time: ours {size / (whole - start_up):.1f} MB/s (printing included; start "
          f"{start_up * 1000:.0f} ms), tiktoken {size / theirs:.1f} MB/s: {theirs / (whole - start_up):.2f} times as fast")


def corpus_files(folder):
    """Every regular file of the default recipe's repositories, unpacked."""
    corpus = pathlib.Path(os.environ.get("RETRACE_DEPS", pathlib.Path.home() / ".cache" / "retrace")) / "corpus" / "tiny"
    out = folder / "releases"
    for archive in sorted(corpus.glob("*.tar.*")):
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                if member.isfile() and ".." not in member.name and not member.name.startswith("/"):
                    tar.extract(member, out / archive.name, set_attrs=False)
    return sorted(path for path in out.rglob("*") if path.is_file() and not path.is_symlink())


def every_corpus_file(ours, encoding, folder):
    """In one process: a line of ids for each file. Bytes that are no UTF-8 come back too, but tiktoken takes text only."""
    files = corpus_files(folder)
    if not files:
        print("skipped: the files of the tiny corpus (scripts/fetch-corpus brings them)")
        return
    lines = subprocess.run([RETRACE, "tokenizer", "encode", ours.tokenizer, *map(str, files)], capture_output=True, check=True)
    lines = lines.stdout.decode().split("\n")[:-1]
    assert len(lines) == len(files)
    tokens, texts = 0, 0
    for path, line in zip(files, lines):
        ids = [int(i) for i in line.split()]
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue
        assert ids == encoding.encode_ordinary(text), f"ids of {path.name} differ"
        tokens, texts = tokens + len(ids), texts + 1
    back = ours.run("decode", "\n".join(lines).encode())
    assert back == b"".join(path.read_bytes() for path in files), "decode does not give the corpus back"
    print(f"llama3: {tokens} ids equal on {texts} text files of the tiny corpus; all {len(files)} files come back")


def llama3(folder, texts):
    file = DATA / "llama3" / "tokenizer.model"
    if not file.exists():
        print(f"skipped: Llama-3 against tiktoken ({file} is absent; set RETRACE_TEST_DATA)")
        return
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in file.read_bytes().splitlines())}
    encoding = tiktoken.Encoding("llama3", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})
    ours = Ours(file, folder)
    compare("llama3", ours, encoding.encode_ordinary, HARD + [fuzz(1, 200000), fuzz(2, 200000)] + texts)
    every_corpus_file(ours, encoding, folder)
    junk = random.Random(3).randbytes(100000) + b"\xc3\x28 caf\xe9 \xff\xfe\xed\xa0\x80" + b"ok\x80" * 100
    assert ours.decode(ours.encode(junk)) == junk, "invalid UTF-8 does not come back"
    speed(ours, encoding.encode_ordinary, texts)


def hf_reference(path):
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer, lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def trained_by_us(folder, texts):
    for i, text in enumerate(texts[:30]):
        (folder / "corpus").mkdir(exist_ok=True)
        (folder / "corpus" / f"{i}.py").write_text(text)
    out = folder / "trained"
    done = subprocess.run([RETRACE, "tokenizer", "train", str(folder / "corpus"), "--out", str(out), "--vocab-size", "2000"],
                          capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    tokenizer, reference = hf_reference(out / "tokenizer.json")
    assert tokenizer.get_vocab_size() == 2000
    compare("trained by us, HF", Ours(out, folder), reference, HARD + [fuzz(4, 50000)] + texts[:40])
    ids = reference("def f(x): return x")
    assert tokenizer.encode("def f(x): return x").ids == [tokenizer.token_to_id("<|begin_of_text|>")] + ids
    assert tokenizer.decode(ids) == "def f(x): return x"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoTokenizer
    auto = AutoTokenizer.from_pretrained(str(out))
    assert (auto.bos_token, auto.eos_token, auto.pad_token) == ("<|begin_of_text|>", "<|end_of_text|>", "<|pad|>")
    assert auto("x = 1", add_special_tokens=False)["input_ids"] == reference("x = 1")
    assert len(auto) == 2000
    print("trained by us: transformers opens it")


def built_by_hf(folder, texts):
    def build(name, pre_tokenizer, normalizer=None, added=(), **model):
        tokenizer = tokenizers.Tokenizer(models.BPE(**model))
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.decoder = decoders.ByteLevel()
        if normalizer:
            tokenizer.normalizer = normalizer
        trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                      special_tokens=["<|endoftext|>", "<|im_start|>"], show_progress=False)
        tokenizer.train_from_iterator(texts[:20], trainer)
        tokenizer.add_tokens(list(added))
        path = folder / name
        path.mkdir()
        tokenizer.save(str(path / "tokenizer.json"))
        return path

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    plain_byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    llama_split = pre_tokenizers.Split(tokenizers.Regex(LLAMA3), "isolated", invert=False)
    styles = {
        "gpt2": (byte_level, {}),
        "smollm2": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level]), {}),
        "digit-runs": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), byte_level]), {}),
        "llama3-ignore-merges": (pre_tokenizers.Sequence([llama_split, plain_byte_level]), {"ignore_merges": True}),
    }
    for name, (pre_tokenizer, model) in styles.items():
        path = build(name, pre_tokenizer, **model)
        compare(f"{name} by HF", Ours(path, folder), hf_reference(path / "tokenizer.json")[1],
                HARD + ["<|endoftext|><|im_start|>", fuzz(5, 50000)] + texts[:20])
    added = [AddedToken("    ", normalized=False), AddedToken("        ", normalized=False), AddedToken("caf\u00e9", normalized=True)]
    path = build("nfc-added", byte_level, normalizers.NFC(), added)
    compare("NFC and added words by HF", Ours(path, folder), hf_reference(path / "tokenizer.json")[1],
            HARD + ["if x:\n            return 'cafe\u0301 caf\u00e9'"] + texts[:10], bytes_back=False)


def sentence_pieces(folder, texts):
    corpus = folder / "sp.txt"
    corpus.write_text("".join(texts[:12]))
    out = folder / "sp"
    done = subprocess.run([RETRACE, "tokenizer", "train", str(corpus), "--out", str(out), "--vocab-size", "1200", "--type",
                           "sentencepiece"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    model = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
    plain = [text for text in HARD if "\0" not in text and "\u2581" not in text]
    compare("SentencePiece trained by us", Ours(out, folder), model.encode, plain + texts[:15])
    assert model.decode(model.encode(texts[0])) == texts[0]
    sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(folder / "their"), vocab_size=1000,
                                             model_type="unigram", byte_fallback=True, minloglevel=2)
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "their.model"))

    def tie(got, want):
        """Versions of the library differ in which of two equally probable segmentations they take. It adds up in
        single precision, so texts are short here."""
        score = [math.fsum(model.get_score(i) for i in ids) for ids in (got, want)]
        return abs(score[0] - score[1]) < 1e-3 and model.decode(got) == model.decode(want)

    short = [text[at:at + 1500] for text in texts[:15] for at in (0, 3000)]
    compare("SentencePiece trained by it, with NFKC", Ours(folder / "their.model", folder), model.encode, plain + short,
            bytes_back=False, tie=tie)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder, texts = pathlib.Path(name), sources()
        llama3(folder, texts)
        trained_by_us(folder, texts)
        built_by_hf(folder, texts)
        sentence_pieces(folder, texts)


main()
