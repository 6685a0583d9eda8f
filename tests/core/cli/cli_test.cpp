// core/cli/cli.h: words, options and overrides; help; exit statuses; what a launcher is told.
#include "core/cli/cli.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <ctime>
#include <iostream>
#include <new>
#include <stdexcept>

#include "core/json.h"
#include "core/log.h"
#include "core/process/process.h"
#include "tests/core/schema_testing.h"
#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

namespace {

struct Outcome {
  int status;
  std::string out, err;
};

std::vector<Verb> test_verbs() {
  const auto echo = [](const Call& call, const Schema&) {
    for (const auto& word : call.words) std::cout << "word " << word << "\n";
    for (const auto& [name, value] : call.options) std::cout << "option " << name << "=" << value << "\n";
    for (const auto& override : call.overrides)
      std::cout << "override " << override.key << "=" << override.value << "\n";
    return 0;
  };
  const auto train = [echo](const Call& call, const Schema& schema) {
    const Recipe recipe = load_recipe(call, schema);
    std::cout << "warmup " << recipe.get<OptimConfig>().warmup << " nproc " << recipe.get<RunConfig>().nproc
              << "\n";
    return echo(call, schema);
  };
  const auto fails = [](const Call& call, const Schema&) -> int {
    const std::string& kind = call.word(0, "KIND");
    if (kind == "status") return static_cast<int>(call.integer("number", 4));
    if (kind == "memory") throw std::bad_alloc();
    if (kind == "other") throw std::runtime_error("surprise");
    if (kind == "int") throw 3;
    for (int code = 0; code <= static_cast<int>(Code::interrupted); ++code) {
      if (kind != code_name(static_cast<Code>(code))) continue;
      Error error(static_cast<Code>(code), "it broke", "mend it", "place:1:2");
      error.signal = static_cast<int>(call.integer("number", 0));
      throw error;
    }
    return 0;
  };
  return {{"train", "RECIPE [key=value ...]", "Train", {}, true, train},
          {"score",
           "MODEL FILE...",
           "Score",
           {{"limit", "N", "How many"}, {"per-token", "", "All"}, {"rate", "X", "A number"}},
           false,
           echo},
          {"fail", "KIND", "Fail", {{"number", "N", "Signal or status"}}, false, fails},
          {"tokenizer", "encode|decode TOKENIZER FILE", "Ids and back", {}, false, echo}};
}

Outcome call(std::vector<std::string> words, const Schema& schema = test_schema()) {
  words.insert(words.begin(), "retrace");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  Captured out(STDOUT_FILENO), err(STDERR_FILENO);
  const int status = run_command_line(static_cast<int>(words.size()), argv.data(), test_verbs(), schema);
  std::cout.flush();
  return {status, out.text(), err.text()};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("cli: words, options and overrides are told apart", "[unit]") {
  const Outcome outcome = call({"score", "model", "a=b", "./x.y=z", "optim.warmup=3", "--limit", "5",
                                "--per-token", "--optim.fused", "false", "--data.path=p=q", "other.key=1",
                                "-", "-1", "--", "--limit", "optim.warmup=4"});
  REQUIRE(outcome.status == 0);
  REQUIRE(outcome.out ==
          "word model\nword a=b\nword ./x.y=z\nword other.key=1\nword -\nword -1\nword --limit\n"
          "word optim.warmup=4\noption limit=5\noption per-token=true\noverride optim.warmup=3\n"
          "override optim.fused=false\noverride data.path=p=q\n");
  REQUIRE(outcome.err.empty());
}

TEST_CASE("cli: a recipe verb takes overrides and --nproc", "[unit]") {
  TempFolder temp;
  spill(temp / "r.toml", "[optim]\nwarmup = 5\n");
  const std::string recipe = (temp / "r.toml").string();
  REQUIRE(has(call({"train", recipe, "--nproc", "3", "optim.warmup=8"}).out, "warmup 8 nproc 3\n"));
  REQUIRE(has(call({"train", "optim.warmup=8", recipe, "--nproc=2"}).out, "warmup 8 nproc 2\n"));
  const Outcome wrong = call({"train", recipe, "optm.warmup=8"});
  REQUIRE(wrong.status == 2);
  REQUIRE(has(wrong.err, "error: command line: unknown key 'optm.warmup'"));
  REQUIRE(has(wrong.err, "hint: did you mean 'optim.warmup'?"));
  REQUIRE(call({"train", recipe, "--nproc", "0"}).status == 2);
}

TEST_CASE("cli: numbers of options are checked", "[unit]") {
  const Verb verb{"v", "", "", {{"n", "N", ""}, {"x", "X", ""}}, false, nullptr};
  const auto parse = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"retrace", "v"});
    return parse_call(words, verb, test_schema());
  };
  REQUIRE(parse({"--n", "64k"}).integer("n", 1) == 64'000);
  REQUIRE(parse({"--n", "-5"}).integer("n", 1) == -5);
  REQUIRE(parse({}).integer("n", 7) == 7);
  REQUIRE(parse({"--x=2.5"}).number("x", 1) == 2.5);
  REQUIRE(parse({"--x="}).option("x", "default").empty());
  REQUIRE(error_of([&] { parse({"--n", "x"}).integer("n", 1); }).code() == Code::usage);
  REQUIRE(error_of([&] { parse({"--x", "nan"}).number("x", 1); }).code() == Code::usage);
  REQUIRE(error_of([&] { parse({"--n"}); }).message() == "--n needs a value");
  REQUIRE(error_of([&] { parse({"--n", "1", "--n", "2"}); }).message() == "--n is given twice");
  REQUIRE(error_of([&] { parse({"--optim.warmup"}); }).message() == "--optim.warmup needs a value");
  REQUIRE(error_of([&] { parse({"--quiet=yes"}); }).message() == "--quiet takes no value");
  REQUIRE(parse({"a", "--n", "1"}).argv == std::vector<std::string>{"retrace", "v", "a", "--n", "1"});
}

