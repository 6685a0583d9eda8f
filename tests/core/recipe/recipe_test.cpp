// core/recipe/recipe.h: values, inheritance, overrides, marks, the dump; and errors with their exact place.
#include "core/recipe/recipe.h"
#include "core/recipe/run_folder.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "core/files/files.h"
#include "core/json.h"
#include "core/random.h"
#include "tests/core/schema_testing.h"
#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

namespace {

Recipe load(const TempFolder& temp, const std::string& text, const std::vector<Override>& overrides = {}) {
  spill(temp / "recipe.toml", text);
  return Recipe::load(test_schema(), temp / "recipe.toml", overrides);
}

// `place` is "line:column" in recipe.toml, or the whole place if it has no digit in front.
void require_error(const std::string& text, const std::string& place, const std::string& message,
                   const std::string& hint = "") {
  TempFolder temp;
  const Error error = error_of([&] { load(temp, text); });
  INFO(error.what());
  REQUIRE(error.code() == Code::recipe);
  REQUIRE(error.where() == (temp / "recipe.toml").string() + ":" + place);
  REQUIRE(error.message().find(message) != std::string::npos);
  REQUIRE(error.hint().find(hint) != std::string::npos);
}

void require_override_error(const Override& override, const std::string& message,
                            const std::string& hint = "") {
  TempFolder temp;
  const Error error = error_of([&] { load(temp, "", {override}); });
  INFO(error.what());
  REQUIRE(error.code() == Code::recipe);
  REQUIRE(error.where() == "command line");
  REQUIRE(error.message().find(message) != std::string::npos);
  REQUIRE(error.hint().find(hint) != std::string::npos);
}

template <class T>
T after(const Override& override) {
  TempFolder temp;
  return std::get<T>(load(temp, "", {override}).value(override.key));
}

}  // namespace

TEST_CASE("recipe: the file beats the default, the command line beats the file", "[unit]") {
  TempFolder temp;
  const Recipe recipe = load(temp, "[optim]\nlearning_rate = 3e-4\nwarmup = 5\n", {{"optim.warmup", "7"}});
  const auto optim = recipe.get<OptimConfig>();
  REQUIRE(optim.learning_rate == 3e-4);
  REQUIRE(optim.warmup == 7);
  REQUIRE(optim.weight_decay == 0.1);
  REQUIRE(recipe.is_set("optim.warmup"));
  REQUIRE_FALSE(recipe.is_set("optim.weight_decay"));
  REQUIRE(recipe.get<RunConfig>().seed == 1);
  REQUIRE(error_of([&] { recipe.value("optim.absent"); }).code() == Code::internal);
}

TEST_CASE("recipe: every type of value is read", "[unit]") {
  TempFolder temp;
  const Recipe recipe =
      load(temp,
           "[data]\nseq_len = \"64Ki\"\ntype = 'sentencepiece'\nlengths = [1, \"4k\", 1_000]\n"
           "weights = [1, 0.5]\ntasks = []\n[data.loss_weights]\nthink = 2\nwrite = 1.5\n"
           "[optim]\nweight_decay = 1\nfused = false\nwarmup = 1e3\n");
  const auto data = recipe.get<DataConfig>();
  REQUIRE(data.seq_len == 65536);
  REQUIRE(data.type == "sentencepiece");
  REQUIRE(data.lengths == std::vector<int64_t>{1, 4000, 1000});
  REQUIRE(data.weights == std::vector<double>{1, 0.5});
  REQUIRE(data.tasks.empty());
  REQUIRE(data.loss_weights ==
          std::map<std::string, double>{{"observation", 0}, {"think", 2}, {"write", 1.5}});
  REQUIRE(recipe.get<OptimConfig>().weight_decay == 1.0);
  REQUIRE_FALSE(recipe.get<OptimConfig>().fused);
  REQUIRE(recipe.get<OptimConfig>().warmup == 1000);
}

TEST_CASE("recipe: an unknown key names its place and the nearest key", "[unit]") {
  require_error("[optim]\nlearnig_rate = 1e-5\n", "2:16", "unknown key 'optim.learnig_rate'",
                "did you mean 'optim.learning_rate'?");
  require_error("[data]\n\nlearning_rate = 1\n", "3:17", "unknown key 'data.learning_rate'",
                "did you mean 'optim.learning_rate'?");
  require_error("[optim]\nfrobnication = 1\n", "2:16", "unknown key", "retrace help optim");
  require_error("[optm]\nwarmup = 1\n", "1:1", "unknown section 'optm'", "did you mean 'optim'?");
  require_error("[zzz]\n", "1:1", "unknown section 'zzz'", "sections: run, optim, data, debug");
  require_error("warmup = 1\n", "1:10", "unknown key 'warmup'", "did you mean 'optim.warmup'?");
  require_error("optim = 3\n", "1:9", "'optim' is a section, not an integer");
  require_error("[data.loss_weights]\nthink = 'x'\n", "2:9",
                "data.loss_weights.think must be a number, not a string");
}

