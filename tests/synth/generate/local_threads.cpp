// Real weights, tiny and random, as generator and scorer: the same texts and scores at one thread and at two.
#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "core/recipe/run_config.h"
#include "model/engine/engine.h"
#include "model/engine/shared_engine.h"
#include "model/files/weights.h"
#include "synth/config.h"
#include "synth/generate/local_generator.h"
#include "synth/record/store.h"
#include "tests/synth/input/input_testing.h"
#include "tests/synth/memory_sources.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

model::LlamaConfig tiny(const data::Tokenizer& tokenizer) {
  model::LlamaConfig config;
  config.vocab_size = tokenizer.vocab_size();
  config.hidden_size = 128;
  config.intermediate_size = 352;
  config.num_layers = 2;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 64;
  config.max_position_embeddings = 16384;
  return config;
}

std::unique_ptr<model::Engine> engine_with(int threads, const std::string& dtype) {
  const model::LlamaConfig config = tiny(*byte_tokenizer());
  model::EngineOptions options;
  options.threads = threads;
  options.dtype = dtype;
  return model::make_engine(config, *model::random_weights(config, 5, 0.08), options);
}

Snapshot one_file() {
  Snapshot snapshot = testing::snapshot_of({{"act.py", "def act(value):\n    return value + 1\n"}});
  snapshot.tree_hash = "one file";
  return snapshot;
}

struct Stage {
  Json summary;
  std::map<std::string, std::string> files;
};

Recipe small_recipe() {
  static const Schema schema =
      Schema::of<RunConfig, SynthConfig, SearchConfig, GeneratorConfig, ScorerConfig, HygieneConfig>();
  Recipe recipe(schema);
  for (const Override& o : std::vector<Override>{{"synth.generator", "local"},
                                                 {"synth.read_budget_kib", "1"},
                                                 {"search.max_slots", "1"},
                                                 {"search.iterations", "1"},
                                                 {"generator.max_tokens", "8"},
                                                 {"generator.attempts", "1"},
                                                 {"generator.max_prompt_kib", "1"},
                                                 {"generator.api", "completions"}})
    recipe.set(o);
  return recipe;
}

Stage finished(const SynthJob& job) {
  Stage stage;
  stage.summary = run_synthesis(small_recipe(), job);
  stage.files = results_in(job.out);
  stage.files.erase("evidence.db");
  return stage;
}

Stage run_stage(const fs::path& out, int threads, const std::string& dtype) {
  static const std::vector<Snapshot> all = {one_file()};
  const auto engine = engine_with(threads, dtype);
  const LocalWriter writer = {engine.get(), byte_tokenizer(), ChatTemplate::none, "tiny", dtype};
  const auto scorer = make_local_scorer(*engine, byte_tokenizer(), 2048, dtype);
  SynthJob job;
  job.out = out;
  slice_of_snapshots(&job, all, {0});
  job.models = {&writer, scorer.get(), nullptr};
  job.weights_name = "tiny";
  return finished(job);
}

// Four repositories, so many of them at once.
Stage run_crew(const fs::path& out, size_t workers) {
  static std::vector<Snapshot> all;
  for (int i = static_cast<int>(all.size()); i < 4; ++i) {
    all.push_back(
        testing::snapshot_of({{"act.py", fmt::format("def act_{}(value):\n    return value + {}\n", i, i)}}));
    all.back().tree_hash = fmt::format("tree {}", i);
  }
  const auto engine = engine_with(1, "float32");
  model::SharedEngine shared(*engine);
  struct Worker {
    std::unique_ptr<model::Engine> handle;
    LocalWriter writer;
    std::unique_ptr<Scorer> scorer;
  };
  std::vector<Worker> crew(workers);
  SynthJob job;
  job.out = out;
  slice_of_snapshots(&job, all, {0, 1, 2, 3});
  job.weights_name = "tiny";
  for (Worker& worker : crew) {
    worker.handle = shared.handle();
    worker.writer = {worker.handle.get(), byte_tokenizer(), ChatTemplate::none, "tiny", "float32"};
    worker.scorer = make_local_scorer(*worker.handle, byte_tokenizer(), 2048, "float32");
    job.workers.push_back({&worker.writer, worker.scorer.get(), nullptr});
  }
  return finished(job);
}

}  // namespace

TEST_CASE("local weights write and score the same bytes at one thread and at two", "[unit]") {
  for (const char* dtype : {"float32", "bfloat16"}) {
    INFO(dtype);
    const TempFolder one, two;
    const Stage alone = run_stage(one.path(), 1, dtype), both = run_stage(two.path(), 2, dtype);
    REQUIRE(alone.summary["asked"]["completion_tokens"].get<int64_t>() > 20);
    REQUIRE(both.files == alone.files);
  }
}

TEST_CASE("repositories made at once by one engine give the bytes that they give one after the other",
          "[unit]") {
  const TempFolder one, three;
  const Stage alone = run_crew(one.path(), 1), crew = run_crew(three.path(), 3);
  REQUIRE(alone.summary["counts"]["repositories"] == 4);
  REQUIRE(crew.files == alone.files);
}

TEST_CASE("what was written and scored in bf16 is not taken for fp32", "[unit]") {
  const TempFolder folder;
  const Stage half = run_stage(folder.path(), 1, "bfloat16");
  // The published evidence is read, but every question is another one: nothing of it is used.
  const Stage full = run_stage(folder.path(), 1, "float32"), again = run_stage(folder.path(), 1, "float32");
  const TempFolder fresh;
  REQUIRE(full.files == run_stage(fresh.path(), 1, "float32").files);
  REQUIRE(full.files.at("done.json") != half.files.at("done.json"));
  REQUIRE(again.files == full.files);
  const auto scorer = [](const char* dtype) {
    ByteEngine engine;
    return make_local_scorer(engine, byte_tokenizer(), 1024, dtype)->name();
  };
  REQUIRE(scorer("float32") != scorer("bfloat16"));
}
