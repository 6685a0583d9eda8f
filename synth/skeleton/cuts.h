// Where files are cut: into Writes at symbol boundaries, and into the byte ranges that a reader needs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "synth/structure.h"

namespace retrace::synth {

using ByteRange = std::pair<uint64_t, uint64_t>;  // [begin, end)

// Partition of the file into pieces of at most about `chunk_bytes`, cut where a top-level symbol starts if
// one does in the second half of the window, else at a line, else at a code point. One piece if it is short.
std::vector<ByteRange> write_pieces(const SourceFile& file, const FileStructure& structure,
                                    uint64_t chunk_bytes);

// Identifiers of a text, sorted and unique: [A-Za-z_][A-Za-z0-9_]*. They point into the text.
std::vector<std::string_view> identifiers_of(std::string_view text);

// The names that a reader knows: identifiers of its own text (sorted), and what it imports.
struct KnownNames {
  const std::vector<std::string_view>& own;
  const std::vector<std::string>& imported;
  bool has(std::string_view name) const;
};

// What a reader who knows `names` is shown of a file, at most `budget_bytes`: all of it if it is short; else
// the lines of the symbols in `names`, in file order, neighbours joined; else its first lines. `cut` tells
// that something was left out.
std::vector<ByteRange> read_ranges(const SourceFile& file, const FileStructure& structure,
                                   const KnownNames& names, uint64_t budget_bytes, bool* cut);

}  // namespace retrace::synth
