#include "tests/train/testing.h"

#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <thread>

#include "core/cli/cli.h"
#include "core/error.h"
#include "core/files/files.h"
#include "core/metrics/metrics.h"
#include "core/random.h"
#include "core/recipe/run_config.h"
#include "core/text.h"
#include "data/config.h"
#include "data/mds/mds.h"
#include "model/config.h"
#include "train/checkpoint.h"
#include "train/commands.h"
#include "train/config.h"
#include "train/sharding/gradient_sink.h"
#include "train/trainer.h"

#include <ATen/core/Tensor.h>

namespace retrace::train::testing {
namespace {

constexpr const char* kArguments = "RETRACE_TEST_ARGUMENTS";
constexpr const char* kJobs = "RETRACE_TEST_JOBS";
constexpr const char* kRanks = "RETRACE_TEST_RANKS";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// RETRACE_TEST_TERM_AT_STEP, RETRACE_TEST_USR1_AT_STEP: the last rank signals itself at that step, which it
// tells by the unit closings that it has seen.
void plant_signal(int rank, int size) {
  if (rank != size - 1) return;
  constexpr int64_t kClosingsAStep = 8;  // two micro-batches of four units
  for (const auto& [name, number] :
       {std::pair{"RETRACE_TEST_TERM_AT_STEP", SIGTERM}, std::pair{"RETRACE_TEST_USR1_AT_STEP", SIGUSR1}}) {
    if (environment(name).empty()) continue;
    const int64_t at = std::stoll(environment(name)) * kClosingsAStep;
    set_gradient_hook([at, number = number, calls = int64_t{0}](int, at::Tensor&) mutable {
      if (calls++ == at) ::raise(number);
    });
  }
}

// The parts of "RANK:..." in a variable, if they are for this rank.
std::vector<std::string> meant_for(int rank, const char* variable) {
  const std::string spec = environment(variable);
  std::vector<std::string> parts;
  for (std::string_view part : split(spec, ':')) parts.emplace_back(part);
  if (spec.empty() || std::stoi(parts[0]) != rank) return {};
  return parts;
}

// RETRACE_TEST_NAN, RETRACE_TEST_SPIKE = "RANK:FIRST:COUNT": calls FIRST..FIRST+COUNT-1 of the gradient hook
// get a NaN, or a large value.
void plant_bad_gradients(int rank) {
  for (const auto& [variable, value] :
       {std::pair{"RETRACE_TEST_NAN", std::numeric_limits<float>::quiet_NaN()},
        std::pair{"RETRACE_TEST_SPIKE", 1e4F}}) {
    const auto parts = meant_for(rank, variable);
    if (parts.empty()) continue;
    const int64_t first = std::stoll(parts[1]), count = std::stoll(parts[2]);
    set_gradient_hook([first, count, value = value, calls = int64_t{0}](int, at::Tensor& gradient) mutable {
      const int64_t call = calls++;
      if (call >= first && call < first + count) gradient.mutable_data_ptr<float>()[0] = value;
    });
  }
}

// RETRACE_TEST_END = "RANK:STEP:kill|stop|exit|throw|crash": how this rank ends in the middle of a step.
void plant_end(int rank) {
  const auto parts = meant_for(rank, "RETRACE_TEST_END");
  if (parts.empty()) return;
  set_gradient_hook(
      [at = std::stoll(parts[1]) * 8 + 3, how = parts[2], calls = int64_t{0}](int, at::Tensor&) mutable {
        if (calls++ != at) return;
        if (how == "kill") ::raise(SIGKILL);
        if (how == "stop") ::raise(SIGSTOP);
        if (how == "crash") ::raise(SIGSEGV);
        if (how == "exit") ::_exit(0);
        throw Error(Code::internal, "this rank was told to throw");
      });
}

bool of_checkpoints(const fs::path& path) {
  return path.string().find("/checkpoints/") != std::string::npos;
}

// RETRACE_TEST_FAULT = "RANK:N:ERRNO": the Nth operation below checkpoints/ fails. RETRACE_TEST_SLOW_MS:
// every fsync below it takes so long.
void plant_file_faults(int rank) {
  const auto parts = meant_for(rank, "RETRACE_TEST_FAULT");
  const std::string slow = environment("RETRACE_TEST_SLOW_MS");
  if (!parts.empty()) {
    static std::atomic<int64_t> count{0};
    set_file_operation_hook([nth = std::stoll(parts[1]), number = std::stoi(parts[2])](const char* operation,
                                                                                       const fs::path& path) {
      if (of_checkpoints(path) && ++count == nth) fail_with_errno(operation, path, number);
    });
  } else if (!slow.empty()) {
    set_file_operation_hook([ms = std::stoll(slow)](const char* operation, const fs::path& path) {
      if (std::string_view(operation) == "fsync" && of_checkpoints(path))
        std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    });
  }
}

// The trainings of Bench::train_all, without the verb around them.
void train_jobs(World& world) {
  const std::string text = environment(kJobs);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.size(), text.find("\n\n", at));
    const auto lines = split(std::string_view(text).substr(at, end - at), '\n');
    at = end + 2;
    std::vector<Override> overrides;
    for (size_t i = 3; i < lines.size(); ++i) {
      const size_t equals = lines[i].find('=');
      overrides.push_back(
          {std::string(lines[i].substr(0, equals)), std::string(lines[i].substr(equals + 1))});
    }
    const Recipe recipe = Recipe::load(schema(), std::string(lines[2]), overrides);
    TrainJob job;
    job.run_folder = recipe.get<RunConfig>().dir;
    job.domains = data::extra_domains(recipe.get<data::DataConfig>());
    job.vocab_size = recipe.get<data::TokenizerConfig>().vocab_size;
    fs::create_directories(job.run_folder);
    run_training(world, recipe, job);
  }
}

}  // namespace

