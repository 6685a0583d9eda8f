#include "synth/dry_run.h"

#include <algorithm>

#include "core/log.h"
#include "synth/config.h"
#include "synth/generate/fill_slots.h"
#include "synth/record/plan_table.h"
#include "synth/search/context.h"
#include "synth/skeleton/skeleton.h"
#include "synth/structure/analyse.h"

namespace retrace::synth {

namespace {

constexpr double kBytesPerToken = 3.5;  // of source code, roughly; for the estimate only

}  // namespace

void print_dry_run(const Snapshot& snapshot, const Recipe& recipe, std::ostream& out) {
  const auto config = recipe.get<SynthConfig>();
  const auto search = recipe.get<SearchConfig>();
  const Structure structure = analyse(snapshot);
  SimulateOptions options;
  options.read_budget_bytes = static_cast<uint64_t>(config.read_budget_kib) << 10;
  options.write_chunk_bytes = static_cast<uint64_t>(config.write_chunk_kib) << 10;
  Trajectory t = simulate(snapshot, structure, options);
  fill_slots(t, snapshot, structure, *make_template_generator(),
             static_cast<uint64_t>(std::get<int64_t>(recipe.value("run.seed"))));
  out << fmt::format("{} ({}, licence {})\n", t.origin, t.kind, t.licence) << plan_table(t);
  size_t broken = 0;
  for (const Dependency& d : t.dependencies) {
    if (!d.broken) continue;
    ++broken;
    out << fmt::format("broken cycle: {} is written before {}\n", t.tree[static_cast<size_t>(d.from)].path,
                       t.tree[static_cast<size_t>(d.to)].path);
  }
  uint64_t source = 0, observed = 0;
  for (const TreeFile& file : t.tree) source += file.size;
  for (const Step& step : t.steps)
    if (step.kind == Kind::observe) observed += step.body.end - step.body.begin;
  out << fmt::format(
      "files {}, source bytes {}, dependencies {} (broken {}), unresolved imports {}, external imports {}\n",
      t.tree.size(), source, t.dependencies.size(), broken, structure.unresolved_imports,
      structure.external_imports);
  out << fmt::format("steps {}, prose slots {}, observed bytes {}, reads cut {}, reads left out {}\n",
                     t.steps.size(), t.slots.size(), observed, t.skeleton.reads_cut,
                     t.skeleton.reads_left_out);
  std::map<std::string, size_t> reasons;
  for (const Dropped& d : snapshot.dropped) ++reasons[d.reason];
  for (const auto& [reason, count] : reasons) out << fmt::format("dropped: {} {}\n", reason, count);
  const auto places = thought_places(t, static_cast<uint64_t>(search.target_bytes));
  const auto thoughts = static_cast<int64_t>(places.size());
  const int64_t searched = search.preset == "none" ? 0
                           : search.max_slots == 0 ? thoughts
                                                   : std::min(thoughts, search.max_slots);
  const int64_t texts = searched * search.candidates * search.iterations;
  uint64_t target = 0;
  for (const ThoughtPlace& place : places) target += place.target.end - place.target.begin;
  const double per_thought = thoughts > 0 ? static_cast<double>(target) / static_cast<double>(thoughts) : 0;
  out << fmt::format(
      "search: {} of {} thoughts, at most {} candidates and {} scorings, about {} target tokens beside "
      "prefixes\n\n",
      searched, thoughts, texts, texts + searched,
      format_count(per_thought * static_cast<double>(texts + searched) / kBytesPerToken));
}

void print_edges(const Snapshot& snapshot, std::ostream& out) {
  const Structure structure = analyse(snapshot);
  for (const Edge& e : structure.edges)
    out << to_text({{"repository", snapshot.origin},
                    {"from", snapshot.files[static_cast<size_t>(e.from)].path},
                    {"to", snapshot.files[static_cast<size_t>(e.to)].path},
                    {"hard", e.hard},
                    {"broken", e.broken},
                    {"line", e.line},
                    {"names", e.names}})
        << "\n";
}

}  // namespace retrace::synth
