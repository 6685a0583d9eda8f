#include "synth/input/jsonl.h"

#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/random.h"
#include "data/packing/text_stream.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

std::string padded(uint64_t at) {
  return fmt::format("{:016}", at);
}

}  // namespace

bool is_jsonl_name(const std::filesystem::path& file) {
  const std::string name = lower_ascii(file.filename().string());
  return name != ".jsonl" && name != ".jsonl.zst" &&
         (name.ends_with(".jsonl") || name.ends_with(".jsonl.zst"));
}

void list_jsonl(const std::string& file, const UseSource& use) {
  data::TextStream stream(file);
  SourceRef current;
  uint64_t stamp = 0, begin = 0, number = 0;
  std::string line, repository;
  const auto finish = [&] {
    if (current.source.empty()) return;
    current.stamp = fmt::format("{:016x}", stamp);
    use(current);
  };
  while (stream.next_line(&line, &begin)) {
    ++number;
    if (line.empty()) continue;
    const std::string where = fmt::format("{}:{}", file, number);
    const Json json = parse_json(line, where);
    const auto name = get<std::string>(json, "repository", where);
    if (name.empty()) throw Error(Code::corrupt, "the repository has no name", "", where);
    if (current.source.empty() || name != repository) {
      finish();
      repository = name;
      current = {file + "#" + padded(begin), file + "#" + name, file, static_cast<int64_t>(begin), 0, ""};
      stamp = 0;
    }
    stamp = mix64(stamp ^ xxh3_64(line));
    current.size_bytes = static_cast<int64_t>(stream.position()) - current.at;
  }
  finish();
}

JsonlSource::JsonlSource(std::string lines, std::string where)
    : lines_(std::move(lines)), where_(std::move(where)) {}

template <class Use>
void JsonlSource::each_line(Use use) const {
  const std::string_view all = lines_;
  size_t number = 0;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\n', begin), all.size());
    const std::string_view line = all.substr(begin, end - begin);
    begin = end + 1;
    if (!line.empty()) use(number++, parse_json(line, where_));
  }
}

std::vector<SourceEntry> JsonlSource::list(const SourceLimits& limits) {
  std::vector<SourceEntry> entries;
  each_line([&](size_t, const Json& json) {
    if (entries.size() >= limits.max_entries)
      throw Error(Code::input, fmt::format("more than {} entries", limits.max_entries), "", where_);
    entries.push_back(
        {get<std::string>(json, "path", where_), get<std::string>(json, "content", where_).size(), 0644, ""});
    if (repository_.empty()) repository_ = get<std::string>(json, "repository", where_);
    if (licence_.empty() && json.contains("licence") && json["licence"].is_string())
      licence_ = json["licence"].get<std::string>();
  });
  return entries;
}

void JsonlSource::read(const std::vector<bool>& wanted, const SourceLimits& limits, const Receive& receive) {
  each_line([&](size_t i, const Json& json) {
    if (!wanted[i]) return;
    auto content = get<std::string>(json, "content", where_);
    if (content.size() > limits.max_file_bytes) content.resize(limits.max_file_bytes + 1);
    receive(i, std::move(content));
  });
}

}  // namespace retrace::synth