TEST_CASE("cli: unknown commands and options are usage errors with the nearest name", "[unit]") {
  const Outcome verb = call({"trian", "x"});
  REQUIRE(verb.status == 2);
  REQUIRE(verb.err == "error: unknown command 'trian'\n  hint: did you mean 'train'?\n");
  REQUIRE(has(call({"frobnicate"}).err, "'retrace --help' lists the commands"));
  REQUIRE(has(call({"score", "--limt", "3"}).err, "did you mean --limit?"));
  REQUIRE(has(call({"train", "--warmup", "3"}).err, "did you mean --optim.warmup?"));
  REQUIRE(has(call({"score", "-x"}).err, "unknown option '-x'"));
  REQUIRE(call({"score", "--zzz"}).status == 2);
  const Outcome missing = call({"train"});
  REQUIRE(missing.status == 2);
  REQUIRE(has(missing.err, "'train' needs RECIPE"));
}

TEST_CASE("cli: help at every level", "[unit]") {
  for (const auto& words : std::vector<std::vector<std::string>>{{}, {"--help"}, {"-h"}, {"help"}}) {
    const Outcome outcome = call(words);
    REQUIRE(outcome.status == 0);
    for (const char* name : {"train", "score", "tokenizer", "completion", "reference", "help"})
      REQUIRE(has(outcome.out, std::string("\n  ") + name + " "));
  }
  const Outcome page = call({"score", "--help"});
  REQUIRE(page.status == 0);
  REQUIRE(has(page.out, "usage: retrace score MODEL FILE..."));
  REQUIRE(has(page.out, "--limit N"));
  REQUIRE_FALSE(has(page.out, "--print-config"));
  REQUIRE(has(call({"train", "--help"}).out, "--print-config"));
  REQUIRE(call({"help", "score"}).out == page.out);
  REQUIRE(has(call({"help", "optim.warmup"}).out, "Steps of warm-up"));
  REQUIRE(has(call({"train", "r.toml", "--help=optim.warmup"}).out, "Steps of warm-up"));
  REQUIRE(has(call({"help", "optim"}).out, "optim.fused"));
  REQUIRE(call({"help", "nothing-of-it"}).status == 2);
  REQUIRE(has(call({"--version"}).out, "retrace 0.1.0"));
  REQUIRE(has(call({"reference"}).out, "## [optim]"));
}

