"""Go edges against Go's own tools: `go list` says which files make a package, go/parser and go/types (go_uses.go) what
each file imports and which package-level names of its package it uses. Imports go to all files of a package that are
no tests, for whichever system they are built; uses inside a package are compared on the files built here."""
import json
import os
import pathlib
import subprocess
import sys

from import_oracles import compare, run, tool

PACKAGES = ["golang-github-spf13-cobra", "golang-logrus", "golang-github-gin-gonic-gin", "golang-github-yuin-goldmark",
            "golang-github-spf13-afero", "golang-github-prometheus-common"]
OFFLINE = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GONOSUMDB": "*", "GOTOOLCHAIN": "local", "GO111MODULE": "on",
           "GOSUMDB": "off"}


def go_list(go, folder):
    # Requirements are cut out of the copied go.mod, since nothing outside the repository can be looked up.
    module = [line for line in (folder / "go.mod").read_text().splitlines() if line.startswith(("module ", "go "))]
    (folder / "go.mod").write_text("\n".join(module) + "\n")
    # Folders are named one by one: "./..." leaves out testdata and names that begin with an underscore.
    inner = [manifest.parent for manifest in folder.rglob("go.mod") if manifest.parent != folder]
    folders = {f"./{file.parent.relative_to(folder)}" for file in folder.rglob("*.go")
               if not any(other in file.parents for other in inner)}
    if not folders:
        return []
    done = subprocess.run([go, "list", "-e", "-find", "-json", *sorted(folders)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, **OFFLINE})
    assert done.returncode == 0, done.stderr
    decoder, at, packages = json.JSONDecoder(), 0, []
    while at < len(done.stdout.rstrip()):
        package, at = decoder.raw_decode(done.stdout, at)
        at += len(done.stdout[at:]) - len(done.stdout[at:].lstrip())
        packages.append(package)
    return packages


def package_name(path):
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("package "):
            return line.split()[1].rstrip(";")
    return ""


def check(project):
    go = tool("go")
    folders, groups, built = {}, [], set()
    for manifest in sorted(project.root.rglob("go.mod")):
        for package in go_list(go, manifest.parent):
            folder = pathlib.Path(package["Dir"])
            here = package.get("GoFiles", []) + package.get("CgoFiles", [])
            others = [name for name in package.get("IgnoredGoFiles", [])
                      if not name.endswith("_test.go") and (not here or package_name(folder / name) == package.get("Name"))]
            folders[package["ImportPath"]] = [folder / name for name in here + others]
            groups.append([str(folder / name) for name in here + package.get("TestGoFiles", [])])
            groups.append([str(folder / name) for name in package.get("XTestGoFiles", [])])
            built.update(groups[-2] + groups[-1])
            groups.extend([str(folder / name)] for name in package.get("IgnoredGoFiles", []))
    helper = pathlib.Path(__file__).with_name("go_uses.go")
    done = subprocess.run([go, "run", str(helper)], input="\n".join(json.dumps(g) for g in groups if g), text=True,
                          stdout=subprocess.PIPE, check=True, env={**os.environ, **OFFLINE})

    def name(path):
        return str(pathlib.Path(path).relative_to(project.root))

    imports, uses = set(), set()
    for line in done.stdout.splitlines():
        edge = json.loads(line)
        if edge["Import"]:
            imports.update((name(edge["From"]), name(target)) for target in folders.get(edge["Import"], []))
        elif edge["From"] != edge["To"]:
            uses.add((name(edge["From"]), name(edge["To"])))
    built = {name(path) for path in built}
    go_edges = {edge: hard for edge, hard in project.edges.items() if all(end.endswith(".go") for end in edge)}
    ok = compare("go import", project, imports, {edge for edge, hard in go_edges.items() if hard})
    return compare("go use", project, uses,
                   {edge for edge, hard in go_edges.items() if not hard and set(edge) <= built}) and ok


if __name__ == "__main__":
    sys.exit(run(PACKAGES, check))
