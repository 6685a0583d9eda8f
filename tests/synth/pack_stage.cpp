// The packing stage: samples that read back as the rendered documents, once, and again the same.
#include <catch2/catch_test_macros.hpp>

#include "core/error.h"
#include "core/files/files.h"
#include "core/recipe/run_config.h"
#include "data/config.h"
#include "data/mds/mds.h"
#include "synth/config.h"
#include "synth/pack.h"
#include "synth/record/store.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

Recipe recipe_for(int64_t seq_len, const std::vector<Override>& overrides = {}) {
  static const Schema all = Schema::of<RunConfig, SynthConfig, SearchConfig, data::DataConfig>();
  Recipe recipe(all);
  recipe.set({"data.seq_len", std::to_string(seq_len)});
  for (const Override& o : overrides) recipe.set(o);
  return recipe;
}

void write_records(const fs::path& folder) {
  TrajectoryWriter writer(folder / "trajectories.traj");
  for (const char* name : {"alpha", "beta", "gamma", "delta", "epsilon"})
    writer.add(make_trajectory(make_repository(name)));
  writer.finish();
}

PackJob job_for(const fs::path& from, const fs::path& to, Variant variant = Variant::repo2agent_search) {
  return {from, to, variant, byte_tokenizer(), "trajectories"};
}

}  // namespace

TEST_CASE("samples hold every document once, with spans and masks", "[unit]") {
  const TempFolder records, out;
  write_records(records.path());
  for (const auto variant : {Variant::repo2agent_search, Variant::raw_repos}) {
    const Json stats = run_pack(recipe_for(24000), job_for(records.path(), out.path(), variant));
    const data::MdsReader reader(out.path());
    REQUIRE(reader.size() == stats["samples"].get<int64_t>());
    std::string all;
    int64_t labels = 0;
    for (int64_t i = 0; i < reader.size(); ++i) {
      const data::Sample sample = reader.read(i);
      REQUIRE(sample.input_ids.size() == 24000);
      for (const auto& [begin, end] : sample.spans) REQUIRE(begin < end);
      for (float weight : sample.weights) labels += weight > 0;
      for (int32_t id : sample.input_ids)
        if (id < 256) all += static_cast<char>(id);
    }
    REQUIRE(labels == stats["trained_tokens"].get<int64_t>());
    REQUIRE(stats["dropped"]["documents_longer_than_seq_len"] == 0);
    for (const char* name : {"alpha", "beta", "gamma", "delta", "epsilon"}) {
      const std::string content = make_repository(name).snapshot.files[3].content;
      REQUIRE(all.find(content.substr(content.find("def save_table"))) != std::string::npos);
    }
    REQUIRE(all.find("<|eot_id|>") != std::string::npos);
  }
}

TEST_CASE("packing repeats byte for byte at any thread count, and answers at once when done", "[unit]") {
  const TempFolder records, one, two;
  write_records(records.path());
  const Json first = run_pack(recipe_for(12000, {{"run.threads", "1"}}), job_for(records.path(), one.path()));
  const Json second =
      run_pack(recipe_for(12000, {{"run.threads", "3"}}), job_for(records.path(), two.path()));
  REQUIRE(first == second);
  const auto files = all_files(one.path());
  REQUIRE(files == all_files(two.path()));
  REQUIRE(run_pack(recipe_for(12000), job_for(records.path(), one.path())) == first);
  REQUIRE(all_files(one.path()) == files);
  const Json other = run_pack(recipe_for(14000), job_for(records.path(), one.path()));
  REQUIRE(other["seq_len"] == 14000);
  REQUIRE(data::MdsReader(one.path()).read(0).input_ids.size() == 14000);
}

TEST_CASE("packing that failed half-way goes on to the same bytes", "[unit]") {
  const TempFolder records, good, bad;
  write_records(records.path());
  run_pack(recipe_for(12000), job_for(records.path(), good.path()));
  int64_t operations = 0;
  set_file_operation_hook([&](const char*, const fs::path&) { ++operations; });
  {
    const TempFolder counted;
    run_pack(recipe_for(12000), job_for(records.path(), counted.path()));
  }
  for (int64_t fail_at = 0; fail_at < operations; ++fail_at) {
    int64_t at = 0;
    set_file_operation_hook([&](const char* operation, const fs::path&) {
      if (at++ == fail_at) fail(Code::io, "injected: {}", operation);
    });
    const TempFolder folder;
    REQUIRE_THROWS_AS(run_pack(recipe_for(12000), job_for(records.path(), folder.path())), Error);
    set_file_operation_hook(nullptr);
    run_pack(recipe_for(12000), job_for(records.path(), folder.path()));
    REQUIRE(all_files(folder.path()) == all_files(good.path()));
  }
  set_file_operation_hook(nullptr);
}

TEST_CASE("what is too long is dropped and counted; no trajectories is an input error", "[unit]") {
  const TempFolder records, out, empty;
  write_records(records.path());
  const Json stats = run_pack(recipe_for(2500), job_for(records.path(), out.path()));
  REQUIRE(stats["dropped"]["pieces_longer_than_seq_len"].get<int64_t>() > 0);
  REQUIRE(stats["split_trajectories"] == 5);
  REQUIRE_THROWS_AS(run_pack(recipe_for(2500), job_for(empty.path(), out.path())), Error);
}