const Schema& schema() {
  static const Schema all = Schema::of<RunConfig, data::TokenizerConfig, data::DataConfig, model::ModelConfig,
                                       OptimConfig, TrainConfig, CheckpointConfig, DebugConfig>();
  return all;
}

model::LlamaConfig tiny_config(bool tied) {
  model::LlamaConfig config;
  config.vocab_size = 300;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.tie_embeddings = tied;
  return config;
}

void write_tiny_data(const fs::path& folder, int samples, uint64_t seed) {
  data::MdsWriter writer(folder, {});
  Random random(seed, stream_id("tiny data"));
  for (int s = 0; s < samples; ++s) {
    data::Sample sample;
    const auto first = static_cast<uint32_t>(8 + random.below(8)),
               second = static_cast<uint32_t>(22 + random.below(6));
    sample.spans = {{0, first}, {first, second}, {second, 32}};
    const bool padded = random.below(2) == 0;
    for (uint32_t t = 0; t < 32; ++t) {
      const bool padding = padded && t >= second;
      const int32_t last = t == 0 ? 7 : sample.input_ids.back();
      const auto noise = static_cast<int32_t>(random.below(5));
      sample.input_ids.push_back(padding ? 0 : (last * 3 + noise) % 300);
      const bool starts = t == 0 || t == first || t == second;
      sample.weights.push_back(padding || starts || random.below(4) == 0 ? 0.0f : 1.0f);
    }
    sample.domain = "tiny";
    writer.add(sample);
  }
  writer.finish();
}

Bench::Bench() {
  write_tiny_data(temp.path() / "data", 40);
  write_file(temp.path() / "tiny.toml", fmt::format(R"(
[run]
threads = 1
timeout_s = 20
[tokenizer]
vocab_size = 300
[data]
seq_len = 32
trajectories = 0
mds_folders = ["{}"]
mds_names = ["tiny"]
mds_weights = [1.0]
[model]
hidden_size = 32
intermediate_size = 64
num_layers = 2
num_heads = 4
num_kv_heads = 2
dtype = "float32"
[optim]
lr = 1e-2
[train]
steps = 5
batch_sequences = 8
micro_batch = 2
)",
                                                    (temp.path() / "data").string()));
}