TEST_CASE("cli: --print-config prints a recipe that loads again", "[unit]") {
  TempFolder temp;
  spill(temp / "r.toml", "[optim]\nwarmup = 5 # paper\n");
  const Outcome first = call({"train", (temp / "r.toml").string(), "data.seq_len=32", "--print-config"});
  REQUIRE(first.status == 0);
  REQUIRE(has(first.out, "warmup = 5  # paper\n"));
  REQUIRE(has(first.out, "seq_len = 32\n"));
  spill(temp / "again.toml", first.out);
  REQUIRE(call({"train", (temp / "again.toml").string(), "--print-config"}).out == first.out);
  REQUIRE(call({"train", (temp / "r.toml").string(), "data.seq_len=1", "--print-config"}).status == 2);
}

TEST_CASE("cli: every code has its exit status, message and hint", "[unit]") {
  const std::vector<std::pair<std::string, int>> statuses = {
      {"internal", 1},     {"usage", 2},      {"recipe", 2},       {"input", 3},
      {"corrupt", 3},      {"incomplete", 4}, {"io", 75},          {"network", 75},
      {"distributed", 75}, {"numeric", 1},    {"interrupted", 130}};
  REQUIRE(statuses.size() == static_cast<size_t>(Code::interrupted) + 1);
  for (const auto& [kind, status] : statuses) {
    const Outcome outcome = call({"fail", kind});
    INFO(kind << " " << outcome.err);
    REQUIRE(outcome.status == status);
    REQUIRE(has(outcome.err, "it broke\n"));
    REQUIRE(has(outcome.err, "  hint: mend it\n"));
    if (kind != "interrupted") REQUIRE(outcome.err.starts_with("error: place:1:2: it broke\n"));
  }
  REQUIRE(call({"fail", "interrupted", "--number", std::to_string(SIGTERM)}).status == 143);
  REQUIRE(call({"fail", "interrupted", "--number", std::to_string(SIGINT)}).status == 130);
  REQUIRE(call({"fail", "status"}).status == 4);
  REQUIRE(call({"fail", "memory"}).status == 1);
  REQUIRE(has(call({"fail", "other"}).err, "internal error: surprise"));
  REQUIRE(call({"fail", "int"}).status == 1);
}

TEST_CASE("cli: a launcher's error file says what went wrong", "[unit]") {
  TempFolder temp;
  const std::string path = (temp / "errors/rank3.json").string();
  const WithVariable file("TORCHELASTIC_ERROR_FILE", path.c_str()), rank("RANK", "3");
  const Outcome outcome = call({"fail", "corrupt"});
  REQUIRE(outcome.status == 3);
  REQUIRE(outcome.err.starts_with("[rank 3] error: place:1:2: it broke\n"));
  const Json content = parse_json(slurp(path), path);
  const Json& message = content["message"];
  REQUIRE(has(message["message"].get<std::string>(), "place:1:2: it broke"));
  REQUIRE(has(message["message"].get<std::string>(), "mend it"));
  REQUIRE(message["extraInfo"]["py_callstack"].is_string());
  REQUIRE(message["extraInfo"]["rank"] == 3);
  const std::string timestamp = message["extraInfo"]["timestamp"].get<std::string>();
  REQUIRE(std::abs(std::stoll(timestamp) - static_cast<long long>(std::time(nullptr))) < 60);
  fs::remove(path);
  call({"fail", "interrupted"});
  REQUIRE_FALSE(fs::exists(path));
  call({"score"});
  REQUIRE_FALSE(fs::exists(path));
  call({"fail", "other"});
  REQUIRE(fs::exists(path));
  fs::remove(path);
  REQUIRE(call({"fail", "status"}).status == 4);
  REQUIRE(fs::exists(path));
}