TEST_CASE("recipe: wrong types, ranges and choices name their place", "[unit]") {
  require_error("[optim]\nlearning_rate = \"fast\"\n", "2:17",
                "optim.learning_rate must be a number, not a string");
  require_error("[optim]\nlearning_rate = 1.5\n", "2:17", "optim.learning_rate = 1.5 is out of range",
                "0 to 1");
  require_error("[optim]\nlearning_rate = nan\n", "2:17", "must be finite");
  require_error("[optim]\nweight_decay = inf\n", "2:16", "must be finite");
  require_error("[optim]\nwarmup = 1.5\n", "2:10", "optim.warmup must be an integer, not 1.5");
  require_error("[optim]\nwarmup = \"many\"\n", "2:10", "optim.warmup must be an integer, not 'many'", "Ki");
  require_error("[optim]\nwarmup = -1\n", "2:10", "optim.warmup = -1 is out of range");
  require_error("[optim]\nfused = 1\n", "2:9", "optim.fused must be true or false, not an integer");
  require_error("[data]\nseq_len = 8\n", "2:11", "out of range", "at least 16");
  require_error("[data]\ntype = \"bpf\"\n", "2:8", "data.type = 'bpf' is not one of bpe, sentencepiece",
                "did you mean 'bpe'?");
  require_error("[data]\ntype = 3\n", "2:8", "data.type must be a string, not an integer");
  require_error("[data]\npath = 1979-05-27\n", "2:8", "data.path must be a string, not a date or time");
  require_error("[data]\nlengths = [1, 2.5]\n", "2:15", "data.lengths must be an integer, not 2.5");
  require_error("[data]\nlengths = [1, 0]\n", "2:11", "data.lengths = 0 is out of range");
  require_error("[data]\ntasks = [\"ruler\", \"rular\"]\n", "2:9", "'rular' is not one of",
                "did you mean 'ruler'?");
  require_error("[data]\nloss_weights = 3\n", "2:16", "must be a table of numbers, not an integer");
  require_error("[data]\nloss_weights = { think = 11 }\n", "2:16", "out of range");
  require_error("[run]\ntimeout_s = \"1\\u0000\"\n", "2:13", "must be a number, not a string");
  require_error("[data]\npath = \"a\\u0000b\"\n", "2:8", "NUL");
}

TEST_CASE("recipe: bad TOML names line and column", "[unit]") {
  TempFolder temp;
  for (const char* text :
       {"[optim\n", "[optim]\nwarmup = \n", "[optim]\nwarmup = 1\nwarmup = 2\n", "x = \"\xff\"\n",
        "[optim]\n[optim]\n", "[optim]\nwarmup = 99999999999999999999\n"}) {
    const Error error = error_of([&] { load(temp, text); });
    INFO(error.what());
    REQUIRE(error.code() == Code::recipe);
    REQUIRE(error.where().starts_with((temp / "recipe.toml").string() + ":"));
  }
  REQUIRE(error_of([&] { load(temp, "[optim]\nwarmup = = 2\n"); }).where().find("recipe.toml:2:") !=
          std::string::npos);
  REQUIRE(error_of([&] { Recipe::load(test_schema(), temp / "absent.toml", {}); }).code() == Code::recipe);
  REQUIRE(error_of([&] { Recipe::load(test_schema(), temp.path(), {}); }).code() == Code::recipe);
}

