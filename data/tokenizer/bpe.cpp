#include "data/tokenizer/bpe.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <queue>

#include "core/error.h"
#include "data/tokenizer/bpe_tables.h"

namespace retrace::data {

namespace {

constexpr size_t kLongPiece = 96;  // from here on a heap beats scanning for the lowest rank
constexpr size_t kCachesAThread = 4;

uint64_t next_serial() {
  static std::atomic<uint64_t> serial{0};
  return ++serial;
}

uint64_t load_up_to_8(const char* p, size_t size) {
  uint64_t word = 0;
  std::memcpy(&word, p, size);
  return word;
}

}  // namespace

PieceCache::Entry& PieceCache::find(std::string_view piece, bool& hit) {
  const size_t size = piece.size();
  uint64_t low, high = 0;
  if (size > 8) {  // two words that overlap: with the size they are the bytes
    std::memcpy(&low, piece.data(), 8);
    std::memcpy(&high, piece.data() + size - 8, 8);
  } else {
    low = load_up_to_8(piece.data(), size);
  }
  const uint64_t hash = spread(low ^ spread(high + size));
  Entry& entry = entries_[hash >> (64 - kBits)];
  hit = entry.size == size && entry.low == low && entry.high == high;
  if (!hit) {
    entry.size = 0;
    entry.low = low;
    entry.high = high;
  }
  return entry;
}

Bpe::Bpe() : serial_(next_serial()) {}
Bpe::Bpe(Bpe&&) noexcept = default;
Bpe::~Bpe() = default;

Bpe Bpe::from_ranks(std::vector<std::string> tokens) {
  Bpe bpe;
  bpe.tokens_ = std::move(tokens);
  bpe.table_ = std::make_unique<TokenTable>(bpe.tokens_, std::vector<bool>{});
  bpe.set_bytes({});
  for (int byte = 0; byte < 256; ++byte)
    if (bpe.byte_ids_[static_cast<size_t>(byte)] < 0)
      fail(Code::corrupt, "the vocabulary has no token for byte 0x{:02x}", byte);
  bpe.pairs_ = std::make_unique<PairTable>(bpe.tokens_.size() * 4);
  for (size_t id = 0; id < bpe.tokens_.size(); ++id) {
    const std::string_view token = bpe.tokens_[id];
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const TokenId left = bpe.find(token.substr(0, cut));
      if (left < 0) continue;
      const TokenId right = bpe.find(token.substr(cut));
      if (right >= 0) bpe.pairs_->add(left, right, static_cast<uint32_t>(id), static_cast<TokenId>(id));
    }
  }
  return bpe;
}

Bpe Bpe::from_merges(std::vector<std::string> tokens, const std::vector<Merge>& merges, bool whole_pieces,
                     const std::vector<bool>& blocked) {
  Bpe bpe;
  bpe.tokens_ = std::move(tokens);
  bpe.whole_pieces_ = whole_pieces;
  bpe.table_ = std::make_unique<TokenTable>(bpe.tokens_, blocked);
  bpe.set_bytes(blocked);
  bpe.pairs_ = std::make_unique<PairTable>(merges.size());
  const auto size = static_cast<TokenId>(bpe.tokens_.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto [left, right, result] = merges[rank];
    ensure(left >= 0 && right >= 0 && result >= 0 && left < size && right < size && result < size,
           "merges name ids of the vocabulary");
    const auto l = static_cast<size_t>(left), r = static_cast<size_t>(right),
               whole = static_cast<size_t>(result);
    if (bpe.tokens_[whole] != bpe.tokens_[l] + bpe.tokens_[r])
      fail(Code::corrupt, "merge {} does not make its token", rank);
    if (whole < blocked.size() && blocked[whole])
      throw Error(Code::input,
                  fmt::format("merge {} would make the special token with id {} from text", rank, result),
                  "a tokenizer whose special tokens can be typed is refused");
    bpe.pairs_->add(left, right, static_cast<uint32_t>(rank), result);
  }
  return bpe;
}

void Bpe::set_bytes(const std::vector<bool>& blocked) {
  byte_ids_.fill(-1);
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (tokens_[id].size() != 1 || (id < blocked.size() && blocked[id])) continue;
    TokenId& slot = byte_ids_[static_cast<unsigned char>(tokens_[id][0])];
    if (slot < 0) slot = static_cast<TokenId>(id);
  }
}

TokenId Bpe::find(std::string_view bytes) const {
  return table_->find(tokens_, bytes);
}

TokenId Bpe::byte_id(unsigned char byte) const {
  const TokenId id = byte_ids_[byte];
  if (id < 0)
    throw Error(Code::input, fmt::format("the tokenizer has no token for byte 0x{:02x}", byte),
                "leave such files out, or use a tokenizer with all 256 bytes");
  return id;
}

