"""Llama-3's vocabulary as tiktoken's encoding and as a byte-level BPE of HF tokenizers, for comparisons and timings."""
import base64
import os
import pathlib

import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")


def vocabulary_file():
    """llama3/tokenizer.model in RETRACE_TEST_DATA; None if it is not there."""
    data = pathlib.Path(os.environ.get("RETRACE_TEST_DATA", pathlib.Path(__file__).resolve().parents[1] / ".." / "shared" / "data"))
    file = data / "llama3" / "tokenizer.model"
    return file if file.exists() else None


def read_ranks(file):
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in file.read_bytes().splitlines())}


def tiktoken_encoding(ranks):
    return tiktoken.Encoding("llama3", pat_str=SPLIT, mergeable_ranks=ranks, special_tokens={})


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
