#include "synth/input/redact/keywords.h"

#include "core/error.h"

namespace retrace::synth {

namespace {
unsigned char fold(char c) {
  return static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}
}  // namespace

void KeywordScanner::add(std::string_view word, int group) {
  ensure(!word.empty() && group >= 0 && group < 64, "a keyword has letters and a group below 64");
  int32_t at = 0;
  for (char c : word) {
    const unsigned char byte = fold(c);
    if (nodes_[static_cast<size_t>(at)].next[byte] < 0) {
      nodes_[static_cast<size_t>(at)].next[byte] = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back();
    }
    at = nodes_[static_cast<size_t>(at)].next[byte];
  }
  nodes_[static_cast<size_t>(at)].groups |= uint64_t{1} << group;
}

void KeywordScanner::build() {
  std::vector<int32_t> fail_of(nodes_.size(), 0), queue;
  for (auto& next : nodes_[0].next) {
    if (next < 0) next = 0;
    if (next > 0) queue.push_back(next);
  }
  for (size_t i = 0; i < queue.size(); ++i) {
    const auto at = static_cast<size_t>(queue[i]);
    const auto fallback = static_cast<size_t>(fail_of[at]);
    nodes_[at].groups |= nodes_[fallback].groups;
    for (size_t byte = 0; byte < 256; ++byte) {
      int32_t& next = nodes_[at].next[byte];
      if (next < 0) {
        next = nodes_[fallback].next[byte];
      } else {
        fail_of[static_cast<size_t>(next)] = nodes_[fallback].next[byte];
        queue.push_back(next);
      }
    }
  }
}

uint64_t KeywordScanner::scan(std::string_view text) const {
  uint64_t found = 0;
  size_t at = 0;
  for (char c : text) {
    at = static_cast<size_t>(nodes_[at].next[fold(c)]);
    found |= nodes_[at].groups;
  }
  return found;
}

}  // namespace retrace::synth
