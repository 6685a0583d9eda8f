"""Import edges of Python packages against Python's own parser.

The oracle reads each file with `ast` and resolves names against the package's own files by the language's rules.
Nothing of the packages is imported or run. Precision and recall must both reach 0.98 on every package, and the
hard/soft mark must agree on edges that both see.
"""
import ast
import json
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile

PACKAGES = ["json", "email", "logging", "unittest", "asyncio", "importlib", "xml", "http", "concurrent"]
FLOOR = 0.98
SOFT = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.If, ast.Try, ast.With, ast.AsyncWith, ast.For, ast.While)


def module_file(root, parts):
    base = root.joinpath(*parts)
    if (base / "__init__.py").is_file():
        return base / "__init__.py"
    if parts and base.with_name(base.name + ".py").is_file():
        return base.with_name(base.name + ".py")
    return None


def statements(tree):
    waiting = [(tree, False)]
    while waiting:
        node, soft = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, soft
        inner = soft or isinstance(node, SOFT)
        waiting.extend((child, inner) for child in ast.iter_child_nodes(node))


def targets(root, file, node):
    package = file.relative_to(root).parts[:-1]
    if isinstance(node, ast.Import):
        for alias in node.names:
            parts = alias.name.split(".")
            for n in range(len(parts), 0, -1):
                found = module_file(root, parts[:n])
                if found:
                    yield found
                    break
        return
    if node.level > len(package):
        return
    base = list(package[: len(package) - node.level + 1]) if node.level else []
    parts = base + (node.module.split(".") if node.module else [])
    module = module_file(root, parts)
    for alias in node.names:
        submodule = None if alias.name == "*" else module_file(root, parts + [alias.name])
        if submodule is not None and (module is None or module.name == "__init__.py"):
            yield submodule
        elif module is not None:
            yield module


def oracle(root):
    edges = {}
    for file in sorted(root.rglob("*.py")):
        try:
            tree = ast.parse(file.read_bytes())
        except SyntaxError:
            continue
        for node, soft in statements(tree):
            for target in targets(root, file, node):
                if target != file:
                    key = (str(file.relative_to(root)), str(target.relative_to(root)))
                    edges[key] = edges.get(key, False) or not soft
    return edges


def ours(binary, root, recipe):
    words = [binary, "synth", str(recipe), "--edges", f"synth.input={root}", f"run.dir={recipe.parent / 'run'}"]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    edges = [json.loads(line) for line in done.stdout.splitlines()]
    return {(edge["from"], edge["to"]): edge["hard"] for edge in edges}


def main():
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    failed, n_checked = False, 0
    for package in PACKAGES:
        source = library / package
        if not source.is_dir():
            print(f"{package}: not in {library}")
            continue
        with tempfile.TemporaryDirectory() as temporary:
            root = pathlib.Path(temporary) / "tree"
            shutil.copytree(source, root / package, ignore=shutil.ignore_patterns("__pycache__"))
            (root / "setup.cfg").write_text("[metadata]\nname = sample\n")  # makes the folder one repository
            recipe = pathlib.Path(temporary) / "recipe.toml"
            recipe.write_text("")
            found = ours(sys.argv[1], root, recipe)
            expected = oracle(root)
            n_checked += 1
            common = expected.keys() & found.keys()
            precision = len(common) / len(found) if found else 1.0
            recall = len(common) / len(expected) if expected else 1.0
            marks = sum(expected[edge] == found[edge] for edge in common) / len(common) if common else 1.0
            print(f"{package}: {len(expected)} edges, precision {precision:.4f}, recall {recall:.4f}, "
                  f"hard/soft agreement {marks:.4f}")
            for edge in sorted(found.keys() - expected.keys()):
                print(f"  only ours: {edge}")
            for edge in sorted(expected.keys() - found.keys()):
                print(f"  only ast: {edge}")
            failed |= min(precision, recall, marks) < FLOOR
    assert n_checked >= 2, f"{library} lacks the packages that this test reads"
    assert not failed, "import edges differ from Python's own parser"
    return 0


if __name__ == "__main__":
    sys.exit(main())
