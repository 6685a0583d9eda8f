// The loop as a user runs it: from a folder of repositories to a report, and what it leaves behind.
#include <catch2/catch_test_macros.hpp>

#include "core/json.h"
#include "data/mds/mds.h"
#include "data/tokenizer/tokenizer.h"
#include "tests/e2e/support.h"

using namespace retrace;
using namespace retrace::e2e;

namespace {

Json json_file(const fs::path& path) {
  INFO(path.string());
  REQUIRE(fs::exists(path));
  return parse_json(file_text(path), path.string());
}

}  // namespace

TEST_CASE("the loop runs whole and leaves what README promises", "[e2e]") {
  TempFolder temp;
  const fs::path repos = make_repositories(temp.path(), 8), run = temp.path() / "run";
  const std::string secret = "AKIAQ3EGVDRT6NPX2L7B";
  write_text(repos / "queuekit0" / "queuekit0" / "util.py",
             "KEY = \"" + secret + "\"\nMARK = \"<|eot_id|>\"\n" +
                 file_text(repos / "queuekit0" / "queuekit0" / "util.py"));
  const std::vector<std::string> command = {"run", micro_recipe(), "synth.input=" + repos.string(),
                                            "run.dir=" + run.string()};
  const auto first = retrace::e2e::retrace(command);
  INFO(first.output);
  REQUIRE(first.exit_status == 0);
  REQUIRE(first.output.find((run / "report.html").string()) != std::string::npos);
  for (const char* name :
       {"recipe.toml", "run.json", "report.html", "report.md", "report.json", "metrics.jsonl", "slices.json",
        "tokenizer/tokenizer.json", "rounds/001/synth/trajectories.traj", "rounds/002/synth/candidates.jsonl",
        "rounds/001/tokens/index.json", "rounds/002/tokens/pack.json", "final.json", "model/config.json",
        "model/tokenizer.json", "compare/raw_repos/metrics.jsonl"}) {
    INFO(name);
    REQUIRE(fs::exists(run / name));
  }

  SECTION("the report shows the ranks and the page of a trajectory") {
    const std::string html = file_text(run / "report.html"), text = file_text(run / "report.md");
    for (const char* shown : {"Time of a step by rank", "class=\"trajectory page\" sandbox", "One trajectory",
                              "&lt;!doctype html&gt;"}) {
      INFO(shown);
      REQUIRE(html.find(shown) != std::string::npos);
    }
    REQUIRE(text.find("slowest in steps") != std::string::npos);
    REQUIRE(html.find("<script") == std::string::npos);
  }
  SECTION("held-out bits per byte fall in every round") {
    for (const char* branch : {".", "compare/raw_repos"})
      for (const char* round : {"001", "002"}) {
        const Json json = json_file(run / branch / "rounds" / round / "round.json");
        REQUIRE(json["heldout"]["after"].get<double>() < json["heldout"]["before"].get<double>());
      }
  }
  SECTION("the second search was scored by the first round's weights, on repositories that these never saw") {
    const Json slices = json_file(run / "slices.json");
    std::map<std::string, std::string> place;
    for (const auto& r : slices["repositories"])
      REQUIRE(place.emplace(r["name"].get<std::string>(), r["fold"].get<std::string>() + to_text(r["round"]))
                  .second);
    REQUIRE(json_file(run / "rounds/001/round.json")["scorer"] == "none");
    REQUIRE(json_file(run / "rounds/002/round.json")["scorer"] == "repo2agent_search step-12");
    REQUIRE(json_file(run / "rounds/002/round.json")["judge"] == "raw_repos step-8");
    const auto shown = retrace::e2e::retrace(
        {"show", (run / "rounds/002/synth/trajectories.traj").string(), "--as", "json"});
    REQUIRE(shown.exit_status == 0);
    const Json record = parse_json(shown.output, "show");
    REQUIRE(place.at(record["repo"]["origin"].get<std::string>()) == "train2");
    REQUIRE(to_text(record).find("repo2agent_search step-12") != std::string::npos);
  }
  SECTION("a secret in the source reaches no file of the run, and source text forges no special token") {
    for (const auto& entry : fs::recursive_directory_iterator(run))
      if (entry.is_regular_file()) {
        INFO(entry.path().string());
        REQUIRE(file_text(entry.path()).find(secret) == std::string::npos);
      }
    const auto tokenizer = data::load_tokenizer(run / "tokenizer");
    const auto eot = tokenizer->special("<|eot_id|>");
    REQUIRE(eot.has_value());
    // raw_repos has no turns, so the token may not occur at all although the text does.
    int64_t as_token = 0, as_text = 0;
    for (const char* round : {"001", "002"}) {
      const data::MdsReader reader(run / "compare/raw_repos/rounds" / round / "tokens");
      for (int64_t i = 0; i < reader.size(); ++i) {
        const auto sample = reader.read(i);
        for (const auto id : sample.input_ids) as_token += id == *eot;
        as_text += tokenizer->decode(sample.input_ids, true).find("<|eot_id|>") != std::string::npos;
      }
    }
    const auto placed = to_text(json_file(run / "slices.json"));
    REQUIRE(as_token == 0);
    // Where the planted repository was held out, there is nothing to find.
    const Json slices = json_file(run / "slices.json");
    for (const auto& r : slices["repositories"])
      if (r["name"] == "queuekit0" && r["fold"] == "train") REQUIRE(as_text > 0);
  }
  SECTION("the same command again changes nothing") {
    const auto weights = file_text(run / "model/model.safetensors");
    const auto again = retrace::e2e::retrace(command);
    REQUIRE(again.exit_status == 0);
    REQUIRE(file_text(run / "model/model.safetensors") == weights);
  }
  SECTION("show and export understand what a run leaves") {
    for (const auto& words : std::vector<std::vector<std::string>>{
             {"show", (run / "rounds/002/synth/trajectories.traj").string()},
             {"show", (run / "rounds/002/synth/trajectories.traj").string(), "--as", "html"},
             {"show", (run / "rounds/002/synth/trajectories.traj").string(), "--as", "json"},
             {"show", (run / "rounds/002/tokens").string(), "--tokenizer", (run / "tokenizer").string()},
             {"show", (run / "checkpoints/step-24").string()},
             {"export", (run / "checkpoints/step-24").string(), (temp.path() / "hf").string()},
             {"export", (run / "rounds/002/synth").string(), (temp.path() / "out.jsonl").string(), "--format",
              "sharegpt"},
             {"score", (run / "model").string(), (run / "recipe.toml").string()},
             {"report", run.string()}}) {
      const auto result = retrace::e2e::retrace(words);
      INFO(words[0] << " " << words[1] << "\n" << result.output);
      REQUIRE(result.exit_status == 0);
      REQUIRE(!result.output.empty());
    }
  }
}

