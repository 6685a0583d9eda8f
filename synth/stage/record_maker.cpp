#include "synth/stage/record_maker.h"

#include <algorithm>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "synth/generate/fill_slots.h"
#include "synth/hygiene/contamination.h"
#include "synth/skeleton/skeleton.h"
#include "synth/stage/record_summary.h"
#include "synth/stage/stage_key.h"
#include "synth/structure/analyse.h"

namespace retrace::synth {

namespace {

// A judge's folder counts by its name, and how weights are served not at all: records must not depend on
// where things lie.
std::string search_text(const Recipe& recipe) {
  const fs::path judge = recipe.get<SearchConfig>().judge;
  return section_text(recipe, "search",
                      {"judge", "serve_command", "serve_health", "serve_timeout_s", "serve_stop_s",
                       "serve_generator"}) +
         "search.judge = " + judge.filename().string() + "\n";
}

}  // namespace

RecordMaker::RecordMaker(const Recipe& recipe, const SynthJob& job, const SynthModels& models,
                         const RecordMaker* beside)
    : job_(job),
      config_(recipe.get<SynthConfig>()),
      template_(make_template_generator()),
      models_(recipe, job.out, job.ranks, fmt::format("synth/{}/http", job.round), models.writer,
              beside ? &beside->models_ : nullptr),
      generator_(models_.generator() ? models_.generator() : template_.get()),
      weights_name_(models_.scorer() ? models_.scorer()->name() : job.weights_name) {
  const auto run = recipe.get<RunConfig>();
  options_.config = recipe.get<SearchConfig>();
  options_.style = config_.style;
  options_.seed = static_cast<uint64_t>(run.seed);
  if (options_.config.preset != "none") {
    scorer_ = models_.scorer() ? models_.scorer() : models.scorer;
    judge_ = models.judge;
  }
  recipe_hash_ = sha256_hex(fmt::format("{} {} {} {} {}\n{}{}{}", kSynthCode, generator_->name(), run.seed,
                                        job.round, job.fold, section_text(recipe, "synth", {"input"}),
                                        search_text(recipe), models_.identity()));
}

std::string RecordMaker::inputs_text(const std::string& tree, const std::string& origin,
                                     const std::string& revision, const std::string& licence,
                                     const std::string& date) const {
  return fmt::format("{} {} {} {} {} {}", recipe_hash_, tree, origin, revision, licence, date);
}

std::string RecordMaker::record_key(const std::string& inputs_text) const {
  const std::string by = fmt::format("{} {} {} {}", scorer_name(), judge_ ? judge_->name() : "none",
                                     weights_name_, writer_weights());
  return sha256_hex(inputs_text + "\n" + by);
}

Json RecordMaker::models() const {
  return {{"generator", generator_->name()},
          {"scorer", scorer_name()},
          {"weights", scorer_ ? weights_name_ : ""},
          {"judge", judge_ ? judge_->name() : "none"},
          {"preset", scorer_ ? options_.config.preset : "none"}};
}

MadeRecord RecordMaker::make(const Snapshot& snapshot, const std::function<void()>& tick,
                             const std::function<void(double)>& part) {
  MadeRecord item;
  Trajectory& t = item.trajectory;
  const Structure structure = analyse(snapshot);
  t = skeleton_of(snapshot, structure);
  models_.open_item(snapshot.tree_hash, tick);
  show_progress(t, part);
  fill_slots(t, snapshot, structure, *generator_, options_.seed);
  const Json searched = search(item, snapshot, structure, tick);
  generator_->settled = nullptr;
  finish(item, snapshot, searched);
  return item;
}

Trajectory RecordMaker::skeleton_of(const Snapshot& snapshot, const Structure& structure) const {
  SimulateOptions simulation;
  simulation.read_budget_bytes = static_cast<uint64_t>(config_.read_budget_kib) << 10;
  simulation.write_chunk_bytes = static_cast<uint64_t>(config_.write_chunk_kib) << 10;
  simulation.round = job_.round;
  simulation.fold = job_.fold;
  Trajectory t = simulate(snapshot, structure, simulation);
  t.made_by = {{"code", kSynthCode},
               {"recipe", recipe_hash_},
               {"generator", generator_->name()},
               {"scorer", scorer_name()},
               {"weights", scorer_ ? weights_name_ : ""},
               {"preset", scorer_ ? options_.config.preset : "none"},
               {"seed", options_.seed}};
  return t;
}

void RecordMaker::show_progress(const Trajectory& t, const std::function<void(double)>& part) {
  int64_t all_texts = std::ssize(t.slots);
  if (scorer_) all_texts += candidates_of(t, options_.config);
  generator_->settled = [&part, texts = int64_t{0}, all_texts]() mutable {
    part(std::min(1.0, static_cast<double>(++texts) / static_cast<double>(all_texts)));
  };
}

Json RecordMaker::search(MadeRecord& item, const Snapshot& snapshot, const Structure& structure,
                         const std::function<void()>& tick) {
  if (!scorer_) return empty_search_summary();
  options_.tick = tick;
  SearchResult result =
      search_thoughts(item.trajectory, snapshot, structure, *generator_, *scorer_, judge_, options_);
  for (const std::string& line : result.candidates) item.candidates += line + "\n";
  return std::move(result.summary);
}

void RecordMaker::finish(MadeRecord& item, const Snapshot& snapshot, const Json& searched) {
  Trajectory& t = item.trajectory;
  const int64_t contaminated = job_.contamination ? drop_contaminated(t, *job_.contamination) : 0;
  item.summary = record_summary(t, snapshot, searched);
  if (contaminated > 0) item.summary["dropped"]["contaminated_thoughts"] = contaminated;
  if (const Json asked = models_.close_item(); !asked.is_null()) {
    t.made_by["evidence_root"] = asked.at("evidence_root");
    t.rev = make_rev(t);
    item.summary["asked"] = asked.at("counts");
  }
}

int64_t drop_contaminated(Trajectory& t, const Contamination& contamination) {
  int64_t n = 0;
  for (Slot& slot : t.slots) {
    if (!contamination.in(slot.chosen) && !contamination.in(slot.initial)) continue;
    ++n;
    if (contamination.in(slot.initial)) slot.initial.clear();
    if (!contamination.in(slot.chosen)) continue;
    slot.chosen.clear();
    slot.drop = "contaminated";
  }
  if (n > 0) t.rev = make_rev(t);
  return n;
}

}  // namespace retrace::synth
