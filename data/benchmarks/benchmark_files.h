// Benchmark files: where they are, and JSONL lines of plain or gzip files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"

namespace retrace::data {

// FOLDER/NAME for the first of `names` that exists, FOLDER being eval.data_dir/benchmark, or where
// scripts/fetch-* put it. Error{input} names the places looked at and says how to get the file.
std::filesystem::path find_data(const std::string& data_dir, const std::string& benchmark,
                                const std::vector<std::string>& names, const std::string& hint);
// The bytes of a file, unpacked if it is gzip (at most 1 GiB).
std::string read_maybe_gzip(const std::filesystem::path& path);
// One object a line; empty lines are skipped. Error{corrupt} names file and line.
std::vector<Json> read_json_lines(const std::filesystem::path& path);
// Pieces of re.split("\s+", text) with Python's idea of white space, counted.
int64_t count_words(const std::string& text);

}  // namespace retrace::data
