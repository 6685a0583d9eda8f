// The two hash tables of data/tokenizer/bpe.cpp: token bytes to id, and a pair of ids to its merge.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "core/hash.h"
#include "data/tokenizer/bpe.h"

namespace retrace::data {

inline constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();

inline uint64_t spread(uint64_t key) {
  key *= 0x9E3779B97F4A7C15u;
  return key ^ (key >> 29);
}

// Open addressing over tokens that the owner keeps; holds ids only.
class Bpe::TokenTable {
 public:
  TokenTable(const std::vector<std::string>& tokens, const std::vector<bool>& blocked)
      : slots_(std::bit_ceil(tokens.size() * 2 + 2), -1) {
    for (size_t id = 0; id < tokens.size(); ++id) {
      if (tokens[id].empty() || (id < blocked.size() && blocked[id])) continue;
      size_t at = home(tokens[id]);
      while (slots_[at] >= 0 && tokens[static_cast<size_t>(slots_[at])] != tokens[id]) at = next(at);
      if (slots_[at] < 0) slots_[at] = static_cast<TokenId>(id);  // of equal tokens the first id counts
    }
  }
  TokenId find(const std::vector<std::string>& tokens, std::string_view bytes) const {
    for (size_t at = home(bytes); slots_[at] >= 0; at = next(at))
      if (tokens[static_cast<size_t>(slots_[at])] == bytes) return slots_[at];
    return -1;
  }

 private:
  size_t home(std::string_view bytes) const { return xxh3_64(bytes) & (slots_.size() - 1); }
  size_t next(size_t at) const { return (at + 1) & (slots_.size() - 1); }
  std::vector<TokenId> slots_;
};

class Bpe::PairTable {
 public:
  explicit PairTable(size_t expected) { resize(std::bit_ceil(expected * 3 / 2 + 16)); }

  // Keeps the lower rank of a pair given twice.
  void add(TokenId left, TokenId right, uint32_t rank, TokenId result) {
    if ((count_ + 1) * 4 > slots_.size() * 3) grow();
    Slot& slot = slots_[locate(key_of(left, right))];
    if (slot.key == kEmpty) {
      slot = {key_of(left, right), rank, result};
      ++count_;
    } else if (rank < slot.rank) {
      slot.rank = rank;
      slot.result = result;
    }
  }
  Step find(TokenId left, TokenId right) const {
    const Slot& slot = slots_[locate(key_of(left, right))];
    return slot.key == kEmpty ? Step{kNoRank, -1} : Step{slot.rank, slot.result};
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty;
    uint32_t rank = kNoRank;
    TokenId result = -1;
  };
  static uint64_t key_of(TokenId left, TokenId right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }
  size_t locate(uint64_t key) const {
    size_t at = spread(key) & (slots_.size() - 1);
    while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  void resize(size_t slots) { slots_.assign(slots, Slot{}); }
  void grow() {
    std::vector<Slot> old = std::move(slots_);
    resize(old.size() * 2);
    for (const Slot& slot : old)
      if (slot.key != kEmpty) slots_[locate(slot.key)] = slot;
  }
  std::vector<Slot> slots_;
  size_t count_ = 0;
};

}  // namespace retrace::data
