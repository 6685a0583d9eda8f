"""Shared by test_imports_*.py: projects of the corpus, our edges, and the comparison with a language's own tool.

An edge counts when both of its ends are in our snapshot, because what the filters drop is no file to us.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

FLOOR = 0.98
TOP = pathlib.Path(__file__).resolve().parents[2]


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def tool(*names):
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    return skip(f"{' or '.join(names)} is not installed; scripts/setup --peers installs it")


def corpus():
    base = os.environ.get("RETRACE_DEPS") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "retrace")
    folder = pathlib.Path(base) / "corpus" / "eight"
    if not folder.is_dir():
        skip(f"{folder} is absent; scripts/fetch-corpus eight brings it")
    return folder


def archive_of(package):
    for line in (TOP / "recipes" / "eight-corpus.txt").read_text().splitlines():
        words = line.split()
        if words and words[0] == package:
            found = corpus() / words[3]
            return found if found.is_file() else skip(f"{found} is absent; scripts/fetch-corpus eight brings it")
    raise KeyError(package)


class Project:
    """One release: `root` holds its files, `files` are those of our snapshot, `edges` ours: (from, to) -> hard."""

    def __init__(self, binary, package, scratch):
        archive = archive_of(package)
        self.name = package
        unpacked = pathlib.Path(scratch) / package
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                if member.isfile() and ".." not in member.name.split("/"):
                    target = unpacked.joinpath(*member.name.lstrip("/").split("/"))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(tar.extractfile(member).read())
        top = list(unpacked.iterdir())
        self.root = top[0] if len(top) == 1 and top[0].is_dir() else unpacked
        recipe = pathlib.Path(scratch) / "recipe.toml"
        recipe.write_text("")

        def say(option):
            words = [binary, "synth", str(recipe), option, f"synth.input={archive}", f"run.dir={scratch}/run"]
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 0, done.stderr
            return done.stdout.splitlines()

        edges = [json.loads(line) for line in say("--edges")]
        self.edges = {(edge["from"], edge["to"]): edge["hard"] for edge in edges}
        self.lines = {(edge["from"], edge["to"]): edge["line"] for edge in edges}
        rows = [line.split(" | ") for line in say("--dry-run") if line.startswith("| ")]
        self.files = {row[1] for row in rows if row[0][2:].isdigit()}
        assert self.files, f"{package}: the dry run lists no file"


def compare(language, project, expected, ours=None, floor=FLOOR, shown=12):
    """Prints one row and the differences; true if precision and recall reach the floor."""
    found = project.edges if ours is None else ours
    expected = {edge for edge in expected if set(edge) <= project.files and edge[0] != edge[1]}
    found = {edge for edge in found if edge[0] != edge[1]}
    common = expected & found
    precision = len(common) / len(found) if found else 1.0
    recall = len(common) / len(expected) if expected else 1.0
    print(f"{language:10} {project.name:36} {len(expected):5} edges  precision {precision:.4f}  recall {recall:.4f}")
    for label, rest in (("only ours", found - expected), ("only theirs", expected - found)):
        for edge in sorted(rest)[:shown]:
            print(f"    {label}: {edge[0]} -> {edge[1]}")
        if len(rest) > shown:
            print(f"    {label}: {len(rest) - shown} more")
    assert expected, f"{project.name}: the oracle saw no edge"
    return min(precision, recall) >= floor


def run(packages, check):
    """check(project) -> bool for each package; returns the exit status."""
    failed = []
    for package in packages:
        with tempfile.TemporaryDirectory() as scratch:
            if not check(Project(sys.argv[1], package, scratch)):
                failed.append(package)
    assert not failed, f"below the floor of {FLOOR}: {', '.join(failed)}"
    return 0
