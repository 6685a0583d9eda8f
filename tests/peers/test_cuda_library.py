"""libretrace_cuda.so is compiled (nvcc and g++), linked without a missing symbol, and opens beside torch's CUDA libraries
on a machine without a GPU. It opens Transformer Engine's library (scripts/setup --cuda fetches it) and finds every
function that it calls there; their types are those of the same wheel's headers, which it is compiled with. What its kernels compute is tested elsewhere: tests/model/cuda/cuda_emulated.cpp runs them on the
CPU, tests/model/cuda/gpu.cpp on a GPU."""
import ctypes
import os
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = TOP / "build-cuda" / "libretrace_cuda.so"


DEPS = pathlib.Path(os.environ.get("RETRACE_DEPS") or
                    pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "retrace")
TE = DEPS / "te-2.20.2" / "transformer_engine" / "wheel_lib" / "libtransformer_engine.so"


def check_transformer_engine(library):
    open_te = library.retrace_open_te
    open_te.restype = ctypes.c_char_p
    problem = open_te(b"/nowhere/libtransformer_engine.so").decode()
    if "/nowhere/libtransformer_engine.so does not load" not in problem:
        print(f"a library that is not there is said to be: {problem!r}")
        return 1
    problem = open_te(str(LIBRARY).encode()).decode()  # a library, but not that one
    if "lacks nvte_create_tensor, " not in problem or "nvte_fused_attn_bwd_v2" not in problem:
        print(f"a library without the functions is said to be: {problem!r}")
        return 1
    problem = open_te(str(TE).encode()).decode()
    if problem:
        print(problem)
        return 1
    print(f"{TE.name}: every function that is called is there")
    return check_attributes()


def check_attributes():
    """The parameters of attention are opaque to the compiler: each that this version knows is set, none by default, and
    the library wants the sizes that are set."""
    te = ctypes.CDLL(str(TE))
    header = (TE.parents[1] / "common" / "include" / "transformer_engine" / "fused_attn.h").read_text()
    calls = (TOP / "model" / "cuda" / "te.cpp").read_text()
    widths = {"uint8_t": 1, "enum": 4, "float": 4, "int64_t": 8, "size_t": 8, "pointer": 8}
    for way in ("Fwd", "Bwd"):
        create = getattr(te, f"nvte_create_fused_attn_{way.lower()}_params")
        create.restype = ctypes.c_void_p
        params = ctypes.c_void_p(create())
        query = getattr(te, f"nvte_get_fused_attn_{way.lower()}_params_attribute")
        names = re.search(rf"enum NVTEFusedAttn{way}ParamsAttribute {{(.*?)}};", header, re.S).group(1)
        names = re.findall(r"^\s+(kNVTE\w+)", names, re.M)[:-1]
        for index, name in enumerate(names):
            if not re.search(rf"\b{name}\b", calls):
                print(f"{name} is left to its default")
                return 1
            size = ctypes.c_size_t()
            query(params, index, None, ctypes.c_size_t(0), ctypes.byref(size))
            short = name[len("kNVTEFusedAttnFwdParams"):]
            kind = ("uint8_t" if short in ("IsTraining", "CudaGraph", "ReturnMaxLogit", "BottomRightDiagonal", "Deterministic")
                    else "float" if short in ("Dropout", "AttnScale")
                    else "enum" if short.endswith(("Type", "Layout", "Format"))
                    else "int64_t" if short.startswith("WindowSize")
                    else "size_t" if short.startswith("MaxSeqlen") else "pointer")
            if size.value != widths[kind]:
                print(f"{name} is {size.value} bytes, not {widths[kind]} ({kind})")
                return 1
        print(f"{way.lower()}: all {len(names)} attributes are set")
    return 0


def main():
    if not TE.exists():
        print(f"{TE} does not exist: scripts/setup --cuda fetches it")
        return 77
    subprocess.run([TOP / "scripts" / "build", "--cuda", "retrace_cuda"], check=True, stdout=subprocess.DEVNULL)
    import torch  # loads libtorch_cuda.so and what that needs
    try:
        library = ctypes.CDLL(str(LIBRARY), mode=ctypes.RTLD_GLOBAL)
    except OSError as problem:
        print(f"{LIBRARY.name} does not open: {problem}")
        return 1
    entry = library.retrace_cuda_library
    entry.restype = ctypes.POINTER(ctypes.c_char_p)
    version = entry()[0].decode()
    expected = (TOP / "CMakeLists.txt").read_text().split("project(retrace VERSION ")[1].split()[0]
    print(f"{LIBRARY.name}: {LIBRARY.stat().st_size} bytes, version {version}, torch {torch.__version__}")
    if version != expected:
        print(f"the library says version {version}, the project {expected}")
        return 1
    listed = subprocess.run(["nm", "-D", "--defined-only", str(LIBRARY)], check=True, capture_output=True, text=True)
    if " T retrace_cuda_library" not in listed.stdout:
        print("the entry is not exported")
        return 1
    return check_transformer_engine(library)


if __name__ == "__main__":
    sys.exit(main())
