#!/usr/bin/env python3
"""scripts/check-layers accepts the tree as it is and refuses what is planted in a copy of it: includes that point up,
into another room or between sub-rooms, circles, torch where it does not belong, sources at the root, full folders."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
# What is planted: file, the line that goes in front of it, and what the complaint must say.
PLANTED = [
    ("core/text.cpp", '#include "data/document.h"', "core/text.cpp:1: core may not include data"),
    ("model/engine/engine.cpp", '#include "train/config.h"', "model/engine/engine.cpp:1: model may not include train"),
    ("eval/config.h", '#include "synth/config.h"', "eval/config.h:1: eval may not include synth"),
    ("synth/input/filter.cpp", '#include "synth/record/trajectory.h"', "synth/input may not include synth/record"),
    ("train/ranks/watchdog.cpp", '#include "train/trainer.h"', "train: a circle of includes between"),
    ("loop/loop.cpp", '#include "train/ranks/watchdog.h"', "train/ranks/watchdog.h is inside train"),
    ("synth/config.cpp", "#include <ATen/ATen.h>", "synth/config.cpp:1: torch headers belong in"),
    ("train/trainer.h", "#include <ATen/core/Tensor.h>", "train/trainer.h: pulls in ATen/core/Tensor.h"),
    ("helper.cpp", "int x;", "helper.cpp: main.cpp is the only source at the root"),
    ("core/long.h", "\n" * 801, "core/long.h: 802 lines; split it"),
    ("eval/misc/new.cpp", "int x;", "eval/misc has no line in scripts/check-layers"),
]


def check(tree):
    done = subprocess.run([sys.executable, TOP / "scripts/check-layers", tree], capture_output=True, text=True)
    return done.returncode, done.stdout


def main():
    files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=TOP, check=True,
                           capture_output=True, text=True).stdout.split("\n")
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        subprocess.run(["git", "init", "-q", tree], check=True)
        for name in files:
            if name.endswith((".cpp", ".h", ".cu", ".cuh", ".inc")) and (TOP / name).exists():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(TOP / name, tree / name)
        status, said = check(tree)
        assert status == 0 and said == "check-layers: ok\n", said
        for name, line, complaint in PLANTED:
            file = tree / name
            before = file.read_text(encoding="utf-8") if file.exists() else None
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(line + "\n" + (before or ""), encoding="utf-8")
            status, said = check(tree)
            assert status == 1 and complaint in said, f"planted in {name}: {line.strip()[:60]}\nsaid: {said}"
            if before is None:
                file.unlink()
            else:
                file.write_text(before, encoding="utf-8")
        for number in range(15):
            (tree / f"data/packing/more_{number}.cpp").write_text("int x;\n", encoding="utf-8")
        status, said = check(tree)
        assert status == 1 and "sources; split it (at most 14)" in said, said
    print(f"{len(PLANTED) + 1} planted violations refused")


if __name__ == "__main__":
    main()
