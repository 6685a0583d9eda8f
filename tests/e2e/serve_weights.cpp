// search.serve_command in the loop: the weights of a round are served, searched with, and gone.
#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "core/json.h"
#include "tests/e2e/support.h"

using namespace retrace;
using namespace retrace::e2e;

namespace {

bool alive(int64_t pid) {
  return fs::exists("/proc/" + std::to_string(pid) + "/environ") &&
         !file_text("/proc/" + std::to_string(pid) + "/cmdline").empty();
}

}  // namespace

TEST_CASE("the loop serves the weights of a round, searches with them, and leaves nothing running", "[e2e]") {
  TempFolder temp;
  const fs::path repos = make_repositories(temp.path(), 8), run = temp.path() / "run",
                 note = temp.path() / "note";
  const std::string server = "exec python3 " RETRACE_SOURCE_DIR
                             "/tests/e2e/serve_ids.py --weights {weights} --model {model} "
                             "--host {host} --port {port} --note " +
                             note.string();
  std::vector<std::string> words = {"run",
                                    micro_recipe(),
                                    "synth.input=" + repos.string(),
                                    "run.dir=" + run.string(),
                                    "train.steps=4",
                                    "loop.compare=[]",
                                    "search.judge=none",
                                    "search.scorer=http",
                                    "search.max_context=1024",
                                    "search.serve_command=" + server};
  // First a command that dies: one error, and what was done is kept.
  auto broken = words;
  broken.back() = "search.serve_command=echo no memory for {port}; exit 9";
  const auto dead = retrace::e2e::retrace(broken);
  INFO(dead.output);
  REQUIRE(dead.exit_status == 75);
  REQUIRE(dead.output.find("ended with status 9 before it answered") != std::string::npos);
  REQUIRE(dead.output.find("no memory for") != std::string::npos);
  REQUIRE(fs::exists(run / "rounds/001/round.json"));
  REQUIRE_FALSE(fs::exists(run / "rounds/002/synth/done.json"));

  const auto result = retrace::e2e::retrace(words);
  INFO(result.output);
  REQUIRE(result.exit_status == 0);
  const auto json = [](const fs::path& path) { return parse_json(file_text(path), path.string()); };
  REQUIRE(json(run / "rounds/001/round.json")["scorer"] == "none");
  const auto scorer = json(run / "rounds/002/round.json")["scorer"].get<std::string>();
  REQUIRE(scorer.starts_with("http/vllm/repo2agent_search-step-4-"));
  REQUIRE(json(run / "rounds/002/synth/summary.json")["search"]["searched"].get<int64_t>() > 0);
  const Json served = json(note);  // one line: it was started once
  REQUIRE(scorer.find(served["model"].get<std::string>()) != std::string::npos);
  REQUIRE(served["hidden_size"] == 48);
  REQUIRE(to_text(served["files"]).find("model.safetensors") != std::string::npos);
  REQUIRE_FALSE(alive(served["pid"].get<int64_t>()));
  REQUIRE_FALSE(fs::exists(run / "rounds/002/serve"));
  REQUIRE(file_text(run / "rounds/002/serve.log").find("serving repo2agent_search-step-4-") !=
          std::string::npos);
  // Finished: the same command starts no server.
  REQUIRE(retrace::e2e::retrace(words).exit_status == 0);
  REQUIRE(json(note) == served);
}
