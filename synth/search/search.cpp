#include "synth/search/search.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "synth/generate/prose.h"
#include "synth/generate/simulate.h"
#include "synth/search/context.h"
#include "synth/search/gates.h"
#include "synth/search/ppm.h"

namespace retrace::synth {

namespace {

constexpr size_t kLeakContextBytes = size_t{32} << 10;  // of the newest context, for the leak gates
constexpr int kLeakOrder = 8;
constexpr double kLeastMargin = 1e-6;  // nats a token: below any engine's rounding

struct Candidate {
  int n = 0, parent = -1, iteration = 0;
  std::string text, mode, verdict, author;
  Gates gates;
  ScoreResult score;
};

class Search {
 public:
  Search(Trajectory& t, const Snapshot& snapshot, const Structure& structure, Generator& generator,
         Scorer& scorer, Scorer* judge, const SearchOptions& options)
      : t_(t),
        snapshot_(snapshot),
        structure_(structure),
        generator_(generator),
        scorer_(scorer),
        judge_(judge),
        options_(options),
        config_(options.config),
        guarded_(options.config.preset == "guarded"),
        summary_(empty_search_summary()) {}

  SearchResult run() {
    const std::vector<ThoughtPlace> all = thought_places(t_, static_cast<uint64_t>(config_.target_bytes));
    const std::vector<ThoughtPlace> places = spread(all);
    count("thoughts", static_cast<int64_t>(all.size()));
    summary_["not_searched"]["max_slots"] = all.size() - places.size();
    ContextWalk walk(t_, options_.style);
    std::vector<ThoughtPlace> searched;
    for (const ThoughtPlace& place : places) {
      walk.go_to(place);
      if (search_one(place, walk)) searched.push_back(place);
    }
    if (judge_ != nullptr) judge_all(searched);
    t_.rev = make_rev(t_);
    return {std::move(lines_), std::move(summary_)};
  }

 private:
  // At most max_slots of them, evenly spread.
  std::vector<ThoughtPlace> spread(const std::vector<ThoughtPlace>& all) const {
    const auto most = static_cast<size_t>(config_.max_slots);
    if (most == 0 || all.size() <= most) return all;
    std::vector<ThoughtPlace> out;
    for (size_t i = 0; i < most; ++i) out.push_back(all[i * all.size() / most]);
    return out;
  }

  void count(const char* key, int64_t by = 1) { summary_[key] = summary_[key].get<int64_t>() + by; }

  std::vector<ScoreResult> score(Scorer& scorer, const ContextWalk& walk, std::vector<std::string> texts,
                                 bool without_thought = false) {
    if (options_.tick) options_.tick();
    ScoreRequest request = walk.request(without_thought);
    request.thoughts = std::move(texts);
    std::vector<ScoreResult> out = scorer.score_segments(request);
    ensure(out.size() == request.thoughts.size(), "a scorer answers every thought");
    for (const ScoreResult& r : out)
      if (r.n_tokens > 0 && !std::isfinite(r.nll))
        throw Error(Code::numeric, "the scorer gave a likelihood that is not finite",
                    "check the weights that it scores with", scorer.name());
    return out;
  }

  // False if the thought's context is too long for the scorer.
  bool search_one(const ThoughtPlace& place, const ContextWalk& walk) {
    Slot& slot = t_.slots[static_cast<size_t>(place.slot)];
    context_ = walk.visible_text(kLeakContextBytes);
    candidates_.clear();
    candidates_.push_back({0, -1, 0, slot.initial, slot.mode, "initial", slot.author, {}, {}});
    candidates_[0].gates = measure_overlap(slot.initial, walk.target(), context_);
    std::set<std::string> tried = {slot.initial};
    size_t best = 0;
    bool fits = true;
    for (int64_t iteration = 0; iteration < config_.iterations && fits; ++iteration) {
      std::vector<size_t> batch;
      if (iteration == 0) batch.push_back(0);
      propose(place, iteration, best, tried, walk, batch);
      if (batch.empty()) continue;
      std::vector<std::string> texts;
      for (size_t i : batch) texts.push_back(candidates_[i].text);
      const std::vector<ScoreResult> results = score(scorer_, walk, texts);
      for (size_t i = 0; i < batch.size(); ++i) candidates_[batch[i]].score = results[i];
      fits = candidates_[0].score.n_tokens > 0;
      if (iteration == 0 && fits && guarded_) measure_margin(walk);
      if (fits) best = decide(batch, best);
    }
    if (!fits) {
      summary_["not_searched"]["context_too_long"] =
          summary_["not_searched"]["context_too_long"].get<int64_t>() + 1;
      return false;
    }
    choose(slot, best, walk);
    meter(walk);
    finish(place, slot, best, walk);
    return true;
  }

