// slices.json of a run folder: what became of every source. Repositories that were kept, with their place
// (fold and round) and with what was found and decided, and those that were not, with the reason.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/error.h"
#include "synth/hygiene/duplicate_files.h"
#include "synth/input/snapshot.h"
#include "synth/stage/ledger.h"

namespace retrace::synth {

struct SliceEntry {
  LedgerRow row;     // `source`, `tree` (as read), `facts`, `duplicates`
  std::string name;  // base name of the source
  std::string fold;  // train | dev | test
  int round = 0;     // from 1; 0 for held-out repositories
  int cluster = 0;
};

inline constexpr const char* kSliceFile = "slices.json";

Json to_json(const SliceEntry& entry);
// Whether [hygiene] was applied when they were cut; earlier versions of this program did not.
bool slices_are_selected(const std::filesystem::path& file);
// In order of the file. Files that an earlier version of this program wrote name no origins and dates: those
// repositories are read again with `options`, and Error{input} says so where a tree is not the same.
void each_slice_entry(const std::filesystem::path& file, const SnapshotOptions& options,
                      const std::function<void(const SliceEntry&)>& use);

// One of them as it was selected: checked against its tree hash, without duplicate files.
Snapshot take_slice_entry(SourceReader& reader, const SliceEntry& entry, const SnapshotOptions& options);

}  // namespace retrace::synth
