#include "synth/search/context.h"

#include <algorithm>

#include "core/error.h"
#include "core/hash.h"

namespace retrace::synth {

namespace {

uint64_t window_end(const std::string& content, uint64_t begin, uint64_t end, uint64_t most) {
  if (end - begin <= most) return end;
  const uint64_t cut = begin + most;
  const size_t newline = content.rfind('\n', cut - 1);
  if (newline != std::string::npos && newline + 1 > begin + most / 2) return newline + 1;
  uint64_t at = cut;
  while (at > begin && (static_cast<unsigned char>(content[at]) & 0xC0U) == 0x80) --at;
  return at > begin ? at : cut;
}

}  // namespace

std::vector<ThoughtPlace> thought_places(const Trajectory& t, uint64_t target_bytes, bool also_unwritten) {
  std::vector<ThoughtPlace> out;
  for (size_t i = 0; i < t.slots.size(); ++i) {
    const Slot& slot = t.slots[i];
    if (t.steps[static_cast<size_t>(slot.step)].kind != Kind::think) continue;
    if (slot.initial.empty() && !also_unwritten) continue;
    auto at = static_cast<size_t>(slot.step) + 1;
    const int agent = t.steps[static_cast<size_t>(slot.step)].agent;
    while (at < t.steps.size() && t.steps[at].agent == agent && t.steps[at].kind != Kind::write) ++at;
    if (at >= t.steps.size() || t.steps[at].agent != agent) continue;
    Body target = t.steps[at].body;
    if (target.begin == target.end) continue;
    target.end = window_end(t.content(target.file), target.begin, target.end, target_bytes);
    out.push_back({static_cast<int>(i), slot.step, t.steps[at].seq, target});
  }
  return out;
}

ContextWalk::ContextWalk(const Trajectory& t, const std::string& style)
    : t_(t), renderer_(t, {Variant::repo2agent_search, style}) {}

void ContextWalk::go_to(const ThoughtPlace& place) {
  ensure(place.step >= next_, "places are gone through in order");
  done_.resize(done_.size() - opening_);
  const int64_t first = renderer_.first_delegation();
  for (; next_ < place.step; ++next_) {
    append(done_, renderer_.steps(next_, next_ + 1));
    if (next_ < first) lead_ = done_.size();
  }
  RenderedStep thought = renderer_.step(place.step);
  ensure(!thought.body.empty(), "a searched thought has a text");
  opening_ = thought.before.size();
  closing_ = thought.after.size();
  append(done_, std::move(thought.before));
  close_ = std::move(thought.after);
  append(close_, renderer_.steps(place.step + 1, place.write));
  append(close_, renderer_.step(place.write).before);
  target_ = t_.content(place.target.file).substr(place.target.begin, place.target.end - place.target.begin);
}

ScoreRequest ContextWalk::request() const {
  ScoreRequest out;
  const std::span<const data::Segment> done = done_;
  out.prefix = done.first(done.size() - opening_);
  out.open = done.last(opening_);
  out.close = close_;
  out.closing = closing_;
  out.lead = lead_;
  out.target = target_;
  return out;
}

std::string ContextWalk::hash(bool without_thought) const {
  const std::span<const data::Segment> done = done_, close = close_;
  const auto before = without_thought ? done.first(done.size() - opening_) : done;
  const auto after = without_thought ? close.subspan(closing_) : close;
  Sha256 sha;
  for (const auto& part : {before, after}) {
    for (const data::Segment& s : part) {
      sha.add(s.control_token.empty() ? "b" : "c");
      sha.add(std::to_string(s.bytes.size() + s.control_token.size()) + ":");
      sha.add(s.control_token.empty() ? s.bytes : s.control_token);
    }
    sha.add("/");
  }
  sha.add(target_);
  return sha.hex();
}

std::string ContextWalk::visible_text(size_t newest_bytes) const {
  size_t first = done_.size(), bytes = 0;
  while (first > lead_ && bytes < newest_bytes) {
    --first;
    bytes += done_[first].bytes.size() + done_[first].control_token.size();
  }
  const auto at = [&](size_t i) { return done_.begin() + static_cast<std::ptrdiff_t>(i); };
  std::string newest = text_of(Segments(at(first), done_.end()));
  if (newest.size() > newest_bytes) newest.erase(0, newest.size() - newest_bytes);
  return text_of(Segments(done_.begin(), at(lead_))) + newest;
}

std::string ContextWalk::close_text() const {
  return text_of(close_);
}

}  // namespace retrace::synth
