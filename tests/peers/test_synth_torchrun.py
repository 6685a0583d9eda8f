"""`torchrun ... retrace synth` gives the bytes of one process, at 2 ranks, on a folder of small repositories.

argv[1] is the retrace binary. Skipped (77) where torchrun is not to be had.
"""
import os
import pathlib
import subprocess
import sys
import tempfile


def make_repositories(folder, count):
    for number in range(count):
        package = folder / f"kit{number:02}" / "kit"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("from .core import act\n")
        lines = [f'"""Part {number}."""', ""]
        for function in range(6):
            lines += [f"def act_{number}_{function}(value, limit={number * 7 + function}):",
                      f"    result = value * {number + 3} + limit_{function * number}", "    return result", ""]
        (package / "core.py").write_text("\n".join(lines))
        (package / "shared.py").write_text("\n".join(f"NAME_{line} = call_{line}({line}, {line + 1})"
                                                     for line in range(40)))


def results(run):
    out = run / "rounds" / "001" / "synth"
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if not path.name.startswith("ledger.db")}


def main():
    if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, check=False).returncode != 0:
        print("torchrun is not to be had: this Python cannot import torch")
        return 77
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_repositories(folder / "repos", 20)
        recipe = folder / "r.toml"
        recipe.write_text(f'[synth]\ninput = "{folder / "repos"}"\n[search]\npreset = "none"\n'
                          '[hygiene]\nduplicate_files = "exact"\nnear_duplicates = "keep"\n')
        alone, ranks = folder / "alone", folder / "ranks"
        subprocess.run([binary, "synth", str(recipe), f"run.dir={alone}"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
                        "--no-python", binary, "synth", str(recipe), f"run.dir={ranks}"], check=True,
                       stdout=subprocess.DEVNULL)
        one, two = results(alone), results(ranks)
        assert sorted(one) == sorted(two) and "duplicates.jsonl" in one, (sorted(one), sorted(two))
        for file in one:
            assert one[file] == two[file], f"{file} differs"
        print(f"{len(one)} files are equal: {', '.join(one)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
