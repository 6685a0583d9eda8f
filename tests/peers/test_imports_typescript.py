"""JavaScript and TypeScript edges against TypeScript's own parser and resolver (typescript_imports.js), with each
project's tsconfig.json. The tree's own packages are linked into node_modules first, as
an installer does for workspaces, and files that its compiler would write count as their sources."""
import json
import os
import pathlib
import subprocess
import sys

from import_oracles import FLOOR, compare, run, skip, tool

# Its tests require what rollup would make of lib/index.ts (package.json says so by "main" and "module"): we go to the
# source, TypeScript nowhere.
FLOORS = {"node-yargs-parser": 0.93}
PACKAGES = ["node-parse5", "node-yargs", "node-yargs-parser", "node-cheerio", "node-css-select", "node-htmlparser2", "node-domutils",
            "node-redux", "acorn", "node-express", "node-commander", "node-json5", "node-iconv-lite"]
SOURCES = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts")


def link_workspaces(root):
    modules = root / "node_modules"
    for manifest in root.rglob("package.json"):
        if "node_modules" in manifest.relative_to(root).parts:
            continue
        try:
            name = json.loads(manifest.read_text()).get("name")
        except (ValueError, AttributeError):
            continue
        link = modules / name if name else None
        if link is not None and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(manifest.parent)


def check(project):
    node = tool("nodejs", "node")
    library = pathlib.Path("/usr/share/nodejs")
    if not (library / "typescript").is_dir():
        skip("node-typescript is not installed; scripts/setup --peers installs it")
    root = project.root.resolve()
    link_workspaces(root)
    listing = root.parent / "sources.txt"
    listing.write_text("\n".join(sorted(name for name in project.files if name.endswith(SOURCES))))
    helper = pathlib.Path(__file__).with_name("typescript_imports.js")
    done = subprocess.run([node, str(helper), str(root), str(listing)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "NODE_PATH": str(library)})
    assert done.returncode == 0, done.stderr
    expected = {}
    for line in done.stdout.splitlines():
        source, target, hard = line.split("\t")
        expected[(source, target)] = hard == "hard"
    ours = {edge for edge in project.edges if edge[0].endswith(SOURCES)}
    marks = [edge for edge in ours & expected.keys() if project.edges[edge] != expected[edge]]
    for edge in marks[:8]:
        print(f"    hard/soft differs: {edge[0]} -> {edge[1]} ours {'hard' if project.edges[edge] else 'soft'}")
    return compare("javascript", project, set(expected), ours, floor=FLOORS.get(project.name, FLOOR)) and len(marks) <= 0.02 * len(expected)


if __name__ == "__main__":
    sys.exit(run(PACKAGES, check))
