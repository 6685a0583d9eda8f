"""scripts/bundle: what it packs asks for glibc 2.34 and GCC 11's libstdc++ at most (the script itself refuses more), and
runs where nothing else is: in a box with the bundle, torch's wheel, glibc, the compiler's run-time libraries and a shell."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
BASE = ["ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libresolv.so.2",
        "libutil.so.1", "libgcc_s.so.1", "libstdc++.so.6"]
LIBRARIES = pathlib.Path("/lib/x86_64-linux-gnu")


def deps():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("RETRACE_DEPS") or pathlib.Path(home) / "retrace")


def boxed(work, site, *command, **variables):
    """Runs a command in a root that holds only what BASE, the bundle and torch's site-packages are."""
    box = ["bwrap", "--unshare-all", "--tmpfs", "/", "--proc", "/proc", "--dev", "/dev", "--ro-bind", work, "/opt",
           "--ro-bind", site, "/site", "--ro-bind", "/bin/sh", "/bin/sh", "--ro-bind", "/bin/grep", "/bin/grep",
           "--ro-bind", "/usr/bin/dirname", "/bin/dirname", "--setenv", "PATH", "/bin", "--symlink",
           "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"]
    for name in BASE + ["libpcre2-8.so.0"]:  # the last for grep
        box += ["--ro-bind", str((LIBRARIES / name).resolve()), f"/lib/x86_64-linux-gnu/{name}"]
    for name, value in variables.items():
        box += ["--setenv", name, value]
    return subprocess.run([*map(str, box), *command], capture_output=True, text=True, check=False)


def main():
    if not shutil.which("bwrap"):
        print("bubblewrap is not installed")
        return 77
    site = next((deps() / "torch-2.11.0" / "lib").glob("python3*/site-packages"))
    with tempfile.TemporaryDirectory() as folder:
        packed = pathlib.Path(folder) / "retrace.tar.zst"
        subprocess.run([TOP / "scripts" / "bundle", packed], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "-C", folder, "--zstd", "-xf", packed], check=True)
        unpacked = next(p for p in pathlib.Path(folder).iterdir() if p.is_dir())
        for file in [*unpacked.glob("bin/*"), *unpacked.glob("lib/*")]:
            text = subprocess.run(["readelf", "-d", file], check=True, capture_output=True, text=True).stdout
            if "RUNPATH" in text or "RPATH" in text:
                print(f"{file.name} carries a path of the machine that built it")
                return 1
        empty = boxed(folder, site, "/bin/sh", "-c", "exit 0")
        if empty.returncode != 0 and empty.stderr.startswith("bwrap:"):
            print(f"skipped: no box can be made here: {empty.stderr.strip()}")
            return 77
        program = f"/opt/{unpacked.name}/retrace"
        refused = boxed(folder, site, program, "--version")
        if refused.returncode != 2 or "torch 2.11.0 is not found" not in refused.stderr:
            print("without torch:", refused)
            return 1
        version = boxed(folder, site, program, "--version", RETRACE_TORCH="/site/torch")
        found = boxed(folder, site, program, "doctor", "--json", "sandbox.mode=none", RETRACE_TORCH="/site/torch")
        if version.returncode != 0 or not found.stdout.startswith("{"):
            print("in the box:", version, found)
            return 1
        states = {f["what"]: f for f in json.loads(found.stdout)["findings"]}
        print(f"{packed.stat().st_size >> 20} MiB; {version.stdout.strip()}; attention {states['attention']['text']}")
        if states["attention"]["state"] != "ok":
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
