#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/fuzz/fuzz.h"

namespace retrace::fuzz {

namespace fs = std::filesystem;

namespace {

uint64_t taken = 0;

struct Scratch {
  Scratch() {
    const fs::path base = ::access("/dev/shm", W_OK) == 0 ? fs::path("/dev/shm") : fs::temp_directory_path();
    std::string name = (base / "retrace-fuzz-XXXXXX").string();
    must(::mkdtemp(name.data()) != nullptr, "a scratch folder can be made");
    path = name;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path path;
};

}  // namespace

const fs::path& scratch() {
  static const Scratch one;
  return one.path;
}

void spill(const fs::path& file, const std::string& bytes) {
  fs::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void accepted() {
  ++taken;
}

uint64_t n_accepted() {
  return taken;
}

void must(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "broken property: %s\n", property);
  std::abort();
}

}  // namespace retrace::fuzz

// libFuzzer calls this before it reads its corpus: the seeds go where the variable says.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("RETRACE_FUZZ_SEEDS")) {
    const auto seeds = retrace::fuzz::seeds();
    for (size_t i = 0; i < seeds.size(); ++i)
      retrace::fuzz::spill(retrace::fuzz::fs::path(folder) / ("seed-" + std::to_string(i)), seeds[i]);
  }
  return 0;
}
