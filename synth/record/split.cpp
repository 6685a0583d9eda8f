// What exceeds seq_len is cut at sub-agents (raw_repos: at files) into the fewest parts, made as even as that
// number allows; a sub-agent or file that is too long alone is first cut between its Writes. The policy for
// headers stands in synth/record/trajectory.h.
#include <algorithm>
#include <optional>
#include <set>

#include "core/error.h"
#include "synth/record/plan_table.h"
#include "synth/record/render.h"

namespace retrace::synth {

namespace {

constexpr int64_t kReserved = 2;  // BOS and EOS

struct Unit {
  Segments segments;
  int64_t tokens = 0;
  int file = -1;
  int64_t first = 0, last = 0;  // its steps; of raw_repos none
};

struct Range {
  size_t first, last;
};

class Splitter {
 public:
  Splitter(const Trajectory& t, const RenderOptions& options, const data::Tokenizer& tokenizer,
           int64_t seq_len)
      : t_(t),
        renderer_(t, options),
        tokenizer_(tokenizer),
        raw_(options.variant == Variant::raw_repos),
        budget_(seq_len - kReserved) {
    make_units();
    if (!raw_) make_headers(seq_len);
  }

  std::vector<data::Document> run(int64_t* dropped) {
    int64_t total = lead_tokens_;
    for (const Unit& unit : units_) total += unit.tokens;
    if (total <= budget_) return {whole()};
    std::vector<data::Document> out;
    if (lead_alone_) {
      if (lead_tokens_ <= budget_)
        out.push_back({"", "trajectories", lead_});
      else
        ++*dropped;
    }
    std::vector<Unit> whole_units;
    std::swap(whole_units, units_);
    for (Unit& unit : whole_units) {
      if (room(unit.file) >= unit.tokens)
        units_.push_back(std::move(unit));
      else
        cut(unit, dropped);
    }
    const std::vector<Range> parts = balanced();
    for (size_t i = 0; i < parts.size(); ++i)
      out.push_back({"", "trajectories", part_segments(parts[i], i == 0)});
    for (size_t i = 0; i < out.size(); ++i) out[i].id = fmt::format("{}/{}of{}", t_.id, i + 1, out.size());
    return out;
  }

 private:
  int64_t count(const Segments& segments) const {
    int64_t tokens = 0;
    for (const data::Segment& s : segments)
      tokens += s.control_token.empty() ? static_cast<int64_t>(tokenizer_.encode(s.bytes).size()) : 1;
    return tokens;
  }

  void add_unit(Segments segments, int file, int64_t first = 0, int64_t last = 0) {
    const int64_t tokens = count(segments);
    units_.push_back({std::move(segments), tokens, file, first, last});
  }

  // What a part of this one file has left beside its header.
  int64_t room(int file) const {
    std::set<size_t> rows;
    return budget_ - header_base_ - add_rows(rows, file);
  }

  // Adds the pieces of a unit that is too long alone: as many Writes in each as fit.
  void cut(const Unit& unit, int64_t* dropped) {
    std::vector<Segments> atoms;  // the first holds all that comes before the first Write, and that Write
    Segments again;               // stands in front of each later piece
    if (raw_) {
      for (const Step& step : t_.steps)
        if (step.kind == Kind::write && step.body.file == unit.file)
          atoms.push_back(renderer_.raw_span(step.body));
    } else {
      again = renderer_.as_context(unit.first, unit.first + 1);
      int64_t from = unit.first;
      for (int64_t seq = unit.first; seq < unit.last; ++seq) {
        if (t_.steps[static_cast<size_t>(seq)].kind != Kind::write) continue;
        atoms.push_back(renderer_.steps(from, seq + 1));
        from = seq + 1;
      }
      if (from < unit.last) atoms.push_back(renderer_.steps(from, unit.last));
    }
    const int64_t most = room(unit.file), again_tokens = count(again);
    Unit piece{{}, 0, unit.file, 0, 0};
    const auto flush = [&] {
      if (!piece.segments.empty()) units_.push_back(std::move(piece));
      piece = {{}, 0, unit.file, 0, 0};
    };
    for (size_t i = 0; i < atoms.size(); ++i) {
      const int64_t tokens = count(atoms[i]);
      if (piece.tokens + tokens > most) flush();
      const bool repeat = i > 0 && piece.segments.empty();
      if (tokens + (repeat ? again_tokens : 0) > most) {
        ++*dropped;
        continue;
      }
      if (repeat) {
        piece.segments = again;
        piece.tokens = again_tokens;
      }
      append(piece.segments, std::move(atoms[i]));
      piece.tokens += tokens;
    }
    flush();
  }

