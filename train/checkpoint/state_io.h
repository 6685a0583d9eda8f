// The bytes of a checkpoint: a rank's chunks into one file, and chunks of any world's files back into a
// rank's state. Every chunk that is read is checked against its hash.
#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/files/files.h"
#include "train/checkpoint/manifest.h"
#include "train/sharding/shards.h"

namespace retrace::train {

struct WrittenPart {
  StateFile file;
  // Hashes of this rank's chunks, [kind] in unit order, as the file's ranges enumerate them.
  std::vector<std::vector<std::string>> hashes;
};

// Where a rank's state lies in memory: in the shards, or in a copy of them.
struct StateView {
  const FlatLayout* layout = nullptr;
  int rank = 0;                                                  // among the ranks of all copies
  std::vector<int64_t> begins;                                   // [unit]: first element of this rank's range
  std::vector<std::pair<int64_t, int64_t>> chunks;               // [unit]: what this rank writes
  std::array<std::vector<const float*>, kNumStateKinds> values;  // [kind][unit], this rank's range of it
};
StateView view_of(Shards& shards);

// A copy of a rank's state in host memory, so that training can go on while the copy is written. Its memory
// is kept for the next one.
class StateCopy {
 public:
  const StateView& take(Shards& shards);
  const StateView& view() const { return view_; }

 private:
  std::array<std::vector<at::Tensor>, kNumStateKinds> tensors_;
  StateView view_;
};

// Writes folder/state-RANK.bin and syncs it. Error{interrupted} soon after `stop` is set. Failpoints:
// before_shards, mid_shard, after_shards.
WrittenPart write_part(const std::filesystem::path& folder, const StateView& state, int64_t step,
                       const std::atomic<bool>* stop = nullptr);

// Puts the parts of all ranks together: files, chunk hashes in global order, root.
void assemble(const FlatLayout& layout, const std::vector<WrittenPart>& parts, Manifest& manifest);

// Chunks by place, out of the mapped files of a checkpoint.
class StateReader {
 public:
  StateReader(const std::filesystem::path& folder, Manifest manifest);
  ~StateReader();
  const Manifest& manifest() const { return manifest_; }
  const FlatLayout& layout() const { return layout_; }
  // The bytes of a chunk, its elements without gaps. Error{corrupt} naming the file if the hash is not the
  // manifest's; checked once a chunk.
  std::string_view chunk(StateKind kind, int u, int64_t chunk) const;

 private:
  struct Place {
    size_t file;
    int64_t offset;
  };
  Manifest manifest_;
  FlatLayout layout_;
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<MappedFile>> maps_;
  std::vector<std::vector<Place>> places_;  // [kind][global chunk]
  struct Checked;
  std::unique_ptr<Checked> checked_;
};

// Fills this rank's state from a checkpoint of any world size and refreshes its weights.
void read_part(const StateReader& reader, Shards& shards);

}  // namespace retrace::train
