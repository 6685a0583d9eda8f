"""Our MDS shards read by mosaicml-streaming, and its shards read by us; where the columns agree, byte for byte the same.

Run by scripts/peer-python with the path of the retrace binary; uses the program tests_data beside it.
"""
import filecmp
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np
from streaming import LocalDataset, MDSWriter, StreamingDataset

TESTS = pathlib.Path(sys.argv[1]).resolve().parent / "tests_data"
CASE = "shards exchanged with the reference library"
COLUMNS = {"domain": "str", "indices": "ndarray:uint32", "input_ids": "ndarray:uint32", "length": "int", "mask": "ndarray:uint8"}


def run_ours(**variables):
    done = subprocess.run([str(TESTS), CASE], env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def columns_of(sample):
    return {
        "domain": sample["domain"],
        "indices": np.array(sample["spans"], np.uint32),
        "input_ids": np.array(sample["input_ids"], np.uint32),
        "length": len(sample["input_ids"]),
        "mask": np.array([w > 0 for w in sample["weights"]], np.uint8),
    }


def check(dataset, samples, name):
    assert len(dataset) == len(samples), f"{name}: {len(dataset)} samples, not {len(samples)}"
    for i, sample in enumerate(samples):
        got, want = dataset[i], columns_of(sample)
        for key, value in want.items():
            assert np.array_equal(got[key], value), f"{name}: sample {i}, column {key}"
        assert got["indices"].shape == (len(sample["spans"]), 2), f"{name}: sample {i}, shape of indices"
        if "weight" in got:
            assert np.array_equal(got["weight"], np.array(sample["weights"], np.float32)), f"{name}: sample {i}, weight"
        else:
            assert set(sample["weights"]) <= {0, 1}, f"{name}: sample {i} lost its weights"
    print(f"{name}: {len(samples)} samples equal")


def ours_read_by_streaming(folder):
    run_ours(RETRACE_MDS_OUT=str(folder))
    samples = json.loads((folder / "samples.json").read_text())
    check(LocalDataset(str(folder / "raw")), samples, "ours, raw, LocalDataset")
    packed = StreamingDataset(remote=str(folder / "zstd"), local=str(folder / "cache"), batch_size=1, shuffle=False,
                              validate_hash="xxh3_64")
    check(packed, samples, "ours, zstd, StreamingDataset with hashes checked")
    plain = json.loads((folder / "plain.json").read_text())
    check(LocalDataset(str(folder / "plain")), plain, "ours, mask only, LocalDataset")
    with MDSWriter(columns=COLUMNS, out=str(folder / "same"), hashes=["xxh3_64"], size_limit=12000) as writer:
        for sample in plain:
            writer.write(columns_of(sample))
    names = sorted(os.listdir(folder / "plain"))
    assert names == sorted(os.listdir(folder / "same")) and len(names) > 3, names
    for name in names:
        assert filecmp.cmp(folder / "plain" / name, folder / "same" / name, shallow=False), f"{name} differs in its bytes"
    print(f"ours and MDSWriter's: {len(names)} files, equal in every byte")


def streaming_read_by_us(folder):
    draw = random.Random(5)
    samples = []
    for _ in range(60):
        length = draw.randrange(1, 300)
        cuts = sorted({0, length, *(draw.randrange(length) for _ in range(3))})
        samples.append({"input_ids": [draw.randrange(65536) for _ in range(length)], "spans": list(zip(cuts, cuts[1:])),
                        "weights": [float(draw.random() < 0.7) for _ in range(length)], "domain": draw.choice(["book", "\u00e9"])})
        for begin, _ in samples[-1]["spans"]:
            samples[-1]["weights"][begin] = 0.0

    def write(name, columns, dtype, compression=None, hashes=()):
        with MDSWriter(columns=columns, out=str(folder / name), compression=compression, hashes=list(hashes),
                       size_limit=9000) as writer:
            for sample in samples:
                row = {**columns_of(sample), "input_ids": np.array(sample["input_ids"], dtype)}
                writer.write({key: row[key] for key in columns})

    def told(name, changed):
        run = folder / name
        (run / "samples.json").write_text(json.dumps(changed))
        run_ours(RETRACE_MDS_IN=str(run))
        print(f"MDSWriter's, {name}: read by us")

    for kind in ("full", "no-mask", "no-indices"):
        (folder / kind).mkdir()
    write("full/raw", COLUMNS, np.uint32)
    write("full/zstd", COLUMNS, np.uint32, "zstd:7", ["sha256", "xxh3_64"])
    write("full/int32", {**COLUMNS, "input_ids": "ndarray:int32"}, np.int32)
    write("full/untyped", {**COLUMNS, "input_ids": "ndarray"}, np.uint16)
    told("full", samples)
    without_mask = {key: value for key, value in COLUMNS.items() if key != "mask"}
    write("no-mask/uint16", {**without_mask, "input_ids": "ndarray:uint16"}, np.uint16)
    write("no-mask/int64", {**without_mask, "input_ids": "ndarray:int64"}, np.int64, "zstd")
    firsts = [{begin for begin, _ in sample["spans"]} for sample in samples]
    told("no-mask", [{**s, "weights": [float(i not in f) for i in range(len(s["input_ids"]))]} for s, f in zip(samples, firsts)])
    bare = {"input_ids": "ndarray:uint16", "domain": "str"}
    write("no-indices/raw", bare, np.uint16)
    write("no-indices/zstd", bare, np.uint16, "zstd")
    told("no-indices", [{**s, "spans": [[0, len(s["input_ids"])]], "weights": [0.0] + [1.0] * (len(s["input_ids"]) - 1)}
                        for s in samples])


def main():
    if not TESTS.exists():
        print(f"skipped: {TESTS} is not built")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        ours, theirs = pathlib.Path(name) / "ours", pathlib.Path(name) / "theirs"
        ours.mkdir()
        theirs.mkdir()
        ours_read_by_streaming(ours)
        streaming_read_by_us(theirs)


main()
