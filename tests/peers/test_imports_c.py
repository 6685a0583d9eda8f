"""C and C++ edges against the preprocessor: for each file a stub with one guarded #include a line is preprocessed by g++ in
an emptied copy of the tree (so that nothing but these lines is followed), with the include folders that the project's own
build files give. `-H` prints which file each line finds; edges from a source to the header of its stem are set aside."""
import pathlib
import re
import subprocess
import sys

from import_oracles import compare, run, tool

# What CMakeLists.txt or the makefiles pass as -I, by the folder that they build; the longest prefix holds.
UNITY = "tests/unity/"
FOLDERS = {
    "cjson": {"": ["", "tests", UNITY + "src"],
              UNITY: [UNITY + "src", UNITY + "extras/fixture/src"],
              **{f"{UNITY}examples/example_{n}/": [f"{UNITY}examples/example_{n}/src", UNITY + "src", UNITY + "extras/fixture/src"]
                 for n in (1, 2, 3)}},
    "libyaml": {"": ["include", "src"]},
    "jansson": {"": ["src"]},
    "lz4": {"": ["lib", "programs"]},
    "xxhash": {"": ["", "cli"], "tests/collisions/": ["tests/collisions/allcodecs", ""]},
    "libevent": {"": ["", "include", "compat"], "WIN32-Code/": ["", "include", "compat", "WIN32-Code/nmake"]},
    "libjsoncpp": {"": ["include", "src/lib_json", "src/test_lib_json"]},
    "yaml-cpp": {"": ["include", "src"], "test/": ["include", "src", "test/integration", "test"]},
    "spdlog": {"": ["include"]},
    "leveldb": {"": ["", "include"]},
    "re2": {"": [""]},
    "fmtlib": {"": ["include"]},
}
SOURCES = (".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".inl")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"][^>\"\n]+[>\"])", re.M)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|(\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')", re.S)


def check(project):
    compiler = tool("g++")
    root = project.root.resolve()
    names = sorted(name for name in project.files if name.endswith(SOURCES))
    written = {}
    for name in names:
        text = COMMENT.sub(lambda found: found.group(1) or " ", (root / name).read_text(errors="replace"))
        written[name] = INCLUDE.findall(text)
    mirror = root.parent / "mirror"
    for name in project.files:
        (mirror / name).parent.mkdir(parents=True, exist_ok=True)
        (mirror / name).write_text("")
    by_prefix = FOLDERS[project.name]
    expected = set()
    for name in names:
        if not written[name]:
            continue
        prefix = max((p for p in by_prefix if name.startswith(p)), key=len)
        flags = [f"-I{mirror / folder}" for folder in by_prefix[prefix]]
        stub = (mirror / name).with_name("retrace_stub.cc")
        stub.write_text("".join(f"#if __has_include({one})\n#include {one}\n#endif\n" for one in written[name]))
        done = subprocess.run([compiler, "-E", "-H", "-nostdinc", "-nostdinc++", *flags, str(stub)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        stub.unlink()
        for line in done.stderr.splitlines():
            if line.startswith(". "):
                expected.add((name, str(pathlib.Path(line[2:]).resolve().relative_to(mirror))))
    ours = {edge for edge, hard in project.edges.items() if hard and edge[0].endswith(SOURCES)}
    return compare("c, c++", project, expected, ours)


if __name__ == "__main__":
    sys.exit(run(FOLDERS, check))
