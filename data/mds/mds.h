// MDS shards (mosaicml-streaming format v2): a folder with index.json and shard.NNNNN.mds[.zstd].
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace retrace::data {

// A training sample. Columns: input_ids ndarray:uint32, indices ndarray:uint32 (n x 2, [start, end) of
// documents), mask ndarray:uint8 (1 = the token is a label with weight > 0), length int, domain str. Read
// back, uint16/int32/int64 ids and missing indices or mask are accepted too (ProLong's public data has no
// mask).
struct Sample {
  std::vector<int32_t> input_ids;
  std::vector<std::pair<uint32_t, uint32_t>> spans;  // non-empty, in order, inside [0, input_ids.size())
  std::vector<float> weights;  // one a token; written as column `mask` (0/1) and, if any is
                               // neither 0 nor 1, also as column `weight` float32
  std::string domain;
};

struct MdsOptions {
  uint64_t shard_bytes = uint64_t{64} << 20;
  bool zstd = false;
};

// Each shard appears whole or not at all, and the folder becomes a data set with its index, the last file
// written. A data set that was in the folder is removed first. Shards hold a column `weight` only if a sample
// of theirs needs it.
class MdsWriter {
 public:
  MdsWriter(const std::filesystem::path& folder, MdsOptions options);
  ~MdsWriter();
  void add(const Sample& sample);
  void finish();  // writes the last shard, then index.json; without it the folder is no data set

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Opens index.json only; shards when needed (at most two stay in memory, raw ones as memory maps). A shard's
// size, its hash if it is xxh3_64 or sha256, and its offsets are checked when it is opened. Error{corrupt}
// names shard and sample. What foreign data lacks is filled in: no indices = one span; no mask = every token
// a label; tokens outside all spans = spans of weight 0. The first token of a span always has weight 0.
class MdsReader {
 public:
  explicit MdsReader(const std::filesystem::path& folder);
  ~MdsReader();
  int64_t size() const;  // samples
  int num_shards() const;
  std::pair<int64_t, int64_t> shard_range(int shard) const;  // [first, last) sample
  Sample read(int64_t index) const;                          // thread-safe
  const std::string& fingerprint() const;                    // hash of index.json

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace::data
