"""Java edges against javac: JavaUses.java has the compiler attribute the sources (-proc:none, libraries missing) and
lists the types of other files that each file names. One compilation a source root set, as a build tool would do it."""
import pathlib
import subprocess
import sys

from import_oracles import compare, run, tool

PACKAGES = ["jsoup", "libcommons-codec-java", "joda-convert", "jcommander", "commons-io", "libslf4j-java"]


def modules(root):
    """Folders that hold src/main/java or src/test/java; each is compiled on its own."""
    found = {main.parents[2] for main in root.rglob("java") if main.is_dir() and main.parent.name in ("main", "test")
             and main.parents[1].name == "src"}
    return sorted(found) or [root]


def check(project):
    java = tool("java")
    tool("javac")
    expected = set()
    for module in modules(project.root):
        sources = sorted(str(path) for path in module.rglob("*.java")
                         if path.name not in ("module-info.java", "package-info.java"))
        listing = project.root / "sources.txt"
        listing.write_text("\n".join(sources) + "\n")
        helper = pathlib.Path(__file__).with_name("JavaUses.java")
        done = subprocess.run([java, str(helper), str(listing)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            ends = line.split("\t")[:2]
            expected.add(tuple(str(pathlib.Path(end).relative_to(project.root)) for end in ends))
    return compare("java", project, expected, {edge for edge in project.edges if all(end.endswith(".java") for end in edge)})


if __name__ == "__main__":
    sys.exit(run(PACKAGES, check))
