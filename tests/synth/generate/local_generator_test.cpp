// Weights in this process as generator: prompts in the model's own form, every answer kept, the rules of the
// HTTP generator for those that do not fit.
#include <fmt/core.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

#include "core/error.h"
#include "core/files/files.h"
#include "core/recipe/run_config.h"
#include "synth/config.h"
#include "synth/generate/local_generator.h"
#include "synth/record/store.h"
#include "synth/synthesis.h"
#include "tests/synth/memory_sources.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

using Ids = std::vector<int32_t>;

// Writes what `say` makes of prompt and options; counts, and can fail after some texts.
class WritingEngine : public ByteEngine {
 public:
  std::function<std::string(const Ids&, const model::GenerateOptions&)> say =
      [](const Ids& prompt, const model::GenerateOptions& o) {
        return fmt::format("I will take care of part {}.", (prompt.size() * 31 + o.seed) % 1000003);
      };
  size_t texts = 0, fail_after = SIZE_MAX;
  model::LlamaConfig shape;
  WritingEngine() { shape.max_position_embeddings = 1 << 20; }
  const model::LlamaConfig& config() const override { return shape; }
  Ids generate(const Ids& prompt, const model::GenerateOptions& o) override {
    if (texts == fail_after) throw Error(Code::interrupted, "stopped");
    ++texts;
    last_prompt = prompt;
    Ids out;
    for (char c : say(prompt, o)) out.push_back(static_cast<unsigned char>(c));
    if (static_cast<int64_t>(out.size()) > o.max_tokens) out.resize(static_cast<size_t>(o.max_tokens));
    return out;
  }
  Ids last_prompt;
};

Recipe recipe_for(const std::vector<Override>& overrides = {}) {
  static const Schema schema =
      Schema::of<RunConfig, SynthConfig, SearchConfig, HygieneConfig, GeneratorConfig, ScorerConfig>();
  Recipe recipe(schema);
  for (const Override& o : std::vector<Override>{
           {"synth.generator", "local"}, {"synth.read_budget_kib", "1"}, {"generator.max_tokens", "100"}})
    recipe.set(o);
  for (const Override& o : overrides) recipe.set(o);
  return recipe;
}

const std::vector<Snapshot>& snapshots() {
  static const std::vector<Snapshot> all = {make_repository("alpha").snapshot,
                                            make_repository("beta").snapshot};
  return all;
}

Json run_stage(const fs::path& out, WritingEngine& engine, const Recipe& recipe = recipe_for(),
               ChatTemplate form = ChatTemplate::chatml) {
  const LocalWriter writer = {&engine, byte_tokenizer(), form, "base"};
  SynthJob job;
  job.out = out;
  slice_of_snapshots(&job, snapshots(), {0, 1});
  job.models.writer = &writer;
  return run_synthesis(recipe, job);
}

size_t slots_in(const fs::path& out) {
  size_t slots = 0;
  for_each_trajectory(out, [&](const Trajectory& t) { slots += t.slots.size(); });
  return slots;
}

std::string spelled(const Ids& ids) {
  const auto tokenizer = byte_tokenizer();
  return tokenizer->decode(ids);
}

}  // namespace

TEST_CASE("local generator: every slot is written once, and a replay writes nothing", "[unit]") {
  const TempFolder folder;
  WritingEngine engine;
  const Json summary = run_stage(folder.path(), engine);
  REQUIRE(engine.texts == slots_in(folder.path()));
  REQUIRE(summary["asked"]["completion_tokens"].get<int64_t>() > 0);
  for_each_trajectory(folder.path(), [&](const Trajectory& t) {
    REQUIRE(t.made_by["evidence_root"].get<std::string>().size() == 64);
    for (const Slot& slot : t.slots) {
      REQUIRE(slot.chosen.starts_with("I will take care of part"));
      REQUIRE(slot.author.starts_with("local/base/"));
    }
  });
  auto files = results_in(folder.path());
  fs::remove(folder.path() / "done.json");
  WritingEngine silent;
  silent.fail_after = 0;
  run_stage(folder.path(), silent);
  auto again = results_in(folder.path());
  files.erase("evidence.db");
  again.erase("evidence.db");
  REQUIRE(again == files);
}

TEST_CASE("local generator: a stage stopped in the middle goes on to the same bytes and asks nothing twice",
          "[unit]") {
  const TempFolder calm, rough;
  WritingEngine engine;
  run_stage(calm.path(), engine);
  size_t asked = 0;
  for (size_t stop = 8; stop < engine.texts; stop += 7) {
    WritingEngine stopped;
    stopped.fail_after = 7;
    REQUIRE(error_of([&] { run_stage(rough.path(), stopped); }).code() == Code::interrupted);
    asked += stopped.texts;
  }
  WritingEngine last;
  run_stage(rough.path(), last);
  REQUIRE(asked + last.texts == engine.texts);
  auto one = results_in(calm.path()), two = results_in(rough.path());
  one.erase("evidence.db");  // it also holds when each was asked
  two.erase("evidence.db");
  REQUIRE(one == two);
}

TEST_CASE("local generator: other weights or another temperature ask anew", "[unit]") {
  const TempFolder folder;
  WritingEngine engine;
  run_stage(folder.path(), engine);
  const size_t slots = engine.texts;
  run_stage(folder.path(), engine);
  REQUIRE(engine.texts == slots);  // finished
  run_stage(folder.path(), engine, recipe_for({{"generator.temperature", "0.5"}}));
  REQUIRE(engine.texts == 2 * slots);
}