TEST_CASE("cli: the rank comes from torchrun, Slurm or Open MPI", "[unit]") {
  const WithVariable none("RANK", nullptr), no_slurm("SLURM_PROCID", nullptr),
      no_mpi("OMPI_COMM_WORLD_RANK", nullptr);
  REQUIRE(rank_from_environment() == 0);
  const WithVariable slurm("SLURM_PROCID", "5");
  REQUIRE(rank_from_environment() == 5);
  // mpirun inside of a Slurm job: Slurm's names are those of the job's first task.
  const WithVariable mpi("OMPI_COMM_WORLD_RANK", "4");
  REQUIRE(rank_from_environment() == 4);
  const WithVariable torchrun("RANK", "6");
  REQUIRE(rank_from_environment() == 6);
  const WithVariable nonsense("RANK", "x");
  REQUIRE(rank_from_environment() == 4);
}

TEST_CASE("cli: -v and -q set the level of messages", "[unit]") {
  call({"score", "-v"});
  REQUIRE(log_options().level == Level::debug);
  call({"score", "--quiet"});
  REQUIRE(log_options().level == Level::warning);
  call({"score"});
  REQUIRE(log_options().level == Level::info);
}

TEST_CASE("cli: output that cannot be written is a failure", "[fault]") {
  const std::string outcome = in_child([] {
    if (!std::freopen("/dev/full", "w", stdout)) return std::string("no /dev/full");
    char name[] = "retrace", verb[] = "reference";
    char* argv[] = {name, verb, nullptr};
    return std::to_string(run_command_line(2, argv, test_verbs(), test_schema()));
  });
  REQUIRE(outcome == "75");
}

TEST_CASE("cli: completion scripts know verbs, options and keys, and bash accepts its own", "[unit]") {
  TempFolder temp;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = call({"completion", shell});
    REQUIRE(outcome.status == 0);
    for (const char* word : {"tokenizer", "per-token", "optim.learning_rate", "print-config", "encode"}) {
      INFO(shell << " " << word);
      REQUIRE(has(outcome.out, word));
    }
    spill(temp / shell, outcome.out);
  }
  const ProcessResult syntax = run_process({"bash", "-n", (temp / "bash").string()});
  INFO(syntax.output);
  REQUIRE(syntax.exit_status == 0);
  const auto complete = [&](const std::string& words, int index) {
    const std::string script = "source " + (temp / "bash").string() + "; COMP_WORDS=(" + words +
                               "); COMP_CWORD=" + std::to_string(index) +
                               "; _retrace; echo \"${COMPREPLY[@]}\"";
    return run_process({"bash", "-c", script}).output;
  };
  REQUIRE(complete("retrace tr", 1) == "train\n");
  REQUIRE(complete("retrace score --l", 2) == "--limit\n");
  REQUIRE(complete("retrace train r.toml optim.le", 3) == "optim.learning_rate=\n");
  REQUIRE(complete("retrace tokenizer enc", 2) == "encode\n");
  REQUIRE(complete("retrace help optim.w", 2) == "optim.weight_decay optim.warmup\n");
  REQUIRE(call({"completion", "powershell"}).status == 2);
  REQUIRE(call({"completion"}).status == 2);
}

TEST_CASE("cli: fish accepts its completion script", "[unit]") {
  if (run_process({"sh", "-c", "command -v fish"}).exit_status != 0) SKIP("fish is not installed");
  TempFolder temp;
  const std::string script = (temp / "retrace.fish").string();
  spill(script, call({"completion", "fish"}).out);
  REQUIRE(run_process({"fish", "-c", "source " + script + "; complete -C 'retrace train r.toml optim.le'"})
              .output == "optim.learning_rate=\n");
}

TEST_CASE("cli: zsh accepts its completion script", "[unit]") {
  if (run_process({"sh", "-c", "command -v zsh"}).exit_status != 0) SKIP("zsh is not installed");
  TempFolder temp;
  spill(temp / "_retrace", call({"completion", "zsh"}).out);
  const ProcessResult syntax = run_process({"zsh", "-n", (temp / "_retrace").string()});
  INFO(syntax.output);
  REQUIRE(syntax.exit_status == 0);
}
