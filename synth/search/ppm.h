// PPM, method D with exclusion and update exclusion (Cleary and Witten 1984; Howard 1993), over bytes: a
// proper probability for each of the 256 bytes at every place. What was added after a mark can be taken back.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace retrace::synth {

class Ppm {
 public:
  explicit Ppm(int order);
  double cost(uint8_t symbol) const;  // -ln p(symbol | what was added), finite and > 0
  void add(uint8_t symbol);
  void add(std::string_view bytes);
  double cost_and_add(std::string_view bytes, double clip_nats = 0, double* clipped = nullptr);

  struct Mark {
    size_t journal;
    uint32_t context;
    int depth;
  };
  Mark mark();               // from now on changes are journalled
  void rollback(Mark mark);  // marks are taken back in reverse order

 private:
  struct Node {
    uint32_t child = 0, sibling = 0, shorter = 0;  // 0 = none; shorter: the same text without its first byte
    uint32_t count = 0;
    uint8_t symbol = 0;
  };
  struct Change {
    uint32_t node;  // counted up; or, if `created`, the parent of the last node
    bool created;
  };
  uint32_t find(uint32_t parent, uint8_t symbol) const;

  int order_;
  std::vector<Node> nodes_;  // nodes_[0] is the empty context
  std::vector<Change> journal_;
  bool journalling_ = false;
  uint32_t context_ = 0;
  int depth_ = 0;
};

}  // namespace retrace::synth