PieceCache& Bpe::thread_cache() const {
  struct Owned {
    uint64_t serial;
    std::unique_ptr<PieceCache> cache;
  };
  thread_local std::vector<Owned> caches;
  for (Owned& owned : caches)
    if (owned.serial == serial_) return *owned.cache;
  if (caches.size() == kCachesAThread) caches.erase(caches.begin());
  caches.push_back({serial_, std::make_unique<PieceCache>()});
  return *caches.back().cache;
}

void Bpe::encode_piece(std::string_view piece, PieceCache& cache, std::vector<TokenId>& out) const {
  PieceCache::Entry* entry = nullptr;
  if (piece.size() <= PieceCache::kMaxPiece) {
    bool hit = false;
    entry = &cache.find(piece, hit);
    if (hit) {
      out.insert(out.end(), entry->ids.begin(), entry->ids.begin() + entry->count);
      return;
    }
  }
  const size_t before = out.size();
  const TokenId whole = whole_pieces_ ? find(piece) : -1;
  if (whole >= 0) {
    out.push_back(whole);
  } else if (piece.size() < kLongPiece) {
    merge_short(piece, out);
  } else {
    merge_long(piece, out);
  }
  const size_t count = out.size() - before;
  if (entry && count <= PieceCache::kMaxIds) {
    std::copy(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(), entry->ids.begin());
    entry->count = static_cast<uint8_t>(count);
    entry->size = static_cast<uint8_t>(piece.size());
  }
}

void Bpe::merge_short(std::string_view piece, std::vector<TokenId>& out) const {
  std::array<TokenId, kLongPiece> ids;
  std::array<Step, kLongPiece> steps;  // steps[i]: the merge of ids[i] and ids[i + 1]
  size_t count = piece.size();
  for (size_t i = 0; i < count; ++i) ids[i] = byte_id(static_cast<unsigned char>(piece[i]));
  for (size_t i = 0; i + 1 < count; ++i) steps[i] = pairs_->find(ids[i], ids[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (steps[i].rank < steps[best].rank) best = i;
    if (steps[best].rank == kNoRank) break;
    ids[best] = steps[best].result;
    for (size_t i = best + 1; i + 1 < count; ++i) {
      ids[i] = ids[i + 1];
      steps[i] = steps[i + 1];
    }
    --count;
    if (best > 0) steps[best - 1] = pairs_->find(ids[best - 1], ids[best]);
    if (best + 1 < count) steps[best] = pairs_->find(ids[best], ids[best + 1]);
  }
  out.insert(out.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
}

void Bpe::merge_long(std::string_view piece, std::vector<TokenId>& out) const {
  ensure(piece.size() < kNoRank, "a piece is shorter than 4 GiB");
  struct Symbol {
    TokenId id;
    uint32_t previous, next;
  };
  struct Candidate {
    uint32_t rank, at;
    TokenId left, right, result;
    bool operator<(const Candidate& other) const {  // a max-heap: the lowest rank, then the leftmost, on top
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto count = static_cast<uint32_t>(piece.size());
  std::vector<Symbol> symbols(count);
  for (uint32_t i = 0; i < count; ++i)
    symbols[i] = {byte_id(static_cast<unsigned char>(piece[i])), i == 0 ? kNoRank : i - 1,
                  i + 1 == count ? kNoRank : i + 1};
  std::vector<Candidate> heap;
  heap.reserve(count);
  auto candidate = [&](uint32_t at) {
    const uint32_t next = symbols[at].next;
    if (next == kNoRank) return Candidate{kNoRank, at, -1, -1, -1};
    const Step step = pairs_->find(symbols[at].id, symbols[next].id);
    return Candidate{step.rank, at, symbols[at].id, symbols[next].id, step.result};
  };
  for (uint32_t i = 0; i + 1 < count; ++i)
    if (const Candidate c = candidate(i); c.rank != kNoRank) heap.push_back(c);
  std::priority_queue<Candidate> queue(std::less<Candidate>{}, std::move(heap));
  auto push = [&](uint32_t at) {
    if (const Candidate c = candidate(at); c.rank != kNoRank) queue.push(c);
  };
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.at];
    if (left.id != top.left || left.next == kNoRank || symbols[left.next].id != top.right) continue;
    Symbol& right = symbols[left.next];
    left.id = top.result;
    right.id = -1;  // dead
    left.next = right.next;
    if (left.next != kNoRank) symbols[left.next].previous = top.at;
    if (left.previous != kNoRank) push(left.previous);
    push(top.at);
  }
  for (uint32_t i = 0; i != kNoRank; i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace retrace::data