  void propose(const ThoughtPlace& place, int64_t iteration, size_t best, std::set<std::string>& tried,
               const ContextWalk& walk, std::vector<size_t>& batch) {
    std::vector<SlotRequest> requests;
    for (int64_t j = 0; j < config_.candidates; ++j) {
      SlotRequest request = slot_request(t_, snapshot_, structure_, place.slot, options_.seed);
      request.incumbent = candidates_[best].text;
      request.candidate = static_cast<int>(iteration * config_.candidates + j) + 1;
      request.oracle = config_.sees == "oracle";
      requests.push_back(std::move(request));
    }
    if (options_.tick) options_.tick();
    const std::vector<Draft> drafts = generator_.fill_all(requests);
    ensure(drafts.size() == requests.size(), "a generator answers every request");
    for (const Draft& draft : drafts) {
      Candidate c;
      c.n = static_cast<int>(candidates_.size());
      c.parent = candidates_[best].n;
      c.iteration = static_cast<int>(iteration) + 1;
      c.text = fit_for_slot(draft.text);
      c.author = draft.author;
      c.mode = config_.sees;
      c.gates = measure_overlap(c.text, walk.target(), context_);
      if (c.text.empty())
        c.verdict = "no_answer";
      else if (!tried.insert(c.text).second)
        c.verdict = "duplicate";
      else if (guarded_ && (c.gates.verbatim_lines > 0 || c.gates.ngram13 > config_.max_ngram13))
        c.verdict = "leak";
      else
        batch.push_back(candidates_.size());
      candidates_.push_back(std::move(c));
    }
  }

  // Guarded: the same text alone and in a batch; twice the difference, for each token.
  void measure_margin(const ContextWalk& walk) {
    if (margin_) return;
    const std::string& text = candidates_[0].text;
    const ScoreResult alone = score(scorer_, walk, {text})[0];
    const ScoreResult beside = score(scorer_, walk, {text, text + "\n" + text, text})[2];
    const double difference = std::abs(alone.nll - beside.nll) / static_cast<double>(alone.n_tokens);
    margin_ = std::max({kLeastMargin, 2 * difference, 2 * scorer_.noise_nats()});
  }

  // What `by` must gain over a text of `bytes` bytes, in nats: 0 in the paper's preset.
  double charge(const Candidate& by, size_t bytes) const {
    if (!guarded_) return 0;
    const size_t longer = by.text.size() - std::min(bytes, by.text.size());
    return config_.length_charge * static_cast<double>(longer);
  }
  double noise(const Candidate& c) const {
    return guarded_ ? margin_.value_or(kLeastMargin) * static_cast<double>(c.score.n_tokens) : 0;
  }

  // The best of the batch replaces the incumbent iff it is strictly better; ties keep the incumbent.
  size_t decide(const std::vector<size_t>& batch, size_t incumbent) {
    size_t best = incumbent;
    for (size_t i : batch) {
      Candidate& c = candidates_[i];
      if (i == 0) continue;
      const double gain = candidates_[incumbent].score.nll - c.score.nll;
      if (c.score.n_tokens == 0)
        c.verdict = "too_long";
      else if (!(gain > 0))
        c.verdict = "rejected";
      else if (guarded_ && gain <= noise(c))
        c.verdict = "margin";
      else if (guarded_ && gain <= noise(c) + charge(c, candidates_[incumbent].text.size()))
        c.verdict = "charge";
      else
        c.verdict = "superseded";
      if (c.verdict == "superseded" && c.score.nll < candidates_[best].score.nll) best = i;
    }
    if (best != incumbent) candidates_[best].verdict = "accepted";
    return best;
  }

  void choose(Slot& slot, size_t best, const ContextWalk& walk) {
    const Candidate& c = candidates_[best];
    slot.chosen = c.text;
    slot.mode = c.mode;
    slot.author = c.author;
    none_.reset();
    if (!guarded_) return;
    none_ = score(scorer_, walk, {""}, true)[0];
    if (none_->n_tokens > 0 && none_->nll - c.score.nll > noise(c) + charge(c, 0)) return;
    slot.chosen.clear();
    slot.drop = "no_gain_over_none";
  }

  // The leak meter: the byte model's gains over the first draft, for all that were scored.
  void meter(const ContextWalk& walk) {
    if (config_.leak_meter != "ppm") return;
    Ppm model(kLeakOrder);
    model.add(context_);
    const Ppm::Mark mark = model.mark();
    const std::string close = walk.close_text();
    double initial = 0;
    for (Candidate& c : candidates_) {
      if (c.score.n_tokens == 0) continue;
      model.add(c.text);
      model.add(close);
      const double nats = model.cost_and_add(walk.target());
      model.rollback(mark);
      if (c.n == 0) initial = nats;
      c.gates.metered = true;
      c.gates.ppm_gain_nats = initial - nats;
      c.gates.copy_discounted_nats = candidates_[0].score.nll - c.score.nll - c.gates.ppm_gain_nats;
    }
  }