TEST_CASE("a killed loop goes on to the same weights", "[e2e]") {
  TempFolder temp;
  const fs::path repos = make_repositories(temp.path(), 8);
  ProcessOptions options;
  options.timeout_s = 500;
  const auto result =
      run_process({"python3", RETRACE_SOURCE_DIR "/scripts/kill-soak", "--kills", "8", "--binary",
                   RETRACE_BINARY, micro_recipe(), "synth.input=" + repos.string()},
                  options);
  INFO(result.output);
  REQUIRE(result.exit_status == 0);
}

TEST_CASE("the paper's four columns end in one report on one budget of trained tokens", "[e2e]") {
  TempFolder temp;
  const fs::path repos = make_repositories(temp.path(), 8), run = temp.path() / "run",
                 prose = temp.path() / "prose";
  for (int i = 0; i < 40; ++i)
    write_text(prose / (std::to_string(i) + ".txt"),
               file_text(repos / ("queuekit" + std::to_string(i % 8)) / "README.md") +
                   "\nA paragraph of prose, number " + std::to_string(i) + ", that no repository holds.\n");
  const auto result = retrace::e2e::retrace(
      {"run", micro_recipe(), "synth.input=" + repos.string(), "run.dir=" + run.string(), "train.steps=6",
       "loop.compare=[\"prolong\", \"raw_repos\", \"repo2agent\"]", "data.trajectories=0.5",
       "data.text_sources=[\"" + prose.string() + "\"]", "data.text_names=[\"prose\"]",
       "data.text_weights=[0.5]"});
  INFO(result.output);
  REQUIRE(result.exit_status == 0);
  const Json models = json_file(run / "final.json")["models"];
  std::vector<std::string> names;
  for (const auto& model : models) names.push_back(model["name"]);
  REQUIRE(names == std::vector<std::string>{"repo2agent_search", "prolong", "raw_repos", "repo2agent"});
  const std::string page = file_text(run / "report.html");
  const Json main = json_file(run / "rounds/002/round.json");
  const double budget = main["train"]["label_tokens"].get<double>();
  for (const std::string column : {"prolong", "raw_repos", "repo2agent"}) {
    INFO(column);
    REQUIRE(page.find(column) != std::string::npos);
    const Json round = json_file(run / "compare" / column / "rounds/002/round.json");
    REQUIRE(round["heldout"]["after"].is_number());
    // To within half a step of the main branch, and half a step of its own sampling.
    const double trained = round["train"]["label_tokens"].get<double>();
    REQUIRE(std::abs(trained - budget) < 0.35 * budget);
  }
  REQUIRE_FALSE(fs::exists(run / "compare/prolong/rounds/001/tokens"));
  const data::MdsReader texts(run / "texts/prose");
  REQUIRE(texts.size() == json_file(run / "texts/prose/pack.json")["samples"].get<int64_t>());
}

TEST_CASE("the report of a synthesis says what became of its sources", "[e2e]") {
  TempFolder temp;
  const fs::path repos = make_repositories(temp.path(), 3), run = temp.path() / "run";
  fs::create_directories(repos / "empty");
  write_text(repos / "empty" / "notes.bin", std::string("\0\1", 2));
  const std::vector<std::string> keys = {micro_recipe(), "synth.input=" + repos.string(),
                                         "run.dir=" + run.string()};
  const auto with = [&](const char* verb) {
    std::vector<std::string> words = keys;
    words.insert(words.begin(), verb);
    return words;
  };
  auto words = with("synth");
  words.push_back("search.preset=none");
  const auto made = retrace::e2e::retrace(words);
  INFO(made.output);
  REQUIRE(made.exit_status == 0);
  REQUIRE(retrace::e2e::retrace({"report", run.string()}).exit_status == 0);
  const std::string page = file_text(run / "report.md");
  INFO(page);
  REQUIRE(page.find("Sources") != std::string::npos);
  REQUIRE(page.find("bytes of python") != std::string::npos);
  const Json sources = json_file(run / "rounds/001/synth/summary.json")["sources"];
  REQUIRE(page.find("empty_repository " + to_text(sources["dropped"]["empty_repository"])) !=
          std::string::npos);
}