TEST_CASE("recipe: a base lends its values, at any depth, and never to itself", "[unit]") {
  TempFolder temp;
  spill(temp / "root.toml",
        "[optim]\nwarmup = 1 # paper\nlearning_rate = 0.1 # ProLong\n[data]\nseq_len = 32\n");
  spill(temp / "sub/middle.toml", "base = \"../root.toml\"\n[optim]\nwarmup = 2\n");
  spill(temp / "sub/leaf.toml",
        "base = \"middle.toml\"\n[data]\nseq_len = 64\nloss_weights = { think = 3 }\n");
  const Recipe recipe = Recipe::load(test_schema(), temp / "sub/leaf.toml", {});
  REQUIRE(recipe.get<OptimConfig>().warmup == 2);
  REQUIRE(recipe.get<OptimConfig>().learning_rate == 0.1);
  REQUIRE(recipe.get<DataConfig>().seq_len == 64);
  REQUIRE(recipe.get<DataConfig>().loss_weights ==
          std::map<std::string, double>{{"observation", 0}, {"think", 3}});
  REQUIRE(recipe.path() == temp / "sub/leaf.toml");
  REQUIRE(recipe.mark("optim.warmup").empty());  // the leaf's value is not the paper's
  REQUIRE(recipe.mark("optim.learning_rate") == "ProLong");

  spill(temp / "a.toml", "\nbase = \"sub/../b.toml\"\n");
  spill(temp / "b.toml", "base = \"a.toml\"\n");
  const Error cycle = error_of([&] { Recipe::load(test_schema(), temp / "a.toml", {}); });
  REQUIRE(cycle.code() == Code::recipe);
  REQUIRE(cycle.where().ends_with("b.toml:1:8"));
  REQUIRE(cycle.message().find("leads back to itself") != std::string::npos);
  require_error("base = \"absent.toml\"\n", "1:8", "is not there");
  require_error("base = 3\n", "1:8", "base must be a string");
  spill(temp / "broken.toml", "[optim]\nwarmup = 'x'\n");
  spill(temp / "child.toml", "base = \"broken.toml\"\n");
  REQUIRE(error_of([&] { Recipe::load(test_schema(), temp / "child.toml", {}); }).where() ==
          (temp / "broken.toml").string() + ":2:10");
}

