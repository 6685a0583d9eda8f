#include "synth/search/search.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "synth/generate/fill_slots.h"
#include "synth/record/prose.h"
#include "synth/search/context.h"
#include "synth/search/contrast.h"
#include "synth/search/controls.h"
#include "synth/search/gates.h"
#include "synth/search/ppm.h"
#include "synth/search/rules.h"

namespace retrace::synth {

namespace {

constexpr size_t kLeakContextBytes = size_t{32} << 10;  // of the newest context, for the leak gates
constexpr int kLeakOrder = 8;
constexpr double kLeastMargin = 1e-6;     // nats a token: below any engine's rounding
constexpr size_t kListedRejections = 40;  // of a repository

// At most max_slots of them, evenly spread; 0: all.
std::vector<ThoughtPlace> spread(const std::vector<ThoughtPlace>& all, int64_t max_slots) {
  const auto most = static_cast<size_t>(max_slots);
  if (most == 0 || all.size() <= most) return all;
  std::vector<ThoughtPlace> out;
  for (size_t i = 0; i < most; ++i) out.push_back(all[i * all.size() / most]);
  return out;
}

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
        own_(config_, config_.preset == "guarded"),
        other_(config_, !own_.guarded()),
        summary_(empty_search_summary()) {}

  SearchResult run() {
    const std::vector<ThoughtPlace> all = thought_places(t_, static_cast<uint64_t>(config_.target_bytes));
    const std::vector<ThoughtPlace> places = spread(all, config_.max_slots);
    count("thoughts", static_cast<int64_t>(all.size()));
    summary_["not_searched"]["max_slots"] = all.size() - places.size();
    ContextWalk walk(t_, options_.style);
    std::vector<ThoughtPlace> searched;
    for (const ThoughtPlace& place : places) {
      walk.go_to(place);
      if (search_one(place, walk)) searched.push_back(place);
    }
    measure_controls(t_, searched, scorer_, judge_,
                     {options_.style, options_.seed, config_.controls, options_.tick}, summary_, lines_);
    add_work();
    t_.rev = make_rev(t_);
    return {std::move(lines_), std::move(summary_)};
  }

 private:
  void count(const char* key, int64_t by = 1) { summary_[key] = summary_[key].get<int64_t>() + by; }

  std::vector<ScoreResult> score(const ContextWalk& walk, std::vector<std::string> texts, bool none = false) {
    if (options_.tick) options_.tick();
    ScoreRequest request = walk.request();
    request.thoughts = std::move(texts);
    request.none = none;
    std::vector<ScoreResult> out = scorer_.score_segments(request);
    ensure(out.size() == request.thoughts.size() + (none ? 1 : 0), "a scorer answers every thought");
    for (const ScoreResult& r : out)
      if (r.n_tokens > 0 && !std::isfinite(r.nll))
        throw Error(Code::numeric, "the scorer gave a likelihood that is not finite",
                    "check the weights that it scores with", scorer_.name());
    return out;
  }

  // False if the thought's context is too long for the scorer.
  bool search_one(const ThoughtPlace& place, const ContextWalk& walk) {
    Slot& slot = t_.slots[static_cast<size_t>(place.slot)];
    context_ = walk.visible_text(kLeakContextBytes);
    candidates_.clear();
    candidates_.emplace_back();
    Candidate& draft = candidates_.front();
    draft.text = slot.initial;
    draft.mode = slot.mode;
    draft.author = slot.author;
    draft.gates = measure_overlap(slot.initial, walk.target(), context_);
    draft.own.verdict = draft.other.verdict = "initial";
    none_.reset();
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
      const bool none = iteration == 0 && needs_none();
      const std::vector<ScoreResult> results = score(walk, texts, none);
      for (size_t i = 0; i < batch.size(); ++i) candidates_[batch[i]].score = results[i];
      if (none) none_ = results.back();
      fits = candidates_[0].score.n_tokens > 0;
      if (iteration == 0 && fits && needs_none()) measure_margin(walk);
      if (fits) best = own_.decide(candidates_, batch, best, &Candidate::own);
    }
    if (!fits) {
      summary_["not_searched"]["context_too_long"] =
          summary_["not_searched"]["context_too_long"].get<int64_t>() + 1;
      return false;
    }
    choose(slot, best);
    meter(walk);
    if (config_.controls) compare_presets(place, best);
    finish(place, slot, best, walk);
    return true;
  }

