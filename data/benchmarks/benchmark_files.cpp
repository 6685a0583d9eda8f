#include "data/benchmarks/benchmark_files.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>

#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/text.h"

namespace retrace::data {
namespace {

constexpr size_t kMaxUnpackedBytes = size_t{1} << 30;

}  // namespace

const std::vector<Benchmark>& benchmarks() {
  static const std::vector<Benchmark> all = {
      {"humaneval", {"HumanEval.jsonl.gz", "HumanEval.jsonl"}, {"prompt", "canonical_solution"}},
      {"gsm8k", {"test.jsonl"}, {"question", "answer"}}};
  return all;
}

std::vector<fs::path> benchmark_folders(const std::string& data_dir) {
  std::vector<fs::path> folders;
  if (!data_dir.empty()) folders.push_back(resolve_path(data_dir));
  folders.push_back(resolve_path("deps:"));
  return folders;
}

std::optional<fs::path> find_benchmark(const std::vector<fs::path>& folders, const std::string& benchmark,
                                       const std::vector<std::string>& files) {
  for (const fs::path& folder : folders)
    for (const std::string& name : files)
      if (fs::exists(folder / benchmark / name)) return folder / benchmark / name;
  return std::nullopt;
}

fs::path find_data(const std::string& data_dir, const std::string& benchmark,
                   const std::vector<std::string>& names, const std::string& hint) {
  const std::vector<fs::path> folders = benchmark_folders(data_dir);
  if (const auto found = find_benchmark(folders, benchmark, names)) return *found;
  std::vector<std::string> looked_at;
  for (const fs::path& folder : folders) looked_at.push_back((folder / benchmark).string());
  throw Error(
      Code::input,
      fmt::format("{} has no data: no {} in {}", benchmark, join(names, " or "), join(looked_at, " or ")),
      hint, "eval.data_dir");
}

std::string read_maybe_gzip(const fs::path& path) {
  std::string bytes = read_file(path, kMaxUnpackedBytes);
  if (!bytes.starts_with("\x1f\x8b")) return bytes;
  std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(), archive_read_free);
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_format_raw(reader.get());
  archive_entry* entry = nullptr;
  auto broken = [&] {
    const char* reason = archive_error_string(reader.get());
    throw Error(Code::corrupt, fmt::format("gzip cannot be unpacked: {}", reason ? reason : "unknown reason"),
                "", path.string());
  };
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK ||
      archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK)
    broken();
  std::string out;
  char buffer[65536];
  while (true) {
    const la_ssize_t n = archive_read_data(reader.get(), buffer, sizeof buffer);
    if (n < 0) broken();
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
    if (out.size() > kMaxUnpackedBytes)
      throw Error(Code::corrupt, "unpacks to more than 1 GiB", "", path.string());
  }
}

std::vector<Json> read_json_lines(const fs::path& path) {
  const std::string text = read_maybe_gzip(path);
  std::vector<Json> out;
  size_t number = 0;
  for (const auto line : split_lines(text)) {
    ++number;
    if (trim(line).empty()) continue;
    out.push_back(parse_json(line, fmt::format("{}:{}", path.string(), number)));
    if (!out.back().is_object())
      throw Error(Code::corrupt, "expected a JSON object", "", fmt::format("{}:{}", path.string(), number));
  }
  return out;
}

}  // namespace retrace::data