TEST_CASE("recipe: overrides are TOML values, else text", "[unit]") {
  REQUIRE(after<int64_t>({"data.seq_len", "64k"}) == 64'000);
  REQUIRE(after<int64_t>({"data.seq_len", "8Ki"}) == 8192);
  REQUIRE(after<int64_t>({"data.seq_len", "1M"}) == 1'000'000);
  REQUIRE(after<int64_t>({"data.seq_len", "2Gi"}) == int64_t{2} << 30);
  REQUIRE(after<int64_t>({"data.seq_len", "1_024"}) == 1024);
  REQUIRE(after<int64_t>({"data.seq_len", "0x40"}) == 64);
  REQUIRE(after<double>({"optim.learning_rate", "1"}) == 1.0);
  REQUIRE(after<double>({"optim.learning_rate", "3e-4"}) == 3e-4);
  REQUIRE_FALSE(after<bool>({"optim.fused", "false"}));
  REQUIRE(after<std::string>({"data.path", "12"}) == "12");
  REQUIRE(after<std::string>({"data.path", "a b=c # d"}) == "a b=c # d");
  REQUIRE(after<std::string>({"data.path", ""}).empty());
  REQUIRE(after<std::string>({"data.path", "\"q\""}) == "\"q\"");
  using Strings = std::vector<std::string>;
  REQUIRE(after<Strings>({"data.tasks", "[ruler,gsm8k]"}) == Strings{"ruler", "gsm8k"});
  REQUIRE(after<Strings>({"data.tasks", "[\"ruler\", 'gsm8k']"}) == Strings{"ruler", "gsm8k"});
  REQUIRE(after<Strings>({"data.tasks", "[ruler, \"gsm8k\", ]"}) == Strings{"ruler", "gsm8k"});
  REQUIRE(after<Strings>({"data.tasks", "humaneval"}) == Strings{"humaneval"});
  REQUIRE(after<Strings>({"data.tasks", "[]"}).empty());
  REQUIRE(after<std::vector<int64_t>>({"data.lengths", "[4k, 8192]"}) == std::vector<int64_t>{4000, 8192});
  REQUIRE(after<std::vector<int64_t>>({"data.lengths", "8Ki"}) == std::vector<int64_t>{8192});
  REQUIRE(after<std::vector<double>>({"data.weights", "[0.25, 1]"}) == std::vector<double>{0.25, 1});
  using Table = std::map<std::string, double>;
  REQUIRE(after<Table>({"data.loss_weights", "{think=0.5}"}) == Table{{"observation", 0}, {"think", 0.5}});
  TempFolder temp;
  const Recipe recipe = load(temp, "[data.loss_weights]\nread = 0.5\n",
                             {{"data.loss_weights.think", "2"}, {"data.loss_weights.new.kind", "3"}});
  REQUIRE(recipe.get<DataConfig>().loss_weights ==
          Table{{"new.kind", 3}, {"observation", 0}, {"read", 0.5}, {"think", 2}});
}

TEST_CASE("recipe: bad overrides are refused", "[unit]") {
  require_override_error({"optim.learnig_rate", "1"}, "unknown key 'optim.learnig_rate'",
                         "did you mean 'optim.learning_rate'?");
  require_override_error({"zzz.yyy", "1"}, "unknown section 'zzz'");
  require_override_error({"zzz", "1"}, "unknown key 'zzz'");
  require_override_error({"", "1"}, "unknown key ''");
  require_override_error({"optim.learning_rate", "fast"}, "must be a number, not a string");
  require_override_error({"optim.learning_rate", "2"}, "out of range");
  require_override_error({"optim.warmup", "99999999999G"}, "must be an integer");
  require_override_error({"optim.warmup", "1.5k"}, "must be an integer");
  require_override_error({"optim.warmup", "1\n[data]"}, "must be an integer");
  require_override_error({"optim.warmup", ""}, "must be an integer");
  require_override_error({"optim.fused", "maybe"}, "true or false");
  require_override_error({"data.type", "x"}, "not one of");
  require_override_error({"data.path", "a\xff"}, "not valid UTF-8");
  require_override_error({"data.loss_weights.think", "x"}, "data.loss_weights.think must be a number");
  require_override_error({"data.seq_len.x", "1"}, "unknown key 'data.seq_len.x'");
}

TEST_CASE("recipe: marks are read, kept in the dump and dropped with the value", "[unit]") {
  TempFolder temp;
  const std::string text =
      "[optim]\nlearning_rate = 1e-5   # paper: section 4\nwarmup = 5 # ProLong\nweight_decay = 0.1 # why "
      "not\n"
      "fused = true\n[data]\npath = \"a # paper\"  # assumed\nlengths = [1,\n 2] # paper\n"
      "tasks = [\"ruler\"]\t#assumed, since\nloss_weights = { think = 1 } # ProLong\nseq_len = 16 # papers\n";
  const Recipe recipe = load(temp, text, {{"optim.warmup", "6"}});
  REQUIRE(recipe.mark("optim.learning_rate") == "paper");
  REQUIRE(recipe.mark("optim.warmup").empty());
  REQUIRE(recipe.mark("optim.weight_decay").empty());
  REQUIRE(recipe.mark("optim.fused").empty());
  REQUIRE(recipe.mark("data.path") == "assumed");
  REQUIRE(recipe.mark("data.lengths") == "paper");
  REQUIRE(recipe.mark("data.tasks") == "assumed");
  REQUIRE(recipe.mark("data.loss_weights") == "ProLong");
  REQUIRE(recipe.mark("data.seq_len").empty());
  const std::string dump = recipe.to_toml();
  REQUIRE(dump.find("learning_rate = 1e-5  # paper\n") != std::string::npos);
  const Recipe again = load(temp, dump);
  REQUIRE(again.mark("data.lengths") == "paper");
  REQUIRE(again.to_toml() == dump);
}

TEST_CASE("recipe: the dump is complete, in order, and loads to the same values", "[unit]") {
  TempFolder temp;
  Recipe recipe(test_schema());
  const std::string defaults = recipe.to_toml();
  REQUIRE(defaults.starts_with("[run]\nname = \"\"\n"));
  REQUIRE(defaults.find("[optim]\nlearning_rate = 1e-5\nweight_decay = 0.1\nwarmup = 100\nfused = true\n") !=
          std::string::npos);
  REQUIRE(defaults.find("loss_weights = { observation = 0.0, think = 1.0 }") != std::string::npos);
  recipe.set_value("optim.learning_rate", 0.1 + 0.2, "test");
  recipe.set_value("optim.weight_decay", 5e-324, "test");
  recipe.set_value("data.path", std::string("quote \" slash \\ tab \t line \n bell \a delete \x7f \xC3\xA9"),
                   "test");
  recipe.set_value("data.weights", std::vector<double>{1, 1e-17, 0.30000000000000004}, "test");
  recipe.set_value("data.loss_weights",
                   std::map<std::string, double>{{"think", 1}, {"observation", 0}, {"a b.\"c", 2.5}, {"", 1}},
                   "test");
  const Recipe again = load(temp, recipe.to_toml());
  for (const Section& section : test_schema().sections())
    for (const Key& key : section.keys) {
      INFO(key.full());
      REQUIRE(again.value(key.full()) == recipe.value(key.full()));
    }
  REQUIRE(again.to_toml() == recipe.to_toml());
}

TEST_CASE("recipe: random numbers survive the dump bit for bit", "[unit]") {
  TempFolder temp;
  Random random(1, 2);
  for (int i = 0; i < 100; ++i) {
    Recipe recipe(test_schema());
    const double value = std::ldexp(random.uniform(), static_cast<int>(random.below(2000)) - 1060);
    if (!std::isfinite(value)) continue;
    recipe.set_value("optim.weight_decay", value, "test");
    REQUIRE(std::get<double>(load(temp, recipe.to_toml()).value("optim.weight_decay")) == value);
  }
}

TEST_CASE("recipe: the fingerprint sees what matters only", "[unit]") {
  TempFolder temp;
  const std::string base = load(temp, "[optim]\nwarmup = 5\n").fingerprint();
  REQUIRE(base.size() == 64);
  REQUIRE(
      load(temp, "[optim]\nwarmup = 5 # paper\n[run]\nname = 'x'\n[debug]\nfail_at = ''\n").fingerprint() ==
      base);
  REQUIRE(load(temp, "", {{"optim.warmup", "5"}}).fingerprint() == base);
  REQUIRE(load(temp, "[optim]\nwarmup = 6\n").fingerprint() != base);
  REQUIRE(load(temp, "[optim]\nwarmup = 5\n[run]\nseed = 2\n").fingerprint() != base);
}

TEST_CASE("run folder: another recipe on it is told key by key", "[unit]") {
  TempFolder temp;
  const auto run = temp / "run";
  const RunFacts facts = {"raw_repos", "none", 2, 1};
  make_folders(run);
  REQUIRE(write_run_files(load(temp, "[optim]\nwarmup = 5 # paper\n"), run, facts).empty());
  REQUIRE(write_run_files(load(temp, "[optim]\nwarmup = 5\n[run]\nthreads = 3\n"), run, facts).empty());
  const std::string text = "[optim]\nwarmup = 6\n[data]\ntasks = ['ruler']\n[run]\nseed = 2\n";
  const auto changed = write_run_files(load(temp, text), run, facts);
  REQUIRE(changed == std::vector<std::string>{"run.seed (was 1, is 2)", "optim.warmup (was 5, is 6)",
                                              "data.tasks (was [\"ruler\", \"gsm8k\"], is [\"ruler\"])"});
  const Json json = parse_json(read_file(run / "run.json"), "run.json");
  REQUIRE(json["world"] == 2);
  REQUIRE(json["seed"] == 2);
  write_file(run / "recipe.toml", "[nothing]\n");  // of another version: compared no more, but replaced
  REQUIRE(write_run_files(load(temp, text), run, facts).empty());
  REQUIRE(write_run_files(load(temp, text), run, facts).empty());
}

TEST_CASE("recipe: set_value checks type and range", "[unit]") {
  Recipe recipe(test_schema());
  REQUIRE(error_of([&] { recipe.set_value("optim.warmup", 1.0, "here"); }).message() ==
          "optim.warmup must be integer, not number");
  REQUIRE(error_of([&] { recipe.set_value("optim.warmup", int64_t{-1}, "here"); }).where() == "here");
  REQUIRE(error_of([&] { recipe.set_value("optim.warmpu", int64_t{1}, "here"); }).hint() ==
          "did you mean 'optim.warmup'?");
}

TEST_CASE("recipe: help finds keys, sections and words", "[unit]") {
  const std::string key = help_for_keys(test_schema(), "optim.learning_rate");
  REQUIRE(key == "optim.learning_rate = 1e-5\n  Peak learning rate\n  number, 0 to 1\n");
  REQUIRE(help_for_keys(test_schema(), "optim.warmup").find("integer (steps)") != std::string::npos);
  REQUIRE(help_for_keys(test_schema(), "data.type").find("bpe | sentencepiece") != std::string::npos);
  const std::string section = help_for_keys(test_schema(), "optim");
  REQUIRE(section.starts_with("[optim] AdamW and its schedule\n"));
  REQUIRE(section.find("optim.fused = true") != std::string::npos);
  const std::string word = help_for_keys(test_schema(), "WEIGHT");
  REQUIRE(word.find("optim.weight_decay") != std::string::npos);
  REQUIRE(word.find("data.loss_weights") != std::string::npos);
  REQUIRE(help_for_keys(test_schema(), "peak") == key);
  const Error error = error_of([&] { help_for_keys(test_schema(), "optim.warmpu"); });
  REQUIRE(error.code() == Code::usage);
  REQUIRE(error.hint() == "did you mean 'optim.warmup'?");
}

TEST_CASE("recipe: the reference page holds every key in a table", "[unit]") {
  const std::string page = reference_page(test_schema());
  for (const Section& section : test_schema().sections()) {
    REQUIRE(page.find("## [" + section.name + "]") != std::string::npos);
    for (const Key& key : section.keys) REQUIRE(page.find("| `" + key.name + "` |") != std::string::npos);
  }
  REQUIRE(page.find("One kernel \\| one pass") != std::string::npos);
}