  // Guarded asks whether no thought would do; so does whoever compares the presets.
  bool needs_none() const { return own_.guarded() || config_.controls; }

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
      std::string& verdict = c.own.verdict;
      if (c.text.empty())
        verdict = "no_answer";
      else if (!tried.insert(c.text).second)
        verdict = "duplicate";
      else if (own_.leaks(c.gates))
        verdict = "leak";
      // A leak is scored only for the preset that does not mind it.
      if (verdict.empty() || (verdict == "leak" && config_.controls)) batch.push_back(candidates_.size());
      candidates_.push_back(std::move(c));
    }
  }

  // The same text alone and in a batch; twice the difference, for each token.
  void measure_margin(const ContextWalk& walk) {
    if (margin_measured_) return;
    margin_measured_ = true;
    const std::string& text = candidates_[0].text;
    const ScoreResult alone = score(walk, {text})[0];
    const ScoreResult beside = score(walk, {text, text + "\n" + text, text})[2];
    const double difference = std::abs(alone.nll - beside.nll) / static_cast<double>(alone.n_tokens);
    const double margin = std::max({kLeastMargin, 2 * difference, 2 * scorer_.noise_nats()});
    own_.set_margin(margin);
    other_.set_margin(margin);
  }

  void choose(Slot& slot, size_t best) {
    const Candidate& c = candidates_[best];
    slot.chosen = c.text;
    slot.mode = c.mode;
    slot.author = c.author;
    if (!own_.guarded() || own_.keeps(c, *none_)) return;
    slot.chosen.clear();
    slot.drop = "no_gain_over_none";
  }

  // What the other preset makes of the same candidates, and both side by side.
  void compare_presets(const ThoughtPlace& place, size_t best) {
    size_t other_best = 0;
    for (int64_t iteration = 1; iteration <= config_.iterations; ++iteration) {
      std::vector<size_t> batch;
      for (size_t i = 1; i < candidates_.size(); ++i) {
        Candidate& c = candidates_[i];
        if (c.iteration != iteration) continue;
        if (c.own.verdict == "no_answer" || c.own.verdict == "duplicate")
          c.other = c.own;
        else if (other_.leaks(c.gates))
          c.other.verdict = "leak";
        else
          batch.push_back(i);
      }
      other_best = other_.decide(candidates_, batch, other_best, &Candidate::other);
    }
    add_preset(own_, best, &Candidate::own);
    add_preset(other_, other_best, &Candidate::other);
    if (own_.guarded())
      list_rejections(place, own_, best, &Candidate::own);
    else
      list_rejections(place, other_, other_best, &Candidate::other);
  }

  void add_preset(const Rule& rule, size_t best, Decision Candidate::*decision) {
    Json& preset = summary_["presets"][rule.name()];
    if (!preset.is_object()) preset = Json::object();
    const bool kept = rule.keeps(candidates_[best], *none_);
    const char* outcome = !kept ? "dropped_thoughts" : best == 0 ? "kept_initial" : "accepted";
    for (const char* key : {"accepted", "kept_initial", "dropped_thoughts"})
      preset[key] = get_or<int64_t>(preset, key, 0, "presets") + (key == std::string(outcome) ? 1 : 0);
    for (const Candidate& c : candidates_) {
      const std::string& verdict = (c.*decision).verdict;
      preset["verdicts"][verdict] =
          (preset["verdicts"].contains(verdict) ? preset["verdicts"][verdict].get<int64_t>() : 0) + 1;
    }
    if (none_->n_tokens == 0) return;
    const ScoreResult& held = kept ? candidates_[best].score : *none_;
    add_contrast(preset["over_initial"], candidates_[0].score, held);
    add_contrast(preset["over_none"], *none_, held);
  }

  void list_rejections(const ThoughtPlace& place, const Rule& rule, size_t best,
                       Decision Candidate::*decision) {
    Json& list = summary_["guarded_rejections"];
    if (!list.is_array()) list = Json::array();
    const auto add = [&](const Candidate& c, const std::string& reason, double gain, double needed) {
      if (list.size() >= kListedRejections) return;
      list.push_back({{"repository", t_.origin},
                      {"file", t_.tree[static_cast<size_t>(place.target.file)].path},
                      {"candidate", c.n},
                      {"reason", reason},
                      {"gain_nats", gain},
                      {"needed_nats", needed},
                      {"verbatim_lines", c.gates.verbatim_lines},
                      {"ngram13", c.gates.ngram13}});
    };
    for (const Candidate& c : candidates_) {
      const Decision& d = c.*decision;
      if (d.verdict == "leak" || d.verdict == "margin" || d.verdict == "charge")
        add(c, d.verdict, d.gain, d.needed);
    }
    const Candidate& held = candidates_[best];
    if (!rule.keeps(held, *none_))
      add(held, "no_gain_over_none", none_->nll - held.score.nll, rule.noise(held.score));
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
      verdicts[c.own.verdict] = get_or<int64_t>(verdicts, c.own.verdict.c_str(), 0, "verdicts") + 1;
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
    Json line = {{"trajectory", t_.id},     {"slot", place.slot},
                 {"step", place.step},      {"n", c.n},
                 {"parent_n", c.parent},    {"iteration", c.iteration},
                 {"text", c.text},          {"author", c.author},
                 {"mode", c.mode},          {"weights", scorer_.name()},
                 {"seed", options_.seed},   {"gates", to_json(c.gates)},
                 {"verdict", c.own.verdict}};
    if (config_.controls) line[std::string("verdict_") + other_.name()] = c.other.verdict;
    if (c.n == 0 && !slot.drop.empty()) line["slot_dropped"] = slot.drop;
    if (c.score.n_tokens > 0) {
      line["score"] = {{"prefix", context},
                       {"target", {place.target.file, place.target.begin, place.target.end}},
                       {"n_tokens", c.score.n_tokens},
                       {"n_bytes", c.score.n_bytes},
                       {"nll", c.score.nll},
                       {"nll_clipped", c.score.nll_clipped},
                       {"epsilon", own_.noise(c.score)},
                       {"arm", "candidate"}};
    }
    if (c.n == 0 && none_) {
      line["score_none"] = {{"nll", none_->nll}, {"n_tokens", none_->n_tokens}, {"arm", "none"}};
    }
    return to_text(line);
  }

  void add_work() {
    const ScoreWork work = scorer_.take_work();
    add("work", "candidates", work.candidates);
    add("work", "own_tokens", work.own);
    add("work", "between_tokens", work.between);
    add("work", "prefix_tokens", work.prefixes);
    add("work", "computed_tokens", work.computed);
  }

  Trajectory& t_;
  const Snapshot& snapshot_;
  const Structure& structure_;
  Generator& generator_;
  Scorer& scorer_;
  Scorer* judge_;
  const SearchOptions& options_;
  const SearchConfig& config_;
  Rule own_, other_;
  bool margin_measured_ = false;
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

int64_t candidates_of(const Trajectory& t, const SearchConfig& config) {
  const std::vector<ThoughtPlace> places =
      spread(thought_places(t, static_cast<uint64_t>(config.target_bytes), true), config.max_slots);
  return std::ssize(places) * config.iterations * config.candidates;
}

}  // namespace retrace::synth
