#include "synth/search/ppm.h"

#include <algorithm>
#include <bitset>
#include <cmath>

#include "core/error.h"
#include "synth/search/scorer.h"

namespace retrace::synth {

namespace {

constexpr int kMaxOrder = 64;
constexpr double kClipNats = 2;

}  // namespace

Ppm::Ppm(int order) : order_(order) {
  if (order < 0 || order > kMaxOrder) fail(Code::usage, "PPM of order {}; at most {}", order, kMaxOrder);
  nodes_.emplace_back();
}

uint32_t Ppm::find(uint32_t parent, uint8_t symbol) const {
  uint32_t at = nodes_[parent].child;
  while (at != 0 && nodes_[at].symbol != symbol) at = nodes_[at].sibling;
  return at;
}

// Escape is d / 2n and a symbol (2c - 1) / 2n, over the symbols that no longer context has shown; where those
// are all that is left of the alphabet there is nothing to escape to.
double Ppm::cost(uint8_t symbol) const {
  std::bitset<256> excluded;
  double nats = 0;
  uint32_t context = context_;
  for (int depth = depth_; depth >= 0; --depth, context = nodes_[context].shorter) {
    uint64_t total = 0, distinct = 0, own = 0;
    for (uint32_t at = nodes_[context].child; at != 0; at = nodes_[at].sibling) {
      if (excluded[nodes_[at].symbol]) continue;
      total += nodes_[at].count;
      ++distinct;
      if (nodes_[at].symbol == symbol) own = nodes_[at].count;
    }
    if (distinct == 0) continue;
    const bool complete = excluded.count() + distinct == 256;
    const double whole = static_cast<double>(complete ? 2 * total - distinct : 2 * total);
    if (own > 0) return nats - std::log(static_cast<double>(2 * own - 1) / whole);
    nats -= std::log(static_cast<double>(distinct) / whole);
    for (uint32_t at = nodes_[context].child; at != 0; at = nodes_[at].sibling)
      excluded.set(nodes_[at].symbol);
  }
  return nats + std::log(static_cast<double>(256 - excluded.count()));
}

// Counts rise in the longest context that knew the symbol; longer ones learn it.
void Ppm::add(uint8_t symbol) {
  uint32_t context = context_, above = 0, longest = 0;
  for (int depth = depth_; depth >= 0; --depth, context = nodes_[context].shorter) {
    uint32_t node = find(context, symbol);
    const bool known = node != 0;
    if (known) {
      ++nodes_[node].count;
      if (journalling_) journal_.push_back({node, false});
    } else {
      node = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back({0, nodes_[context].child, 0, 1, symbol});
      nodes_[context].child = node;
      if (journalling_) journal_.push_back({context, true});
    }
    if (above != 0 && nodes_[above].shorter == 0) nodes_[above].shorter = node;
    if (longest == 0) longest = node;
    above = node;
    if (known) break;
  }
  context_ = longest;
  if (depth_ == order_)
    context_ = nodes_[longest].shorter;
  else
    ++depth_;
}

void Ppm::add(std::string_view bytes) {
  for (char c : bytes) add(static_cast<uint8_t>(c));
}

double Ppm::cost_and_add(std::string_view bytes, double clip_nats, double* clipped) {
  double nats = 0;
  for (char c : bytes) {
    const double one = cost(static_cast<uint8_t>(c));
    nats += one;
    if (clipped != nullptr) *clipped += std::min(one, clip_nats);
    add(static_cast<uint8_t>(c));
  }
  return nats;
}

Ppm::Mark Ppm::mark() {
  journalling_ = true;
  return {journal_.size(), context_, depth_};
}

void Ppm::rollback(Mark mark) {
  while (journal_.size() > mark.journal) {
    const Change change = journal_.back();
    journal_.pop_back();
    if (change.created) {
      nodes_[change.node].child = nodes_.back().sibling;
      nodes_.pop_back();
    } else {
      --nodes_[change.node].count;
    }
  }
  context_ = mark.context;
  depth_ = mark.depth;
}

std::vector<ScoreResult> Scorer::score_segments(const ScoreRequest& request) {
  const auto text_of = [](std::span<const data::Segment> segments) {
    std::string out;
    for (const data::Segment& s : segments) out += s.control_token.empty() ? s.bytes : s.control_token;
    return out;
  };
  const std::string before = text_of(request.prefix);
  std::vector<ScoreResult> out;
  if (!request.thoughts.empty())
    out = score(before + text_of(request.open), request.thoughts, text_of(request.close), request.target);
  if (request.none) {
    const std::string between = text_of(request.close.subspan(request.closing));
    out.push_back(score(before, {""}, between, request.target).at(0));
  }
  return out;
}

std::string Scorer::first_tokens(const std::string& text, int64_t most) {
  auto size = std::min(text.size(), static_cast<size_t>(std::max<int64_t>(most, 0)));
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80) --size;
  return text.substr(0, size);
}

namespace {

class PpmScorer : public Scorer {
 public:
  explicit PpmScorer(int order) : order_(order) { Ppm check(order); }
  std::string name() const override { return "ppm/1"; }
  std::vector<ScoreResult> score(const std::string& prefix, const std::vector<std::string>& thoughts,
                                 const std::string& close, const std::string& target) override {
    Ppm model(order_);
    model.add(prefix);
    const Ppm::Mark mark = model.mark();
    std::vector<ScoreResult> out;
    for (const std::string& thought : thoughts) {
      model.add(thought);
      model.add(close);
      ScoreResult result;
      result.nll = model.cost_and_add(target, kClipNats, &result.nll_clipped);
      result.n_tokens = result.n_bytes = static_cast<int64_t>(target.size());
      out.push_back(result);
      model.rollback(mark);
    }
    return out;
  }

 private:
  int order_;
};

}  // namespace

std::unique_ptr<Scorer> make_ppm_scorer(int order) {
  return std::make_unique<PpmScorer>(order);
}

}  // namespace retrace::synth
