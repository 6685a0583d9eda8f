#include "tests/synth/stream_testing.h"

#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "core/files/files.h"
#include "core/random.h"
#include "core/recipe/run_config.h"
#include "synth/config.h"
#include "tests/synth/input/input_testing.h"
#include "tests/synth/record_testing.h"

namespace retrace::synth::streaming {

namespace {

std::string module_text(uint64_t seed, int functions) {
  Random random(seed, 7);
  std::string text = fmt::format("\"\"\"Module {} of the collection.\"\"\"\n", seed);
  for (int f = 0; f < functions; ++f)
    text += fmt::format(
        "\n\ndef act_{}(value, limit={}):\n    result = value * {} + limit_{}\n    return result\n",
        random.below(100000), random.below(1000), random.below(1000), random.below(100000));
  return text;
}

std::string jsonl_line(const std::string& repository, const std::string& path, const std::string& content) {
  return to_text({{"repository", repository}, {"path", path}, {"content", content}}) + "\n";
}

}  // namespace

fs::path make_listed_repositories(const fs::path& folder, int n_folders) {
  using testing::put;
  std::string list = "# every kind of repository\n";
  for (int i = 0; i < n_folders; ++i) {
    const std::string name = fmt::format("folder{:03}", i);
    const auto seed = static_cast<uint64_t>(i);
    put(folder / name / "pkg" / "base.py", module_text(seed, 12));
    put(folder / name / "pkg" / "main.py", "from . import base\n\n" + module_text(1000 + seed, 3));
    put(folder / name / "LICENSE",
        i % 2 ? "SPDX-License-Identifier: MIT\n" : "Apache License\nVersion 2.0\n");
    list += name + "\n";
  }
  put(folder / "twin" / "pkg" / "base.py", module_text(0, 12));
  put(folder / "twin" / "pkg" / "main.py", "from . import base\n\n" + module_text(1000, 3));
  put(folder / "twin" / "LICENSE", "Apache License\nVersion 2.0\n");
  put(folder / "zz-near" / "pkg" / "base.py", module_text(1, 12) + "\n\nEXTRA_NAME = 1\n");
  put(folder / "zz-near" / "pkg" / "main.py", "from . import base\n\n" + module_text(1001, 3));
  put(folder / "zz-none" / "picture.png", std::string("\x89PNG\0\0", 6));
  put(folder / "zz-broken.tar.gz", "this is no archive");
  testing::write_archive(
      folder / "packed-1.0.tar.gz", "gzip",
      {{"packed-1.0/packed.py", module_text(500, 9)}, {"packed-1.0/use.py", "import packed\n"}});
  std::string corpus;
  for (int r = 0; r < 3; ++r)
    for (const char* path : {"one.py", "two.py"})
      corpus += jsonl_line(fmt::format("owner/line{}", r), path,
                           module_text(600 + static_cast<uint64_t>(10 * r + path[0]), 5));
  put(folder / "corpus.jsonl", corpus);
  for (const char* name : {"twin", "zz-near", "zz-none", "zz-broken.tar.gz", "packed-1.0.tar.gz",
                           "corpus.jsonl", "zz-absent", "folder000"})
    list += std::string(name) + "\n";
  put(folder / "list.txt", list);
  return folder / "list.txt";
}

std::string tiny_module(int64_t number) {
  return module_text(static_cast<uint64_t>(number), 4);
}

void write_tiny_corpus(const fs::path& file, int64_t n) {
  std::ofstream out(file, std::ios::binary);
  std::string lines, frame;
  const auto flush = [&] {
    frame.resize(ZSTD_compressBound(lines.size()));
    frame.resize(ZSTD_compress(frame.data(), frame.size(), lines.data(), lines.size(), 1));
    out << frame;
    lines.clear();
  };
  for (int64_t i = 0; i < n; ++i) {
    const int64_t number = i % 1000 == 999 ? i - 1 : i;
    lines += jsonl_line(fmt::format("tiny/r{:07}", i), "tiny.py", tiny_module(number));
    if (lines.size() > size_t{1} << 20) flush();
  }
  flush();
  REQUIRE(out.good());
}

Recipe stream_recipe(const std::vector<Override>& overrides) {
  static const Schema schema = Schema::of<RunConfig, SynthConfig, SearchConfig, HygieneConfig>();
  Recipe recipe(schema);
  recipe.set({"search.preset", "none"});
  recipe.set({"synth.write_chunk_kib", "1"});
  for (const Override& o : overrides) recipe.set(o);
  return recipe;
}

SynthJob stream_job(const fs::path& input, const fs::path& out) {
  SynthJob job;
  job.out = out;
  job.list = [input](const UseSource& use) { list_sources(input.string(), use); };
  return job;
}

bool survives(const std::function<void()>& work, double kill_after_s) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    try {
      work();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  const auto start = std::chrono::steady_clock::now();
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < kill_after_s) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      continue;
    }
    ::kill(pid, SIGKILL);
    ::waitpid(pid, &status, 0);
    break;
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return false;
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  return true;
}

int64_t status_kib(const std::string& field) {
  std::ifstream in("/proc/self/status");
  std::string name;
  for (std::string line; std::getline(in, line);)
    if (line.rfind(field + ":", 0) == 0) return std::stoll(line.substr(field.size() + 1));
  FAIL("no " + field);
  return 0;
}

}  // namespace retrace::synth::streaming