std::vector<std::string> Bench::arguments(const std::string& run,
                                          const std::vector<std::string>& more) const {
  std::vector<std::string> all = {"retrace", "train", (temp.path() / "tiny.toml").string(),
                                  "run.dir=" + (temp.path() / run).string()};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

ProcessResult Bench::train(const std::string& run, int nproc, const std::vector<std::string>& more,
                           const std::map<std::string, std::string>& variables) const {
  return train_recipe(temp.path() / "tiny.toml", run, nproc, more, variables);
}

ProcessResult Bench::train_recipe(const fs::path& recipe, const std::string& run, int nproc,
                                  const std::vector<std::string>& more,
                                  const std::map<std::string, std::string>& variables) const {
  ProcessResult result = start(recipe, run, nproc, more, variables);
  INFO(result.output);
  REQUIRE_FALSE(result.timed_out);
  return result;
}

ProcessResult Bench::start(const fs::path& recipe, const std::string& run, int nproc,
                           const std::vector<std::string>& more,
                           const std::map<std::string, std::string>& variables) const {
  std::vector<std::string> arguments = {"retrace", "train", recipe.string(),
                                        "run.dir=" + (temp.path() / run).string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  ProcessOptions options;
  options.timeout_s = 60;
  options.environment = variables;
  options.environment[kArguments] = join(arguments, "\n");
  options.environment[kRanks] = std::to_string(nproc);
  return run_process({self_path(), "job"}, options);
}

ProcessResult Bench::train_all(int nproc, const Runs& runs) const {
  ProcessOptions options;
  options.timeout_s = 240;
  for (const auto& [name, more] : runs)
    options.environment[kJobs] +=
        (options.environment[kJobs].empty() ? "" : "\n\n") + join(arguments(name, more), "\n");
  options.environment[kRanks] = std::to_string(nproc);
  ProcessResult result = run_process({self_path(), "jobs"}, options);
  INFO(result.output);
  REQUIRE_FALSE(result.timed_out);
  return result;
}

std::vector<double> Bench::losses(const std::string& name) const {
  return metric(name, "loss");
}

std::vector<double> Bench::metric(const std::string& name, const char* what, int64_t first) const {
  std::vector<double> values;
  for (const Json& line : read_jsonl(run(name) / "metrics.jsonl")) {
    REQUIRE(get<int64_t>(line, "step", "metrics") == first + static_cast<int64_t>(values.size()) + 1);
    values.push_back(get_or<double>(line, what, std::numeric_limits<double>::quiet_NaN(), "metrics"));
  }
  return values;
}

std::string Bench::root(const std::string& name) const {
  const auto found = list_checkpoints(run(name) / "checkpoints");
  REQUIRE_FALSE(found.empty());
  return read_manifest(found.front().path).root;
}

bool contains(const ProcessResult& result, const std::string& text) {
  return result.output.find(text) != std::string::npos;
}

void expect_ok(const ProcessResult& result) {
  INFO(result.output);
  REQUIRE(result.exit_status == 0);
}

void expect_no_leftovers(const fs::path& run) {
  for (const std::string& name : list_folder(run / "checkpoints")) {
    const bool known = name == "latest" || (name.find("step-") == 0 && name.find('.') == std::string::npos);
    INFO(name);
    REQUIRE(known);
  }
}

std::unique_ptr<Collectives::Pending> LonelyCollectives::start_all_gather(const at::Tensor&,
                                                                          const at::Tensor&) {
  throw Error(Code::internal, "a lonely rank gathers nothing");
}
std::unique_ptr<Collectives::Pending> LonelyCollectives::start_reduce_scatter(const at::Tensor&,
                                                                              const at::Tensor&) {
  throw Error(Code::internal, "a lonely rank reduces nothing");
}
std::unique_ptr<Collectives::Pending> LonelyCollectives::start_all_reduce(const at::Tensor&) {
  throw Error(Code::internal, "a lonely rank reduces nothing");
}
std::unique_ptr<Collectives::Pending> LonelyCollectives::start_all_to_all(const at::Tensor&,
                                                                          const at::Tensor&) {
  throw Error(Code::internal, "a lonely rank swaps nothing");
}
std::unique_ptr<Collectives> LonelyCollectives::subgroup(const std::vector<int>&) {
  throw Error(Code::internal, "a lonely rank has no group");
}
std::vector<double> LonelyCollectives::gather(const std::vector<double>&) {
  throw Error(Code::internal, "a lonely rank gathers nothing");
}

TEST_CASE("jobs", "[.][job]") {
  if (environment(kJobs).empty()) SKIP("started by other tests only");
  const int nproc = std::stoi(environment(kRanks));
  int status = 0;
  if (nproc > 1 && environment("WORLD_SIZE").empty()) {
    status = launch_ranks({"tests_train", "jobs"}, nproc, 5);
  } else {
    try {
      World world(read_launch_env(), 30);
      try {
        train_jobs(world);
      } catch (const Error& error) {
        world.report_failure(error);
        throw;
      }
    } catch (const Error& error) {
      fmt::print(stderr, "{}\n", error.what());
      status = error.status();
    }
  }
  std::fflush(nullptr);
  ::_exit(status);
}

TEST_CASE("job", "[.][job]") {
  std::vector<std::string> arguments;
  const std::string text = environment(kArguments);
  for (std::string_view line : split(text, '\n')) arguments.emplace_back(line);
  if (arguments.size() < 2) SKIP("started by other tests only");
  const bool is_rank = !environment("WORLD_SIZE").empty();
  const int nproc = std::stoi(environment(kRanks));
  int status = 0;
  if (nproc > 1 && !is_rank) {
    status = launch_ranks({"tests_train", "job"}, nproc, 5);
  } else {
    const std::string rank = is_rank ? environment("RANK") : "0";
    plant_bad_gradients(std::stoi(rank));
    plant_end(std::stoi(rank));
    plant_file_faults(std::stoi(rank));
    plant_signal(std::stoi(rank), is_rank ? std::stoi(environment("WORLD_SIZE")) : 1);
    if (const std::string own = environment(("RETRACE_TEST_ONLY_" + rank).c_str()); !own.empty())
      arguments.push_back(own);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    status = run_command_line(static_cast<int>(argv.size()), argv.data(), verbs(), schema());
  }
  std::fflush(nullptr);
  ::_exit(status);
}

double worst_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] / b[i] - 1));
  return worst;
}

}  // namespace retrace::train::testing
