// Benchmark files: which there are, where they lie, and JSONL lines of plain or gzip files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace retrace::data {

// What of a benchmark is text that a model must not have trained on.
struct Benchmark {
  const char* name;                // of its folder
  std::vector<std::string> files;  // of tasks, a JSON object a line; the first that exists
  std::vector<const char*> texts;  // keys of a line; the first must be there
};
const std::vector<Benchmark>& benchmarks();

// The folders that may hold BENCHMARK/FILE: `data_dir` (eval.data_dir) if it is not empty, then where
// scripts/fetch-* put it.
std::vector<std::filesystem::path> benchmark_folders(const std::string& data_dir);
// The first of FOLDER/benchmark/FILE that exists, folder by folder.
std::optional<std::filesystem::path> find_benchmark(const std::vector<std::filesystem::path>& folders,
                                                    const std::string& benchmark,
                                                    const std::vector<std::string>& files);

// FOLDER/NAME for the first of `names` that exists, FOLDER being eval.data_dir/benchmark, or where
// scripts/fetch-* put it. Error{input} names the places looked at and says how to get the file.
std::filesystem::path find_data(const std::string& data_dir, const std::string& benchmark,
                                const std::vector<std::string>& names, const std::string& hint);
// The bytes of a file, unpacked if it is gzip (at most 1 GiB).
std::string read_maybe_gzip(const std::filesystem::path& path);
// One object a line; empty lines are skipped. Error{corrupt} names file and line.
std::vector<Json> read_json_lines(const std::filesystem::path& path);

}  // namespace retrace::data
