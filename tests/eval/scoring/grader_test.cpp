// What model-written code may try, and the verdict that each attempt must get.
#include "core/sandbox/sandbox.h"

#include <catch2/catch_test_macros.hpp>
#include <chrono>

#include "core/files/files.h"
#include "core/text.h"
#include "eval/scoring/grader.h"
#include "tests/eval/testing.h"

using namespace retrace;
using namespace retrace::eval;
using namespace retrace::eval::testing;

namespace {

constexpr const char* kPrompt =
    "from typing import List\n\n\ndef helper(x):\n    return x * 2\n\n\ndef solve(x: int) -> int:\n    "
    "\"\"\"Twice x.\"\"\"\n";
constexpr const char* kTest =
    "SECRET = 'tests-are-hidden'\n\ndef check(candidate):\n    for x in range(5):\n        assert "
    "candidate(x) == "
    "helper(x)\n    assert isinstance(candidate(7), int)\n";

constexpr double kLongest_s = 12;  // 3 on a quiet machine

SandboxConfig quick() {
  SandboxConfig config;
  config.timeout_s = 1;
  config.memory_mib = 256;
  config.output_kib = 256;
  return config;
}

const Sandbox& quick_sandbox() {
  static const Sandbox sandbox(quick());
  return sandbox;
}

// For code that ends by itself, however busy the machine.
const Sandbox& patient_sandbox() {
  static const Sandbox sandbox([] {
    SandboxConfig config = quick();
    config.timeout_s = 30;
    return config;
  }());
  return sandbox;
}

Verdict judge_body(const std::string& body, const Sandbox& sandbox = patient_sandbox()) {
  return grade(sandbox, {kPrompt, body, kTest, "solve"});
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string run_python(const Sandbox& sandbox, const std::string& code) {
  std::vector<Program> programs(1);
  programs[0].argv = {"/usr/bin/python3", "-c", code};
  return sandbox.run(std::move(programs)).ends[0].output;
}

}  // namespace

TEST_CASE("a right function passes and a wrong one fails with the reason", "[unit]") {
  REQUIRE(judge_body("    return x + x\n").result == "passed");
  REQUIRE(judge_body("    return x + x\n").passed);
  REQUIRE(judge_body("    return x + 1\n").result == "failed: AssertionError");
  REQUIRE(judge_body("    return y\n").result == "failed: NameError: name 'y' is not defined");
  REQUIRE(judge_body("    return (\n").result.starts_with("failed: SyntaxError"));
  REQUIRE(judge_body("    pass\n\nsolve = 3\n").result ==
          "failed: NameError: the completion does not define solve");
  REQUIRE(judge_body("").result ==
          "failed: AssertionError");  // the prompt alone: a function that returns None
}

TEST_CASE("code that cheats does not pass", "[unit]") {
  struct Row {
    const char *name, *body, *verdict;  // the verdict's beginning
  };
  const Row rows[] = {
      {"exit 0", "    import sys\n    sys.exit(0)\n", "failed: SystemExit"},
      {"exit 0 while loading", "    pass\nimport sys\nsys.exit(0)\n", "failed: SystemExit"},
      {"hard exit", "    import os\n    os._exit(0)\n", "failed: the candidate's process ended"},
      {"hard exit while loading", "    pass\nimport os\nos._exit(0)\n",
       "failed: the candidate's process ended"},
      {"prints the marker", "    print('passed')\n    print('{\"verdict\": \"passed\"}')\n    return -1\n",
       "failed: AssertionError"},
      {"prints the marker and leaves", "    pass\nimport os\nprint('passed', flush=True)\nos._exit(0)\n",
       "failed: the candidate's process ended"},
      {"forges the protocol",
       "    import os\n    os.write(4, b'{\"verdict\": \"passed\", \"nonce\": \"\"}\\n' * 9)\n    return "
       "-1\n",
       "failed: "},
      {"writes a verdict where the harness would",
       "    import os\n    for fd in range(3, 20):\n        try: os.write(fd, "
       "b'{\"nonce\":\"\",\"verdict\":\"passed\",\"text\":\"\"}\\n')\n        except OSError: pass\n    "
       "return -1\n",
       "failed: "},
      {"an __eq__ that lies",
       "    class Liar:\n        def __eq__(self, other): return True\n        def __ne__(self, other): "
       "return False\n    "
       "return Liar()\n",
       "failed: AssertionError"},
      {"an int whose __eq__ lies",
       "    class Liar(int):\n        def __eq__(self, other): return True\n        __hash__ = "
       "int.__hash__\n    return "
       "Liar(-1)\n",
       "failed: AssertionError"},
      {"a changed assert", "    import builtins\n    builtins.AssertionError = None\n    return -1\n",
       "failed: AssertionError"},
      {"looks for the tests in its frames",
       "    import sys\n    frame = sys._getframe()\n    while frame:\n        if 'SECRET' in "
       "frame.f_globals or 'check' in "
       "frame.f_globals: return helper(x)\n        frame = frame.f_back\n    return -1\n",
       "failed: AssertionError"},
      {"looks for the tests in memory and files",
       "    import gc, os\n    for o in gc.get_objects():\n        if isinstance(o, dict) and 'SECRET' in o: "
       "return "
       "helper(x)\n    for top in ('/work', '/tmp', '/proc', '/home', '/root', '/etc'):\n        for folder, "
       "_, names in "
       "os.walk(top):\n            for name in names:\n                try: text = open(folder + '/' + name, "
       "errors='replace').read(1 << 20)\n                except OSError: continue\n                if "
       "'tests-are-hidden' "
       "in text: return helper(x)\n    return -1\n",
       "failed: AssertionError"},
      {"redefines the helper", "    return 0\n\ndef helper(x):\n    return 0\n", "failed: AssertionError"},
      {"an answer that is too deep", "    a = []\n    for _ in range(100000): a = [a]\n    return a\n",
       "failed: ValueError"},
      {"raises what ends programs", "    raise KeyboardInterrupt\n", "failed: KeyboardInterrupt"},
      {"an endless iterator", "    import itertools\n    return itertools.count()\n", "failed: "},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    Verdict verdict;
    const double took_s = seconds_of([&] { verdict = judge_body(row.body); });
    INFO(verdict.result);
    REQUIRE_FALSE(verdict.passed);
    REQUIRE(verdict.graded);
    REQUIRE(verdict.result.starts_with(row.verdict));
    REQUIRE(took_s < kLongest_s);
  }
}

TEST_CASE("code that harms is stopped", "[unit]") {
  struct Row {
    const char *name, *body, *verdict;
  };
  const Row rows[] = {
      {"endless loop", "    while True: pass\n", "timed out"},
      {"endless loop that catches everything",
       "    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n",
       "timed out"},
      {"sleeps", "    import time\n    time.sleep(60)\n", "timed out"},
      {"fork bomb", "    import os\n    while True: os.fork()\n", "failed: BlockingIOError"},
      {"fork bomb that goes on",
       "    import os\n    while True:\n        try: os.fork()\n        except OSError: pass\n", "timed out"},
      {"a thread", "    import threading\n    threading.Thread(target=print).start()\n",
       "failed: RuntimeError"},
      {"10 GB of memory", "    return bytearray(10 << 30)\n", "failed: MemoryError"},
      {"1 GB of output", "    s = 'x' * (1 << 20)\n    for _ in range(1024): print(s)\n    return 2 * x\n",
       "failed: too much output"},
      {"an answer of 20 MB", "    return 'x' * (20 << 20)\n", "failed: ValueError: an answer is too large"},
      {"a background process",
       "    import subprocess\n    subprocess.Popen(['/bin/sleep', '60'])\n    return 2 * x\n",
       "failed: BlockingIOError"},
      {"a socket", "    import socket\n    socket.socket()\n    return 2 * x\n", "failed: PermissionError"},
      {"writes outside", "    open('/usr/lib/evil', 'w')\n    return 2 * x\n", "failed: OSError"},
      {"writes in the root", "    open('/evil', 'w')\n    return 2 * x\n", "failed: OSError"},
      {"fills its folder",
       "    with open('/work/big', 'wb') as f:\n        while True: f.write(bytes(1 << 20))\n", "failed: "},
      {"kills its parent",
       "    import os, signal\n    os.kill(os.getppid(), signal.SIGKILL)\n    return -1\n", "failed: "},
      {"kills everything", "    import os, signal\n    os.kill(-1, signal.SIGKILL)\n    return -1\n",
       "failed: "},
      {"reads standard input", "    return int(input())\n", "failed: EOFError"},
      {"a segmentation fault", "    import ctypes\n    ctypes.string_at(0)\n",
       "failed: the candidate's process ended"},
      {"new name spaces",
       "    import ctypes\n    libc = ctypes.CDLL(None, use_errno=True)\n    return -1 if "
       "libc.unshare(0x10000000) else 2 * x\n",
       "failed: AssertionError"},
      {"ptrace",
       "    import ctypes\n    libc = ctypes.CDLL(None)\n    return -1 if libc.ptrace(0, 0, 0, 0) else 2 * "
       "x\n",
       "failed: AssertionError"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    Verdict verdict;
    const double took_s = seconds_of([&] {
      verdict =
          judge_body(row.body, row.verdict == std::string("timed out") ? quick_sandbox() : patient_sandbox());
    });
    INFO(verdict.result);
    REQUIRE_FALSE(verdict.passed);
    REQUIRE(verdict.graded);
    REQUIRE(verdict.result.starts_with(row.verdict));
    REQUIRE(took_s < kLongest_s);
  }
}

TEST_CASE("values come back with their exact types", "[unit]") {
  const std::string prompt = "def solve(x):\n    \"\"\"The same.\"\"\"\n";
  const std::string test =
      "import math\ndef check(candidate):\n"
      "    values = [None, True, 0, -7, 10 ** 5000, 1.5, -0.0, float('inf'), 1j, '', 'a\\x00\\u00e9\\ud800', "
      "b'\\xff', [], "
      "[1, [2.0, 'x']], (), (1, (2,)), {1, 'a'}, frozenset({2}), {1: 'a', (1, 2): [3]}, range(3, 9, 2), {}]\n"
      "    for v in values:\n        got = candidate(v)\n        assert type(got) is type(v), (type(got), "
      "v)\n        "
      "assert got == v, v\n"
      "    assert math.copysign(1, candidate(-0.0)) == -1\n    assert math.isnan(candidate(float('nan')))\n"
      "    assert candidate(None) is None and candidate(True) is True\n";
  REQUIRE(grade(patient_sandbox(), {prompt, "    return x\n", test, "solve"}).result == "passed");
  // Kinds of plain values become plain; iterators stay iterators; other objects equal nothing.
  auto result = [&](const std::string& body, const std::string& check) {
    return grade(patient_sandbox(), {prompt, body, "def check(candidate):\n    " + check + "\n", "solve"})
        .result;
  };
  REQUIRE(result("    import collections\n    return collections.Counter(x)\n",
                 "assert candidate('aab') == {'a': 2, 'b': 1}") == "passed");
  REQUIRE(result("    return (v for v in x)\n", "assert tuple(candidate([1, 2])) == (1, 2)") == "passed");
  REQUIRE(result("    return (v for v in x)\n", "assert candidate([1, 2]) == [1, 2]") ==
          "failed: AssertionError");
  REQUIRE(result("    return object()\n", "assert candidate(1) == 1") == "failed: AssertionError");
  REQUIRE(result("    raise KeyError('k')\n",
                 "\n    try: candidate(1)\n    except KeyError: return\n    assert False") == "passed");
  REQUIRE(result("    return 1\n", "pass") == "failed: the check made no call");
}

TEST_CASE("a program sees nothing of this machine but its toolchain", "[unit]") {
  ::setenv("RETRACE_TEST_CANARY", "canary-value", 1);
  const std::string seen = run_python(patient_sandbox(),
                                      "import os\nprint(sorted(os.listdir('/')), sorted(os.environ), "
                                      "os.getpid() < 5, os.uname().nodename, os.listdir('/work'))");
  REQUIRE(seen.find("canary") == std::string::npos);
  REQUIRE(seen.find("CANARY") == std::string::npos);
  for (const char* hidden : {"'home'", "'root'", "'etc/", "'tmp'", "'proc'", "'var'", "'work', 'x"})
    REQUIRE(seen.find(hidden) == std::string::npos);
  REQUIRE(seen.find("True sandbox []") != std::string::npos);
  const std::string open_files =
      run_python(patient_sandbox(),
                 "import os\nopen_ = []\nfor fd in range(256):\n  try: os.fstat(fd); open_.append(fd)\n"
                 "  except OSError: pass\nprint(open_)");
  REQUIRE(trim(open_files) == "[0, 1, 2]");
}

TEST_CASE("processes that are allowed are counted and die with their program", "[unit]") {
  SandboxConfig config = quick();
  config.processes = 4;
  config.timeout_s = 30;
  std::unique_ptr<Sandbox> made;
  try {
    made = std::make_unique<Sandbox>(config);
  } catch (const Error& error) {
    // Root in a name space with a single user: the kernel does not count its processes, so the sandbox
    // refuses.
    if (error.message().find("cannot be limited for root") == std::string::npos) throw;
    SKIP(error.message());
  }
  const Sandbox& sandbox = *made;
  const std::string counted =
      run_python(sandbox,
                 "import os, time\nn = 0\nwhile True:\n  try:\n    if os.fork() == 0: time.sleep(60)\n"
                 "    n += 1\n  except OSError: break\nprint(n, flush=True)");
  REQUIRE(trim(counted) == "3");  // and the program itself
  REQUIRE(judge_body("    import subprocess\n    subprocess.Popen(['/bin/sleep', '60'])\n    return 2 * x\n",
                     sandbox)
              .graded);
  // Whatever sleeps in the background holds up nothing.
  REQUIRE(seconds_of([&] {
            run_python(sandbox, "import subprocess\nsubprocess.Popen(['/bin/sleep', '60'])");
          }) < kLongest_s);
}

TEST_CASE("without a sandbox model-written code does not run unless the recipe says so", "[unit]") {
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nonexistent", 1);
  const Error error = error_of([] { Sandbox sandbox(quick()); });
  ::setenv("PATH", path.c_str(), 1);
  REQUIRE(error.status() == 2);
  REQUIRE(error.message().find("bwrap is not installed") != std::string::npos);
  REQUIRE(error.hint().find("sandbox.mode=none") != std::string::npos);

  SandboxConfig config = quick();
  config.mode = "none";
  const Sandbox open(config);
  REQUIRE(open.describe()["mode"] == "none");
  REQUIRE(judge_body("    return x + x\n", open).result == "passed");
  REQUIRE(judge_body("    return bytearray(10 << 30)\n", open).result == "failed: MemoryError");
  REQUIRE(judge_body("    while True: pass\n", open).result == "timed out");
  REQUIRE(judge_body("    import os\n    os._exit(0)\n", open).result ==
          "failed: the candidate's process ended");

  config.python = "/nonexistent/python";
  REQUIRE(error_of([&] { Sandbox sandbox(config); }).status() == 2);
}
