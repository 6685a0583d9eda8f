// The bytes of a checkpoint: a rank's chunks into one file, and chunks of any world's files back into a
// rank's state. Every chunk that is read is checked against its hash.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/files.h"
#include "train/manifest.h"
#include "train/shards.h"

namespace retrace::train {

struct WrittenPart {
  StateFile file;
  // Hashes of this rank's chunks, [kind] in unit order, as the file's ranges enumerate them.
  std::vector<std::vector<std::string>> hashes;
};

// Writes folder/state-RANK.bin and syncs it. Failpoints: before_shards, mid_shard, after_shards.
WrittenPart write_part(const std::filesystem::path& folder, Shards& shards, int64_t step);

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
