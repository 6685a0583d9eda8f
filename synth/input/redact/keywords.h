// Many fixed words found in one pass over a text (Aho-Corasick 1975), ASCII case ignored.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace retrace::synth {

// Up to 64 groups of words; scan() says which groups occur. Thread-safe once built.
class KeywordScanner {
 public:
  void add(std::string_view word, int group);  // group in [0, 64)
  void build();
  uint64_t scan(std::string_view text) const;  // bit g is set if a word of group g occurs

 private:
  struct Node {
    std::array<int32_t, 256> next;
    uint64_t groups = 0;
    Node() { next.fill(-1); }
  };
  std::vector<Node> nodes_ = std::vector<Node>(1);
};

}  // namespace retrace::synth