TEST_CASE("local generator: what does not fit a slot is counted, asked again and given up", "[unit]") {
  const TempFolder folder, strict;
  WritingEngine engine;
  engine.say = [](const Ids&, const model::GenerateOptions&) { return "```\nx\nx\nx\nx\nx\n```"; };
  const Json summary = run_stage(folder.path(), engine, recipe_for({{"generator.attempts", "2"}}));
  const auto slots = static_cast<int64_t>(slots_in(folder.path()));
  REQUIRE(static_cast<int64_t>(engine.texts) == 2 * slots);
  REQUIRE(summary["asked"]["generator_refused_code"] == 2 * slots);
  REQUIRE(summary["asked"]["generator_given_up_code"] == slots);
  for_each_trajectory(folder.path(), [&](const Trajectory& t) {
    for (const Slot& slot : t.slots) REQUIRE(slot.author.starts_with("template/"));
  });
  const Error stop = error_of([&] {
    run_stage(strict.path(), engine, recipe_for({{"generator.on_failure", "stop"}}));
  });
  REQUIRE(stop.code() == Code::incomplete);

  const TempFolder tight;
  WritingEngine proper;
  proper.shape.max_position_embeddings = 1500;  // in bytes: some prompts fit, some do not
  const Json given_up = run_stage(tight.path(), proper, recipe_for());
  REQUIRE(proper.texts < slots_in(tight.path()));
  REQUIRE(given_up["asked"].contains("generator_given_up_prompt_too_long"));
}

TEST_CASE("local generator: an answer that is no UTF-8 is made so", "[unit]") {
  const TempFolder folder;
  WritingEngine engine;
  engine.say = [](const Ids&, const model::GenerateOptions&) {
    return std::string("A note \xff\xc3 on it.");
  };
  run_stage(folder.path(), engine);
  for_each_trajectory(folder.path(), [&](const Trajectory& t) {
    for (const Slot& slot : t.slots) REQUIRE(slot.author.starts_with("local/"));
  });
}

TEST_CASE("local generator: no weights, or a budget, is a recipe error", "[unit]") {
  const TempFolder folder;
  SynthJob job;
  job.out = folder.path();
  slice_of_snapshots(&job, snapshots(), {0});
  REQUIRE(error_of([&] { run_synthesis(recipe_for(), job); }).code() == Code::recipe);
  WritingEngine engine;
  const Error budget = error_of([&] {
    run_stage(folder.path(), engine, recipe_for({{"generator.budget_tokens", "100"}}));
  });
  REQUIRE(budget.code() == Code::recipe);
  REQUIRE(engine.texts == 0);
}

TEST_CASE("prompts have the form that the model was taught, and text forges no turn", "[unit]") {
  const auto tokenizer = byte_tokenizer();
  const Prompt prompt = {"Be brief.", "Say <|im_end|> twice."};
  const Ids chatml = chat_ids(ChatTemplate::chatml, prompt, *tokenizer);
  REQUIRE(spelled(chatml) ==
          "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nSay <|im_end|> twice.<|im_end|>\n"
          "<|im_start|>assistant\n");
  REQUIRE(std::count(chatml.begin(), chatml.end(), *tokenizer->special("<|im_end|>")) == 2);
  REQUIRE(spelled(chat_ids(ChatTemplate::llama3, prompt, *tokenizer)) ==
          "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
          "<|start_header_id|>user<|end_header_id|>\n\nSay <|im_end|> twice.<|eot_id|>"
          "<|start_header_id|>assistant<|end_header_id|>\n\n");
  REQUIRE(spelled(chat_ids(ChatTemplate::none, prompt, *tokenizer)).ends_with("The note:\n"));
  REQUIRE(chat_stops(ChatTemplate::llama3, *tokenizer).back() == *tokenizer->special("<|eot_id|>"));
}

TEST_CASE("chat templates are recognised by name, others refused", "[unit]") {
  const TempFolder folder;
  const auto form = [&](const std::string& text) {
    write_file(folder.path() / "tokenizer_config.json", to_text({{"chat_template", text}}));
    return chat_template_of("auto", folder.path());
  };
  const std::string llama3 = "{{ '<|start_header_id|>' + role + '<|end_header_id|>' + text + '<|eot_id|>' }}";
  REQUIRE(error_of([&] { chat_template_of("auto", folder.path()); }).code() == Code::recipe);
  REQUIRE(form("{{'<|im_start|>' + role + text + '<|im_end|>'}}") == ChatTemplate::chatml);
  REQUIRE(form(llama3) == ChatTemplate::llama3);
  REQUIRE(error_of([&] { form("[INST] {{ text }} [/INST]"); }).code() == Code::recipe);
  const Error dated = error_of([&] { form("Cutting Knowledge Date: " + llama3); });
  REQUIRE(dated.where() == "generator.chat_template");
  REQUIRE(chat_template_of("llama3", folder.path()) == ChatTemplate::llama3);
  write_file(
      folder.path() / "tokenizer_config.json",
      R"({"chat_template": [{"name": "rag", "template": "x"}, {"name": "default", "template": "<|im_start|><|im_end|>"}]})");
  REQUIRE(chat_template_of("auto", folder.path()) == ChatTemplate::chatml);
}
