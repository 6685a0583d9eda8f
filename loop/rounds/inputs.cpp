#include "loop/rounds/inputs.h"

#include "core/base64.h"
#include "core/files/paths.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process/signals.h"
#include "core/recipe/run_config.h"
#include "data/config.h"
#include "loop/config.h"
#include "model/config.h"
#include "synth/config.h"
#include "synth/slices.h"
#include "synth/synthesis.h"

namespace retrace::loop {
namespace {

std::string base_name(const std::string& source) {
  const auto path = fs::path(source).lexically_normal();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

// What is kept of the ledger while slices are cut.
struct Kept {
  std::vector<synth::SliceInput> repositories;
  Json dropped = Json::array();
};

Kept kept_of(synth::Ledger& ledger) {
  Kept out;
  ledger.each([&](const synth::LedgerRow& row) {
    if (row.state != "planned") {
      out.dropped.push_back({{"name", base_name(row.source.source)}, {"reason", row.reason}});
      return;
    }
    auto size_bytes = get<int64_t>(row.read_result, "size_bytes", "ledger");
    for (const auto& d : synth::duplicates_from_json(row.duplicates, "ledger")) size_bytes -= d.size_bytes;
    const auto signature = get<std::string>(row.read_result, "cluster_signature", "ledger");
    out.repositories.push_back(
        {row.tree, static_cast<uint64_t>(size_bytes), synth::from_base64(signature, "ledger")});
  });
  return out;
}

Error nothing_left(const std::string& input, const Json& dropped) {
  std::map<std::string, int64_t> reasons;
  for (const auto& one : dropped) ++reasons[one.at("reason").get<std::string>()];
  std::string why;
  for (const auto& [reason, count] : reasons)
    why += fmt::format("{}{} ({})", why.empty() ? "" : ", ", reason, count);
  return Error(Code::input, "no repository of " + input + " is left: " + why,
               "name other repositories, or filter less ([hygiene], synth.keep_*)");
}

// One line a repository, so that neither side of the file needs all of it as one value.
void write_slices(const fs::path& file, synth::Ledger& ledger, const Kept& kept,
                  const synth::Slices& slices) {
  std::vector<std::pair<std::string, int>> places(kept.repositories.size());
  for (size_t r = 0; r < slices.rounds.size(); ++r)
    for (int i : slices.rounds[r]) places[static_cast<size_t>(i)] = {"train", static_cast<int>(r) + 1};
  for (int i : slices.dev) places[static_cast<size_t>(i)] = {"dev", 0};
  for (int i : slices.test) places[static_cast<size_t>(i)] = {"test", 0};
  StagedFile out(file);
  out.write("{\"hygiene\": true,\n \"repositories\": [");
  size_t at = 0;
  ledger.each([&](const synth::LedgerRow& row) {
    if (row.state != "planned") return;
    const auto& [fold, round] = places.at(at);
    const synth::SliceEntry entry = {row, base_name(row.source.source), fold, round, slices.cluster.at(at)};
    out.write((at++ == 0 ? "\n  " : ",\n  ") + to_text(synth::to_json(entry)));
  });
  out.write("\n ],\n \"dropped\": " + to_text(kept.dropped) + "}\n");
  out.commit();
}

void write_heldout(const RunInputs& inputs, const fs::path& run) {
  for (const std::string fold : {"dev", "test"}) {
    StagedFile out(run / "heldout" / (fold + ".jsonl"));
    inputs.each_snapshot(fold, 0, [&](const synth::Snapshot& snapshot) {
      for (const auto& file : snapshot.files)
        if (!file.language.empty())
          out.write(
              to_text(
                  {{"id", snapshot.origin + "/" + file.path}, {"path", file.path}, {"text", file.content}}) +
              "\n");
    });
    out.commit();
  }
}

// Every rank: the sources are read by all, the rest is rank 0's.
void cut_inputs(const Recipe& recipe, const RunInputs& inputs, const fs::path& run, const Ranks& ranks) {
  const auto config = recipe.get<synth::SynthConfig>();
  const auto loop = recipe.get<LoopConfig>();
  const auto seed = static_cast<uint64_t>(recipe.get<RunConfig>().seed);
  if (config.input.empty())
    throw Error(Code::recipe, "no input repositories are named",
                "set synth.input to a folder, repository or archive", "synth.input");
  synth::SynthJob job;
  job.out = run / "sources";
  job.list = [input = resolve_path(config.input).string()](const synth::UseSource& use) {
    synth::list_sources(input, use);
  };
  job.reading = inputs.reading;
  job.contamination = inputs.contamination.get();
  job.cluster_signatures = true;
  job.ranks = ranks;
  synth::plan_synthesis(recipe, job, [&](synth::Ledger& ledger) {
    const Kept kept = kept_of(ledger);
    if (kept.repositories.empty()) throw nothing_left(config.input, kept.dropped);
    write_slices(inputs.file, ledger, kept,
                 synth::cut_slices(kept.repositories, static_cast<int>(loop.rounds), loop.dev_fraction,
                                   loop.test_fraction, seed));
  });
}

}  // namespace

void RunInputs::each(const std::string& fold, int round,
                     const std::function<void(const synth::SliceEntry&)>& use) const {
  synth::each_slice_entry(file, reading, [&](const synth::SliceEntry& entry) {
    if (entry.fold == fold && entry.round == round) use(entry);
  });
}

void RunInputs::each_snapshot(const std::string& fold, int round,
                              const std::function<void(const synth::Snapshot&)>& use) const {
  const synth::SnapshotOptions options = synth::without_contamination(reading, contamination.get());
  synth::SourceReader reader;
  each(fold, round, [&](const synth::SliceEntry& entry) {
    throw_if_stopped();
    use(synth::take_slice_entry(reader, entry, options));
  });
}

RunInputs prepare_inputs(const Recipe& recipe, const fs::path& run, const Ranks& ranks) {
  RunInputs inputs;
  inputs.file = run / synth::kSliceFile;
  inputs.reading = synth::snapshot_options(recipe.get<synth::SynthConfig>());
  // No rank passes the reading before all have looked, so that all see the same.
  const bool cut = fs::exists(inputs.file);
  if (!cut || synth::slices_are_selected(inputs.file))
    inputs.contamination = std::make_shared<synth::Contamination>(synth::contamination_of(recipe));
  if (!cut) cut_inputs(recipe, inputs, run, ranks);
  first_rank_does(ranks, "loop/plan", recipe.get<RunConfig>().timeout_s, [&] {
    if (!fs::exists(run / "heldout" / "test.jsonl")) write_heldout(inputs, run);
  });
  synth::each_slice_entry(inputs.file, inputs.reading,
                          [&](const synth::SliceEntry& entry) { inputs.folds.insert(entry.fold); });
  return inputs;
}

RunTokenizer prepare_tokenizer(const Recipe& recipe, const fs::path& run, const RunInputs& inputs,
                               const Ranks& ranks) {
  const auto config = recipe.get<data::TokenizerConfig>();
  const auto model = recipe.get<model::ModelConfig>();
  RunTokenizer out;
  if (!config.path.empty()) {
    out.path = resolve_path(config.path);
  } else if (!model.path.empty()) {
    out.path = resolve_path(model.path);
  } else {
    out.path = run / "tokenizer";
    first_rank_does(ranks, "loop/tokenizer", recipe.get<RunConfig>().timeout_s, [&] {
      if (fs::exists(out.path)) return;
      std::vector<std::string> texts;
      inputs.each_snapshot("train", 1, [&](const synth::Snapshot& snapshot) {
        for (const auto& file : snapshot.files) texts.push_back(file.content);
      });
      const fs::path partial = run / "tokenizer.partial";
      fs::remove_all(partial);
      if (config.type == "bpe")
        data::train_byte_bpe(texts, config.vocab_size, config.special, partial);
      else
        data::train_sentencepiece(texts, config.vocab_size, "bpe", config.special, partial);
      rename_durably(partial, out.path);
    });
  }
  out.tokenizer = data::load_tokenizer(out.path);
  return out;
}

}  // namespace retrace::loop
