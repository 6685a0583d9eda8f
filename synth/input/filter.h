// Which files of a repository are worth learning from, each refusal with its reason. Judged from the path
// and, once read, from the (already redacted) content; never from anything outside the repository.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "synth/input/snapshot.h"

namespace retrace::synth {

// "" or the reason for refusal. Reasons of a path: those of path_problem, "vendored", "lock_file",
// "generated" (by name), "binary" (by extension), "documentation", "test", "too_large".
std::string refuse_by_path(std::string_view path, uint64_t size_bytes, const SnapshotOptions& options);

// Reasons of raw bytes, before redaction: "empty" (but an empty __init__.py makes a package and is kept),
// "binary", "invalid_utf8", "lfs_pointer".
std::string refuse_by_bytes(std::string_view path, std::string_view bytes);

// Reasons of redacted text: "generated", "minified", "long_line", "data", "documentation", "test".
std::string refuse_by_text(std::string_view path, std::string_view language, std::string_view text,
                           const SnapshotOptions& options);

}  // namespace retrace::synth