  void finish(const ThoughtPlace& place, const Slot& slot, size_t best, const ContextWalk& walk) {
    const std::string context = walk.hash();
    for (const Candidate& c : candidates_) {
      lines_.push_back(candidate_line(place, slot, c, context));
      Json& verdicts = summary_["verdicts"];
      verdicts[c.verdict] = get_or<int64_t>(verdicts, c.verdict.c_str(), 0, "verdicts") + 1;
    }
    const Candidate& chosen = candidates_[best];
    const bool dropped = !slot.drop.empty();
    count("searched");
    count(dropped ? "dropped_thoughts" : best == 0 ? "kept_initial" : "accepted");
    const double nll = dropped && none_->n_tokens > 0 ? none_->nll : chosen.score.nll;
    add("scorer", "target_bytes", candidates_[0].score.n_bytes);
    add("scorer", "nll_initial", candidates_[0].score.nll);
    add("scorer", "nll_chosen", nll);
    add("scorer", "gain_nats", candidates_[0].score.nll - nll);
    add("thought_bytes", "initial", static_cast<int64_t>(slot.initial.size()));
    add("thought_bytes", "chosen", static_cast<int64_t>(slot.chosen.size()));
    if (dropped) return;
    add("leaks", "verbatim_lines", chosen.gates.verbatim_lines);
    add("leaks", "ngram13", chosen.gates.ngram13);
    if (!chosen.gates.metered) return;
    add("leaks", "metered", int64_t{1});
    add("leaks", "ppm_gain_nats", chosen.gates.ppm_gain_nats);
    add("leaks", "copy_discounted_nats", chosen.gates.copy_discounted_nats);
  }

  template <class Number>
  void add(const char* part, const char* key, Number by) {
    Json& value = summary_[part][key];
    value = value.get<Number>() + by;
  }

  std::string candidate_line(const ThoughtPlace& place, const Slot& slot, const Candidate& c,
                             const std::string& context) const {
    Json line = {{"trajectory", t_.id},   {"slot", place.slot},
                 {"step", place.step},    {"n", c.n},
                 {"parent_n", c.parent},  {"iteration", c.iteration},
                 {"text", c.text},        {"author", c.author},
                 {"mode", c.mode},        {"weights", scorer_.name()},
                 {"seed", options_.seed}, {"gates", to_json(c.gates)},
                 {"verdict", c.verdict}};
    if (c.n == 0 && !slot.drop.empty()) line["slot_dropped"] = slot.drop;
    if (c.score.n_tokens > 0) {
      line["score"] = {{"prefix", context},
                       {"target", {place.target.file, place.target.begin, place.target.end}},
                       {"n_tokens", c.score.n_tokens},
                       {"n_bytes", c.score.n_bytes},
                       {"nll", c.score.nll},
                       {"nll_clipped", c.score.nll_clipped},
                       {"epsilon", noise(c)},
                       {"arm", "candidate"}};
    }
    if (c.n == 0 && none_) {
      line["score_none"] = {{"nll", none_->nll}, {"n_tokens", none_->n_tokens}, {"arm", "none"}};
    }
    return to_text(line);
  }

  // First draft against chosen text in the final context; a thought that search left as it was gains nothing.
  void judge_all(const std::vector<ThoughtPlace>& places) {
    // The walk needs a text at every place; a dropped thought stands there as its draft while it is judged.
    ContextWalk walk(t_, options_.style);
    for (const ThoughtPlace& place : places) {
      Slot& slot = t_.slots[static_cast<size_t>(place.slot)];
      const std::string chosen = slot.chosen;
      const auto bytes = static_cast<int64_t>(place.target.end - place.target.begin);
      if (chosen == slot.initial) {
        add("judge", "target_bytes", bytes);
        continue;
      }
      slot.chosen = slot.initial;
      walk.go_to(place);
      slot.chosen = chosen;
      ScoreResult before, after;
      if (chosen.empty()) {
        before = score(*judge_, walk, {slot.initial})[0];
        after = score(*judge_, walk, {""}, true)[0];
      } else {
        const std::vector<ScoreResult> both = score(*judge_, walk, {slot.initial, chosen});
        before = both[0];
        after = both[1];
      }
      if (before.n_tokens == 0 || after.n_tokens == 0) continue;
      add("judge", "thoughts", int64_t{1});
      add("judge", "target_bytes", bytes);
      add("judge", "changed_target_bytes", bytes);
      add("judge", "gain_nats", before.nll - after.nll);
    }
  }

  Trajectory& t_;
  const Snapshot& snapshot_;
  const Structure& structure_;
  Generator& generator_;
  Scorer& scorer_;
  Scorer* judge_;
  const SearchOptions& options_;
  const SearchConfig& config_;
  bool guarded_;
  std::optional<double> margin_;
  std::optional<ScoreResult> none_;
  std::string context_;
  std::vector<Candidate> candidates_;
  std::vector<std::string> lines_;
  Json summary_;
};

}  // namespace

SearchResult search_thoughts(Trajectory& t, const Snapshot& snapshot, const Structure& structure,
                             Generator& generator, Scorer& scorer, Scorer* judge,
                             const SearchOptions& options) {
  return Search(t, snapshot, structure, generator, scorer, judge, options).run();
}

}  // namespace retrace::synth
