#include "synth/skeleton/skeleton.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "synth/record/plan_table.h"
#include "synth/record/prose.h"
#include "synth/skeleton/cuts.h"
#include "synth/skeleton/purpose.h"

namespace retrace::synth {

namespace {

class Simulation {
 public:
  Simulation(const Snapshot& snapshot, const Structure& structure, const SimulateOptions& options)
      : snapshot_(snapshot), structure_(structure), options_(options) {}

  Trajectory run() {
    describe();
    t_.agents.push_back({});
    add_slot(0, Kind::requirements);
    add_text(Kind::context, file_tree());
    add_text(Kind::plan, plan_table(t_));
    add_slot(0, Kind::plan);
    for (int file : t_.order) delegate(file);
    add_slot(0, Kind::review);
    t_.id = make_id(t_);
    return std::move(t_);
  }

 private:
  void describe() {
    t_.round = options_.round;
    t_.fold = options_.fold;
    t_.origin = fit_for_slot(snapshot_.origin);
    t_.kind = snapshot_.kind;
    t_.revision = snapshot_.revision;
    t_.licence = snapshot_.licence;
    t_.date = snapshot_.date;
    std::map<std::string, int> index;
    for (const SourceFile& file : snapshot_.files) {
      const std::string hash = sha256_hex(file.content);
      index[file.path] = static_cast<int>(t_.tree.size());
      t_.tree.push_back({file.path, hash, file.mode, file.content.size(), file.language});
      t_.blobs.emplace(hash, file.content);
    }
    for (const Redaction& r : snapshot_.redactions) {
      const auto file = index.find(r.path);
      if (file != index.end()) t_.redactions.push_back({file->second, r.offset, r.kind});
    }
    t_.order = structure_.order;
    t_.skeleton.read_budget_bytes = options_.read_budget_bytes;
    t_.skeleton.write_chunk_bytes = options_.write_chunk_bytes;
    place_ = places_in_order(t_);
    for (const Edge& e : structure_.edges) {
      if (e.from == e.to) continue;
      const bool later = place(e.to) > place(e.from);
      t_.dependencies.push_back({e.from, e.to, e.hard, e.broken || later});
    }
    for (int file : t_.order) t_.plan.push_back(plan_line(snapshot_, structure_, file));
  }

  size_t place(int file) const { return place_[static_cast<size_t>(file)]; }

  std::string file_tree() const {
    std::string out;
    for (const TreeFile& file : t_.tree) out += file.path + "\n";
    return out;
  }

  Step& add_step(int agent, Kind kind) {
    Step step;
    step.seq = static_cast<int64_t>(t_.steps.size());
    step.agent = agent;
    step.kind = kind;
    t_.steps.push_back(std::move(step));
    return t_.steps.back();
  }

  void add_slot(int agent, Kind kind) {
    Step& step = add_step(agent, kind);
    step.body.type = Body::Type::slot;
    step.body.slot = static_cast<int>(t_.slots.size());
    Slot slot;
    slot.step = step.seq;
    t_.slots.push_back(std::move(slot));
  }

  void add_text(Kind kind, std::string text) {
    Step& step = add_step(0, kind);
    step.body.type = Body::Type::text;
    step.body.text = std::move(text);
  }

  int64_t add_span(int agent, Kind kind, int file, ByteRange range, int64_t answers = -1) {
    Step& step = add_step(agent, kind);
    step.answers = answers;
    step.body.type = Body::Type::span;
    step.body.file = file;
    step.body.begin = range.first;
    step.body.end = range.second;
    return step.seq;
  }

  void delegate(int file) {
    const int agent = static_cast<int>(t_.agents.size());
    const auto call = static_cast<int64_t>(t_.steps.size());
    add_slot(0, Kind::delegate);
    t_.agents.push_back({agent, 0, call, file});
    const SourceFile& source = snapshot_.files[static_cast<size_t>(file)];
    const auto reads = choose_reads(file);
    if (!reads.empty()) {
      add_slot(agent, Kind::think);
      for (const auto& [dependency, range] : reads)
        add_span(agent, Kind::observe, dependency, range, add_span(agent, Kind::read, dependency, range));
    }
    if (!source.content.empty()) add_slot(agent, Kind::think);
    for (const ByteRange& piece :
         write_pieces(source, structure_.files[static_cast<size_t>(file)], options_.write_chunk_bytes))
      add_span(agent, Kind::write, file, piece);
  }

  // Dependencies that exist already, the most used first, until the budget is spent; shown in writing order.
  std::vector<std::pair<int, ByteRange>> choose_reads(int file) {
    struct Wanted {
      const Edge* edge;
      size_t uses;
    };
    std::vector<Wanted> wanted;
    const auto first = std::lower_bound(structure_.edges.begin(), structure_.edges.end(), file,
                                        [](const Edge& e, int from) { return e.from < from; });
    for (auto e = first; e != structure_.edges.end() && e->from == file; ++e)
      if (e->from != e->to && !e->broken && place(e->to) <= place(file)) wanted.push_back({&*e, 0});
    if (wanted.empty()) return {};
    const std::vector<std::string_view> own =
        identifiers_of(snapshot_.files[static_cast<size_t>(file)].content);
    for (Wanted& w : wanted)
      for (const Symbol& s : structure_.files[static_cast<size_t>(w.edge->to)].symbols)
        w.uses += std::binary_search(own.begin(), own.end(), std::string_view(s.name));
    std::stable_sort(wanted.begin(), wanted.end(), [&](const Wanted& a, const Wanted& b) {
      if (a.edge->hard != b.edge->hard) return a.edge->hard;
      if (a.uses != b.uses) return a.uses > b.uses;
      return place(a.edge->to) < place(b.edge->to);
    });
    std::map<size_t, std::vector<std::pair<int, ByteRange>>> chosen;
    uint64_t left = options_.read_budget_bytes;
    for (const Wanted& w : wanted) {
      const int to = w.edge->to;
      const SourceFile& source = snapshot_.files[static_cast<size_t>(to)];
      if (source.content.empty()) continue;
      bool cut = false;
      const auto ranges =
          read_ranges(source, structure_.files[static_cast<size_t>(to)], {own, w.edge->names}, left, &cut);
      if (ranges.empty())
        ++t_.skeleton.reads_left_out;
      else
        t_.skeleton.reads_cut += cut;
      for (const ByteRange& range : ranges) {
        left -= range.second - range.first;
        chosen[place(to)].emplace_back(to, range);
      }
    }
    std::vector<std::pair<int, ByteRange>> out;
    for (auto& [where, ranges] : chosen) out.insert(out.end(), ranges.begin(), ranges.end());
    return out;
  }

  const Snapshot& snapshot_;
  const Structure& structure_;
  const SimulateOptions& options_;
  Trajectory t_;
  std::vector<size_t> place_;
};

}  // namespace

Trajectory simulate(const Snapshot& snapshot, const Structure& structure, const SimulateOptions& options) {
  return Simulation(snapshot, structure, options).run();
}

}  // namespace retrace::synth
