"""A Parquet corpus through scripts/parquet-to-jsonl: the synthesis of its repositories is that of the same files in
folders, whatever the sequence of rows; rows without a text are counted.

pyarrow is installed by the script into an environment of its own; without it this is skipped aloud.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts"
MAKER = """
import json, sys, pyarrow, pyarrow.parquet
rows = json.load(sys.stdin)
table = pyarrow.table({name: [row[i] for row in rows] for i, name in enumerate(sys.argv[2:])})
pyarrow.parquet.write_table(table, sys.argv[1], row_group_size=7)
"""


def run(command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)


def records(binary, source, work):
    recipe = work / "r.toml"
    recipe.write_text('[search]\npreset = "none"\n[hygiene]\nnear_duplicates = "keep"\n')
    out = run([binary, "synth", recipe, f"synth.input={source}", f"run.dir={work / 'run'}"])
    assert out.returncode == 0, out.stderr
    lines = work / "out.jsonl"
    out = run([binary, "export", work / "run" / "rounds" / "001" / "synth", lines, "--format", "messages"])
    assert out.returncode == 0, out.stderr
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    for row in rows:
        assert row["provenance"].pop("rev")  # it covers the kind of source, which differs
    return sorted(json.dumps(row) for row in rows)


def main():
    binary = sys.argv[1]
    deps = pathlib.Path(os.environ.get("RETRACE_DEPS") or pathlib.Path.home() / ".cache" / "retrace")
    probe = run([SCRIPTS / "parquet-to-jsonl", "--help"])
    if probe.returncode != 0:
        print("skipped: pyarrow cannot be had:", probe.stderr.strip().splitlines()[-1:])
        sys.exit(77)
    python = deps / "parquet-1" / "bin" / "python3"
    rng = random.Random(5)
    rows = []
    for r in range(20):
        for f in range(rng.randint(1, 4)):
            body = "".join(f"def act_{rng.randrange(10**6)}(x):\n    return x + {rng.randrange(99)}\n\n\n"
                           for _ in range(5))
            rows.append([f"repo{r:02}", f"pkg/m{f}.py", f"NAME = 'naïve {r}'\n" + body])
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for repository, path, content in rows:
            file = work / "folders" / repository / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        outputs, names = [], ["max_stars_repo_name", "max_stars_repo_path", "content"]
        for attempt in range(2):
            rng.shuffle(rows)
            parts = [work / f"{attempt}-{part}.parquet" for part in range(2)]
            for part, chunk in zip(parts, (rows[:13] + [["repo00", None, "x"], ["repo01", "y.py", None]], rows[13:])):
                made = run([python, "-c", MAKER, part, *names], input=json.dumps(chunk))
                assert made.returncode == 0, made.stderr
            out = work / f"{attempt}.jsonl.zst"
            done = run([SCRIPTS / "parquet-to-jsonl", out, *parts])
            assert done.returncode == 0, done.stderr
            counts = json.loads(done.stdout)
            assert counts == {"repositories": 20, "files": len(rows), "no_repository": 0, "no_path": 1, "no_text": 1,
                              "same_path_again": 0}, counts
            outputs.append(out.read_bytes())
        assert outputs[0] == outputs[1], "the output depends on the sequence of rows"
        wrong = run([SCRIPTS / "parquet-to-jsonl", work / "x.jsonl.zst", parts[0], "--content", "body"])
        assert wrong.returncode == 2 and "body" in wrong.stderr, wrong.stderr
        (work / "a").mkdir()
        (work / "b").mkdir()
        want = records(binary, work / "folders", work / "a")
        got = records(binary, work / "1.jsonl.zst", work / "b")
        assert len(want) == 20
        for one, other in zip(got, want):
            at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
            assert one == other, f"records differ: {one[at - 60:at + 60]!r} and {other[at - 60:at + 60]!r}"
    print("20 repositories from shuffled Parquet rows: the records of folders, twice the same bytes")


if __name__ == "__main__":
    main()
