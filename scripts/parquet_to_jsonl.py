"""Parquet to JSONL, grouped by repository. Called by scripts/parquet-to-jsonl.

Rows are dealt by a hash of their repository into buckets on disk, so many that each fits into memory; each bucket is
then sorted by repository and path and appended. The sequence of the rows does not matter; of files with one path the
first in byte order counts.
Rows without a repository, a path or a text are left out and counted.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile

import pyarrow
import pyarrow.parquet

BUCKET_BYTES = 256 << 20  # of text, about
MAX_BUCKETS = 1024
FRAME_BYTES = 1 << 20  # of text a zstd frame, so that readers can go to any place
NAMES = {
    "repository": ["repository", "repo_name", "max_stars_repo_name", "repo", "repository_name"],
    "path": ["path", "max_stars_repo_path", "file_path", "filename"],
    "content": ["content", "text", "code"],
    "licence": ["licence", "license", "max_stars_repo_licenses", "detected_licenses", "licenses"],
}


def fail(message, hint, status):
    print(f"error: {message}\n  hint: {hint}", file=sys.stderr)
    sys.exit(status)


def columns_of(schema, args, path):
    chosen = {}
    for key, names in NAMES.items():
        wanted = getattr(args, key)
        names = [wanted] if wanted else names
        chosen[key] = next((name for name in names if name in schema.names), None)
        if chosen[key] is None and (wanted or key != "licence"):
            fail(f"{path} has no column {wanted or 'for the ' + key}; its columns are {', '.join(schema.names)}",
                 f"name it with --{key} COLUMN", 2)
    return chosen


def line_of(row):
    licence = row.get("licence")
    if isinstance(licence, (list, tuple)):
        licence = " AND ".join(str(item) for item in licence)
    fields = {"repository": row["repository"], "path": row["path"], "content": row["content"]}
    if licence:
        fields["licence"] = str(licence)
    return json.dumps(fields, ensure_ascii=False)


def is_text(value):
    if not isinstance(value, str) or value == "":
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class Frames:
    """Whole lines in zstd frames."""

    def __init__(self, path):
        self.file, self.lines, self.size = open(path, "wb"), [], 0

    def add(self, line):
        data = line.encode() + b"\n"
        self.lines.append(data)
        self.size += len(data)
        if self.size >= FRAME_BYTES:
            self.flush()

    def flush(self):
        if self.lines:
            self.file.write(pyarrow.compress(b"".join(self.lines), codec="zstd", asbytes=True))
        self.lines, self.size = [], 0

    def close(self):
        self.flush()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()


def deal(inputs, args, folder, n_buckets):
    """Every row as a line of its bucket: the key, a tab, the JSON."""
    counts = {"files": 0, "no_repository": 0, "no_path": 0, "no_text": 0}
    buckets = [open(folder / f"{i:04}", "wb") for i in range(n_buckets)]
    for path in inputs:
        table = pyarrow.parquet.ParquetFile(path)
        columns = columns_of(table.schema_arrow, args, path)
        names = [name for name in columns.values() if name]
        for batch in table.iter_batches(batch_size=256, columns=names):
            for values in batch.to_pylist():
                row = {key: values.get(name) for key, name in columns.items() if name}
                missing = next((reason for key, reason in (("repository", "no_repository"), ("path", "no_path"))
                                if not is_text(row[key])), None)
                if not missing and not (row["content"] == "" or is_text(row["content"])):
                    missing = "no_text"
                if missing:
                    counts[missing] += 1
                    continue
                counts["files"] += 1
                digest = hashlib.sha256(row["repository"].encode()).digest()
                key = json.dumps([row["repository"], row["path"]], ensure_ascii=False)
                buckets[int.from_bytes(digest[:4], "big") % n_buckets].write(f"{key}\t{line_of(row)}\n".encode())
    for bucket in buckets:
        bucket.close()
    return counts


def main():
    parser = argparse.ArgumentParser(prog="scripts/parquet-to-jsonl", description="Parquet to JSONL by repository")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("inputs", type=pathlib.Path, nargs="+")
    for key in NAMES:
        parser.add_argument(f"--{key}", metavar="COLUMN", default="")
    args = parser.parse_args()
    if not args.out.name.endswith(".jsonl.zst"):
        fail(f"{args.out} does not end in .jsonl.zst", "name the output first, then the Parquet files", 2)
    for path in args.inputs:
        if not path.is_file():
            fail(f"no such file: {path}", "name Parquet files", 3)
    try:
        text_bytes = sum(group.total_byte_size for path in args.inputs for metadata in
                         [pyarrow.parquet.ParquetFile(path).metadata] for group in
                         [metadata.row_group(i) for i in range(metadata.num_row_groups)])
    except pyarrow.ArrowInvalid as error:
        fail(f"not Parquet: {error}", "fetch the file again", 3)
    n_buckets = min(MAX_BUCKETS, text_bytes // BUCKET_BYTES + 1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{args.out.name}.", dir=args.out.parent))
    try:
        counts = deal(args.inputs, args, folder, n_buckets)
        out = Frames(folder / "out")
        repositories, twins = 0, 0
        for i in range(n_buckets):
            last_repository, last_key = None, None
            rows = [line.split(b"\t", 1) for line in (folder / f"{i:04}").read_bytes().split(b"\n") if line]
            rows = sorted((tuple(json.loads(key)), line.decode()) for key, line in rows)
            for key, line in rows:
                if key == last_key:
                    twins += 1
                    continue
                repositories += key[0] != last_repository
                last_repository, last_key = key[0], key
                out.add(line)
            (folder / f"{i:04}").unlink()
        out.close()
        os.replace(folder / "out", args.out)
    except OSError as error:
        fail(f"{error}", "free space on the disk and run it again", 75)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    counts["files"] -= twins
    print(json.dumps({"repositories": repositories, **counts, "same_path_again": twins}))


if __name__ == "__main__":
    main()
