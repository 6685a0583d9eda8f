// Byte-pair merging of one piece: the lowest rank first, leftmost among equals. Both families of
// vocabularies: tiktoken ranks (a pair's rank is that of its concatenated bytes) and explicit merge lists.
// Not here: cutting text into pieces, special tokens.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace retrace::data {

struct Merge {
  TokenId left, right, result;
};

// Small pieces and their ids, direct-mapped; one for each thread and vocabulary.
class PieceCache {
 public:
  static constexpr size_t kMaxPiece = 16, kMaxIds = 6;
  struct Entry {
    uint64_t low = 0, high = 0;
    uint8_t size = 0, count = 0;  // size 0 = empty entry
    std::array<TokenId, kMaxIds> ids{};
  };
  PieceCache() : entries_(size_t{1} << kBits) {}
  // The entry where a piece of 1..kMaxPiece bytes lives; `hit` says whether it is there already.
  Entry& find(std::string_view piece, bool& hit);

 private:
  static constexpr int kBits = 15;
  std::vector<Entry> entries_;
};

class Bpe {
 public:
  // `tokens` are the bytes of each id ("" = no such id). `whole_pieces`: a piece that is a token is taken as
  // it is (HF's ignore_merges; always so for ranks). Ids in `blocked` are never made from text.
  // Error{corrupt} if ranks lack one of the 256 bytes or a merge's result is not its parts joined;
  // Error{input} if a merge makes a blocked id.
  static Bpe from_ranks(std::vector<std::string> tokens);
  static Bpe from_merges(std::vector<std::string> tokens, const std::vector<Merge>& merges, bool whole_pieces,
                         const std::vector<bool>& blocked);
  Bpe(Bpe&&) noexcept;
  ~Bpe();

  PieceCache& thread_cache() const;
  // Appends the ids of a non-empty piece. Error{input} if it holds a byte that the vocabulary lacks.
  void encode_piece(std::string_view piece, PieceCache& cache, std::vector<TokenId>& out) const;
  const std::vector<std::string>& tokens() const { return tokens_; }
  TokenId find(std::string_view bytes) const;  // -1 if no token that text can become has these bytes

 private:
  Bpe();
  struct Step {
    uint32_t rank;
    TokenId result;
  };
  class TokenTable;
  class PairTable;
  void set_bytes(const std::vector<bool>& blocked);
  void merge_short(std::string_view piece, std::vector<TokenId>& out) const;
  void merge_long(std::string_view piece, std::vector<TokenId>& out) const;
  TokenId byte_id(unsigned char byte) const;

  std::vector<std::string> tokens_;
  std::array<TokenId, 256> byte_ids_{};
  bool whole_pieces_ = true;
  uint64_t serial_ = 0;  // tells vocabularies apart in the threads' caches
  std::unique_ptr<TokenTable> table_;
  std::unique_ptr<PairTable> pairs_;
};

}  // namespace retrace::data
