// fuzz_NAME [RUNS]: mutations of the target's seeds, a pure function of the run's number, so that a finding
// comes again. The input of a run is kept until it has passed; a run of more than ten seconds is a finding.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "core/random.h"
#include "tests/fuzz/fuzz.h"

namespace {

using retrace::Random;

constexpr unsigned kMostSeconds = 10;
constexpr size_t kMostBytes = 1 << 16;
std::string current;

// Async-signal-safe: what the process was at goes to a file in the working folder.
void keep_input(int signal) {
  FILE* file = std::fopen("fuzz-finding", "wb");
  if (file != nullptr) {
    std::fwrite(current.data(), 1, current.size(), file);
    std::fclose(file);
  }
  std::fprintf(stderr, "signal %d; the input is in fuzz-finding\n", signal);
  std::_Exit(1);
}

std::string mutated(uint64_t run, const std::vector<std::string>& seeds,
                    const std::vector<std::string>& words) {
  Random random(run, 1);
  std::string input = seeds[random.below(seeds.size())];
  const auto place = [&] { return input.empty() ? 0 : random.below(input.size()); };
  for (uint64_t left = 1 + random.below(8); left > 0; --left) {
    const size_t at = place(), length = 1 + random.below(1 + random.below(64));
    switch (random.below(8)) {
      case 0:
        if (!input.empty()) input[at] = static_cast<char>(input[at] ^ (1 << random.below(8)));
        break;
      case 1:
        if (!input.empty()) input[at] = static_cast<char>(random.below(256));
        break;
      case 2:
        input.insert(at, words[random.below(words.size())]);
        break;
      case 3:
        input.erase(at, length);
        break;
      case 4:
        input.insert(at, input.substr(place(), length));
        break;
      case 5: {
        const std::string& other = seeds[random.below(seeds.size())];
        if (!other.empty()) input = input.substr(0, at) + other.substr(random.below(other.size()));
        break;
      }
      case 6: {
        const std::string& word = words[random.below(words.size())];
        input.replace(at, word.size(), word);
        break;
      }
      default:
        input.resize(at);
        break;
    }
    if (input.size() > kMostBytes) input.resize(kMostBytes);
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t runs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000;
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM})
    std::signal(signal, keep_input);
  const auto seeds = retrace::fuzz::seeds(), words = retrace::fuzz::dictionary();
  for (uint64_t run = 0; run < seeds.size() + runs; ++run) {
    current = run < seeds.size() ? seeds[run] : mutated(run, seeds, words);
    ::alarm(kMostSeconds);
    try {
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(current.data()), current.size());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "run %llu: %s\n", static_cast<unsigned long long>(run), error.what());
      keep_input(0);
    }
    ::alarm(0);
    if (run < seeds.size()) retrace::fuzz::must(retrace::fuzz::n_accepted() > run, "every seed is accepted");
  }
  std::printf("%llu inputs, %llu accepted\n", static_cast<unsigned long long>(seeds.size() + runs),
              static_cast<unsigned long long>(retrace::fuzz::n_accepted()));
  return 0;
}
