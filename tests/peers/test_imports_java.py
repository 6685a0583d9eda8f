"""Java edges against javac: JavaUses.java has the compiler attribute the sources (-proc:none, libraries missing) and
lists the types of other files that each file names. One compilation a source root set, as a build tool would do it."""
import pathlib
import re
import subprocess
import sys

from import_oracles import FLOOR, compare, run, tool

# slf4j's tests use the real log4j, which its module log4j-over-slf4j stands in for under the same names: nothing in a
# source tells the two apart.
FLOORS = {"libslf4j-java": 0.92}
PACKAGES = ["jsoup", "libcommons-codec-java", "joda-convert", "jcommander", "commons-io", "libslf4j-java"]


def modules(root):
    """Folders that hold src/main/java or src/test/java; each is compiled on its own."""
    found = {main.parents[2] for main in root.rglob("java") if main.is_dir() and main.parent.name in ("main", "test")
             and main.parents[1].name == "src"}
    return sorted(found) or [root]


def source_path(module, all_modules):
    """Main sources of the sibling modules that this module's pom.xml depends on, directly or not."""
    needed, waiting = [], [module]
    while waiting:
        pom = waiting.pop() / "pom.xml"
        named = re.findall(r"<artifactId>([^<]+)</artifactId>", pom.read_text()) if pom.is_file() else []
        for other in all_modules:
            if other.name in named and other != module and other not in needed:
                needed.append(other)
                waiting.append(other)
    return ":".join(str(other / "src/main/java") for other in needed)


def check(project):
    java = tool("java")
    tool("javac")
    expected, all_modules = set(), modules(project.root)
    for module in all_modules:
        sources = sorted(str(path) for path in module.rglob("*.java") if path.name != "module-info.java")
        listing = project.root / "sources.txt"
        listing.write_text("\n".join(sources) + "\n")
        helper = pathlib.Path(__file__).with_name("JavaUses.java")
        done = subprocess.run([java, str(helper), str(listing), source_path(module, all_modules)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            ends = line.split("\t")[:2]
            expected.add(tuple(str(pathlib.Path(end).relative_to(project.root)) for end in ends))
    return compare("java", project, expected, {edge for edge in project.edges if all(end.endswith(".java") for end in edge)},
                   floor=FLOORS.get(project.name, FLOOR))


if __name__ == "__main__":
    sys.exit(run(PACKAGES, check))
