"""Rust edges against rustc's own name resolution: cargo lists the crates, rustc (metadata only, nothing is run) resolves
every `use` to the file that declares the name and writes that down (-Zsave-analysis). Between the files that it compiled,
precision is that of our hard edges (lines under a #[cfg] that is off here set aside), recall that of every `use` and
`mod` that rustc saw."""
import json
import os
import pathlib
import subprocess
import sys

from import_oracles import compare, run, skip

CARGO, RUSTC = "/usr/bin/cargo", "/usr/bin/rustc"
PACKAGES = ["rust-hashbrown", "rust-rand", "rust-clap"]
DEPENDENCIES = {"rust-rand": {"rand_core": "/usr/share/cargo/registry/rand_core-0.6.3/src/lib.rs"}}


def library(name, source, out):
    subprocess.run([RUSTC, "--crate-type", "lib", "--crate-name", name, "--emit=metadata", "--out-dir", out, "--edition", "2018",
                    "--cfg", 'feature="alloc"', "--cap-lints", "allow", source], check=True)
    return f"{name}={out}/lib{name}.rmeta"


def analysis(target, out, externs):
    words = [RUSTC, "-Zsave-analysis", "--crate-type", "lib", "--crate-name", "analysed", "--emit=metadata", "--out-dir", out,
             "--edition", target["edition"], "--cap-lints", "allow", target["src_path"]]
    for extern in externs:
        words += ["--extern", extern]
    # Errors about crates that are not here are expected; what could be resolved is written all the same.
    subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "RUSTC_BOOTSTRAP": "1"})
    written = pathlib.Path(out) / "save-analysis" / "libanalysed.json"
    return json.loads(written.read_text()) if written.is_file() else None


def edges_of(data, root):
    def name(span):
        path = pathlib.Path(span["file_name"])
        return str(path.relative_to(root)) if path.is_relative_to(root) else None

    def key(reference):
        return (reference["krate"], reference["index"]) if reference else None

    home = {key(d["id"]): name(d["span"]) for d in data["defs"]}
    modules = {key(d["id"]): d for d in data["defs"] if d["kind"] == "Mod"}
    files = {f for f in home.values() if f}
    uses, mods, globs = set(), set(), set()
    for one in data["imports"]:
        if one["kind"] == "Use":
            uses.add((name(one["span"]), home.get(key(one["ref_id"]))))
        elif one["kind"] == "GlobUse":
            globs.add((name(one["span"]), one["span"]["line_start"], one["span"]["byte_start"]))
    for one in data["refs"]:  # the module before `::*`
        span = one["span"]
        if key(one["ref_id"]) in home and (name(span), span["line_end"], span["byte_end"] + 2) in globs:
            uses.add((name(span), home[key(one["ref_id"])]))
    for module in modules.values():
        for child in module.get("children", []):
            if key(child) in modules:
                mods.add((name(module["span"]), home[key(child)]))
    return files, uses, mods


def check(project):
    if not (os.path.exists(CARGO) and os.path.exists(RUSTC)):
        skip("Debian's cargo is not installed; scripts/setup --peers installs it")
    root = project.root.resolve()
    out = str(root.parent / "out")
    externs = []
    for name, source in DEPENDENCIES.get(project.name, {}).items():
        if not os.path.exists(source):
            skip(f"{source} is absent; scripts/setup --peers installs it")
        externs.append(library(name, source, out))
    done = subprocess.run([CARGO, "metadata", "--offline", "--no-deps", "--format-version", "1"], cwd=root, stdout=subprocess.PIPE,
                          check=True)
    expected, files = set(), set()
    targets = [t for p in json.loads(done.stdout)["packages"] for t in p["targets"] if set(t["kind"]) & {"lib", "bin"}]
    for target in targets:
        data = analysis(target, out, externs)
        if data is None:
            print(f"    {target['name']}: rustc could not go on without its libraries")
            continue
        seen, uses, mods = edges_of(data, root)
        files |= seen
        expected |= {e for e in uses | mods if None not in e}
    ours = {edge: hard for edge, hard in project.edges.items() if set(edge) <= files}

    def is_off(edge):
        lines = (root / edge[0]).read_text().splitlines()
        return project.lines[edge] > 1 and lines[project.lines[edge] - 2].strip().startswith("#[cfg")

    kept = {edge for edge, hard in ours.items() if edge in expected or (hard and not is_off(edge))}
    return compare("rust", project, expected, kept)


if __name__ == "__main__":
    sys.exit(run(PACKAGES, check))
