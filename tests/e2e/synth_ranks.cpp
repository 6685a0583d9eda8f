// `retrace synth` on several ranks: one queue, the same bytes, also after one of them is killed.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <map>
#include <thread>

#include "core/files/files.h"
#include "core/json.h"
#include "core/process/background_process.h"
#include "tests/e2e/support.h"

using namespace retrace;
using namespace retrace::e2e;

namespace {

std::vector<std::string> synth_words(const fs::path& repos, const fs::path& run, int nproc) {
  return {"synth",
          micro_recipe(),
          "search.preset=none",
          "synth.input=" + repos.string(),
          "run.dir=" + run.string(),
          "hygiene.duplicate_files=near",
          "hygiene.duplicate_min_words=20",
          "run.nproc=" + std::to_string(nproc)};
}

std::map<std::string, std::string> results_in(const fs::path& run) {
  std::map<std::string, std::string> files;
  const fs::path out = run / "rounds" / "001" / "synth";
  for (const std::string& name : list_folder(out))
    if (!name.starts_with("ledger.db")) files[name] = file_text(out / name);
  return files;
}

// The process of a rank of the run; 0 while there is none.
int rank_process(const fs::path& run, int rank) {
  for (const std::string& name : list_folder("/proc")) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string words = file_text("/proc/" + name + "/cmdline"),
                      environment = '\0' + file_text("/proc/" + name + "/environ");
    if (words.find("run.dir=" + run.string() + '\0') != std::string::npos &&
        environment.find(std::string("\0RANK=", 6) + std::to_string(rank) + '\0') != std::string::npos)
      return std::stoi(name);
  }
  return 0;
}

}  // namespace

TEST_CASE("synth gives the same bytes on one, two and three ranks, and after one is killed", "[e2e]") {
  TempFolder temp;
  const fs::path repos = make_repositories(temp.path(), 24);
  std::map<std::string, std::string> expected;
  for (const int nproc : {1, 2, 3}) {
    const fs::path run = temp.path() / std::to_string(nproc);
    const auto result = retrace::e2e::retrace(synth_words(repos, run, nproc));
    INFO(result.output);
    REQUIRE(result.exit_status == 0);
    REQUIRE(result.output.find("\"listed\": 24") != std::string::npos);
    if (nproc == 1) expected = results_in(run);
    REQUIRE(results_in(run) == expected);
  }
  REQUIRE(expected.count("trajectories.traj") == 1);

  int killed = 0;
  for (const int after_ms : {0, 100, 300, 600, 900, 1200}) {
    const fs::path run = temp.path() / ("killed" + std::to_string(after_ms));
    std::string command = "exec " RETRACE_BINARY;
    for (const std::string& word : synth_words(repos, run, 3)) command += " '" + word + "'";
    BackgroundProcess launcher(command, (temp.path() / "log").string());
    int pid = 0;
    for (int tries = 0; pid == 0 && tries < 1000 && !launcher.ended(); ++tries) {
      pid = rank_process(run, after_ms % 200 == 0 ? 1 : 0);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
    if (pid != 0) ::kill(pid, SIGKILL);
    for (int tries = 0; tries < 6000 && !launcher.ended(); ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    INFO(file_text(temp.path() / "log"));
    REQUIRE(launcher.ended().has_value());
    const int status = *launcher.ended();
    REQUIRE((status == 0 || status == 75));
    killed += status == 75;
    const auto again = retrace::e2e::retrace(synth_words(repos, run, 2));
    INFO(again.output);
    REQUIRE(again.exit_status == 0);
    REQUIRE(results_in(run) == expected);
  }
  REQUIRE(killed >= 2);
}