  void make_units() {
    if (raw_) {
      for (int file : t_.order) add_unit(renderer_.raw_file(file), file);
      return;
    }
    const auto end = static_cast<int64_t>(t_.steps.size());
    int64_t first = renderer_.first_delegation();
    lead_ = renderer_.steps(0, first);
    lead_tokens_ = count(lead_);
    while (first < end) {
      int64_t last = first + 1;
      while (last < end && t_.steps[static_cast<size_t>(last)].agent != 0) ++last;
      const bool call = last - first > 1;
      const int file =
          call ? t_.agents[static_cast<size_t>(t_.steps[static_cast<size_t>(first) + 1].agent)].file : -1;
      add_unit(renderer_.steps(first, last), file, first, last);
      first = last;
    }
  }

  void make_headers(int64_t seq_len) {
    lead_alone_ = lead_tokens_ > seq_len / 4;
    for (int64_t seq = 0; seq < renderer_.first_delegation(); ++seq) {
      const Kind kind = t_.steps[static_cast<size_t>(seq)].kind;
      if (kind == Kind::requirements || (kind == Kind::plan && !lead_alone_))
        append(header_, renderer_.as_context(seq, seq + 1));
    }
    header_base_ = count(header_);
    if (!lead_alone_) return;
    header_base_ += count(renderer_.context_text(Kind::plan, plan_head()));
    for (size_t place = 0; place < t_.order.size(); ++place)
      row_tokens_.push_back(static_cast<int64_t>(tokenizer_.encode(plan_row(t_, place)).size()));
    const std::vector<size_t> place = places_in_order(t_);
    rows_of_.resize(t_.tree.size());
    for (size_t file = 0; file < rows_of_.size(); ++file) rows_of_[file].push_back(place[file]);
    for (const Dependency& d : t_.dependencies)
      if (!d.broken) rows_of_[static_cast<size_t>(d.from)].push_back(place[static_cast<size_t>(d.to)]);
  }

  // Adds the plan's rows that a part repeats for `file`; returns the tokens of those that are new to `rows`.
  int64_t add_rows(std::set<size_t>& rows, int file) const {
    int64_t tokens = 0;
    if (raw_ || !lead_alone_ || file < 0) return tokens;
    for (size_t place : rows_of_[static_cast<size_t>(file)])
      if (rows.insert(place).second) tokens += row_tokens_[place];
    return tokens;
  }

  // Parts of at most `cap` tokens, filled in order; none if a unit alone is larger.
  std::optional<std::vector<Range>> fill(int64_t cap) const {
    std::vector<Range> parts;
    size_t next = 0;
    bool with_lead = !raw_ && !lead_alone_;
    while (next < units_.size() || with_lead) {
      Range part{next, next};
      std::set<size_t> rows;
      int64_t sum = with_lead ? lead_tokens_ : header_base_;
      while (part.last < units_.size()) {
        sum += add_rows(rows, units_[part.last].file) + units_[part.last].tokens;
        if (sum > cap) break;
        ++part.last;
      }
      if (part.first == part.last && !(with_lead && lead_tokens_ <= cap)) return std::nullopt;
      parts.push_back(part);
      next = part.last;
      with_lead = false;
    }
    return parts;
  }

  std::vector<Range> balanced() const {
    auto best = fill(budget_);
    ensure(best.has_value(), "units that fit alone can be laid into parts");
    int64_t low = 1, high = budget_;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      auto trial = fill(middle);
      if (trial && trial->size() <= best->size()) {
        best = std::move(trial);
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return *best;
  }

  Segments part_segments(const Range& part, bool first) const {
    Segments out = first && !raw_ && !lead_alone_ ? lead_ : header_;
    if (lead_alone_) {
      std::set<size_t> rows;
      for (size_t i = part.first; i < part.last; ++i) add_rows(rows, units_[i].file);
      append(out, reduced_plan(rows));
    }
    for (size_t i = part.first; i < part.last; ++i) append(out, units_[i].segments);
    return out;
  }

  // The table's head and rows as segments of their own, so that token counts add up exactly.
  Segments reduced_plan(const std::set<size_t>& rows) const {
    Segments out;
    for (data::Segment& s : renderer_.context_text(Kind::plan, plan_head())) {
      const bool head = s.bytes == plan_head();
      out.push_back(std::move(s));
      if (head)
        for (size_t place : rows) out.push_back({plan_row(t_, place), "", -1, Kind::context});
    }
    return out;
  }

  data::Document whole() const {
    data::Document out{t_.id, "trajectories", lead_};
    for (const Unit& unit : units_) append(out.segments, unit.segments);
    return out;
  }

  const Trajectory& t_;
  Renderer renderer_;
  const data::Tokenizer& tokenizer_;
  bool raw_, lead_alone_ = false;
  int64_t budget_, lead_tokens_ = 0, header_base_ = 0;
  Segments lead_, header_;
  std::vector<Unit> units_;
  std::vector<int64_t> row_tokens_;
  std::vector<std::vector<size_t>> rows_of_;  // file -> places in the plan: its own, its dependencies'
};

}  // namespace

std::vector<data::Document> render_parts(const Trajectory& t, const RenderOptions& options,
                                         const data::Tokenizer& tokenizer, int64_t seq_len,
                                         int64_t* dropped) {
  return Splitter(t, options, tokenizer, seq_len).run(dropped);
}

}  // namespace retrace::synth
