#include "train/checkpoint/manifest.h"

#include "core/build_info.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "train/sharding/shards.h"

namespace retrace::train {
namespace {

constexpr const char* kFormat = "retrace-checkpoint-1";
constexpr const char* kKindNames[kNumStateKinds] = {"master", "exp_avg", "exp_avg_sq"};

// Only what is in use is written beyond the first version's keys, so that it needs no new version.
Json progress_json(const TrainProgress& p) {
  Json json = {{"step", p.step},
               {"round", p.round},
               {"data_step", p.data_step},
               {"optimizer_step", p.optimizer_step},
               {"skipped", p.skipped},
               {"bad_in_a_row", p.bad_in_a_row},
               {"failed_saves", p.failed_saves},
               {"tokens", p.tokens},
               {"label_tokens", p.label_tokens},
               {"sequences_without_labels", p.sequences_without_labels},
               {"first_loss", p.first_loss},
               {"last_loss", p.last_loss},
               {"round_done", p.round_done}};
  if (p.outliers > 0) json["outliers"] = p.outliers;
  if (!p.recent_losses.empty()) json["recent_losses"] = p.recent_losses;
  if (!p.recent_norms.empty()) json["recent_norms"] = p.recent_norms;
  return json;
}

TrainProgress progress_from(const Json& json, const std::string& where) {
  TrainProgress p;
  p.step = get<int64_t>(json, "step", where);
  p.round = get<int64_t>(json, "round", where);
  p.data_step = get<int64_t>(json, "data_step", where);
  p.optimizer_step = get<int64_t>(json, "optimizer_step", where);
  p.skipped = get<int64_t>(json, "skipped", where);
  p.bad_in_a_row = get<int64_t>(json, "bad_in_a_row", where);
  p.failed_saves = get<int64_t>(json, "failed_saves", where);
  p.tokens = get<int64_t>(json, "tokens", where);
  p.label_tokens = get<int64_t>(json, "label_tokens", where);
  p.sequences_without_labels = get<int64_t>(json, "sequences_without_labels", where);
  p.first_loss = get_or<double>(json, "first_loss", 0, where);
  p.last_loss = get_or<double>(json, "last_loss", 0, where);
  p.round_done = get<bool>(json, "round_done", where);
  p.outliers = get_or<int64_t>(json, "outliers", 0, where);
  p.recent_losses = get_or<std::vector<double>>(json, "recent_losses", {}, where);
  p.recent_norms = get_or<std::vector<double>>(json, "recent_norms", {}, where);
  return p;
}

Json map_json(const std::map<std::string, std::string>& map) {
  Json json = Json::object();
  for (const auto& [key, value] : map) json[key] = value;
  return json;
}

std::map<std::string, std::string> map_from(const Json& json, const char* key, const std::string& where) {
  std::map<std::string, std::string> map;
  const Json object = get<Json>(json, key, where);
  for (const auto& [name, value] : object.items())
    map[name] = value.is_string() ? value.get<std::string>() : "";
  return map;
}

std::string check_value(const Json& json) {
  return sha256_hex(to_text(json));
}

// Every chunk of every kind in exactly one file, ranges back to back and as long as the file.
void check_coverage(const Manifest& manifest, const FlatLayout& layout, const std::string& where) {
  std::vector<std::vector<int>> seen(kNumStateKinds,
                                     std::vector<int>(static_cast<size_t>(layout.total_chunks())));
  for (const StateFile& file : manifest.files) {
    int64_t offset = 0;
    for (const FileRange& range : file.ranges) {
      const bool inside = range.kind >= 0 && range.kind < kNumStateKinds && range.unit >= 0 &&
                          range.unit < layout.num_units() && range.first >= 0 && range.first <= range.last &&
                          range.last <= layout.num_chunks(static_cast<int>(range.unit)) &&
                          range.offset == offset;
      if (!inside) throw Error(Code::corrupt, fmt::format("bad range in '{}'", file.name), "", where);
      const int u = static_cast<int>(range.unit);
      for (int64_t c = range.first; c < range.last; ++c) {
        offset += 4 * layout.chunk_size(u, c);
        ++seen[static_cast<size_t>(range.kind)][static_cast<size_t>(layout.first_chunk(u) + c)];
      }
    }
    if (offset != file.bytes)
      throw Error(Code::corrupt,
                  fmt::format("'{}' holds {} bytes, its ranges {}", file.name, file.bytes, offset), "",
                  where);
  }
  for (const auto& kind : seen)
    for (int times : kind)
      if (times != 1) throw Error(Code::corrupt, "the files do not hold every chunk exactly once", "", where);
}

void check_files(const Manifest& manifest, const fs::path& folder) {
  for (const StateFile& file : manifest.files) {
    const fs::path path = folder / file.name;
    if (file.name.empty() || fs::path(file.name).filename() != file.name)
      throw Error(Code::corrupt, fmt::format("'{}' is no file name", file.name), "",
                  (folder / kManifestName).string());
    std::error_code problem;
    const auto size = fs::file_size(path, problem);
    if (problem) throw Error(Code::corrupt, "a file of the checkpoint is missing", "", path.string());
    if (size != static_cast<uintmax_t>(file.bytes))
      throw Error(Code::corrupt, fmt::format("{} bytes instead of {}", size, file.bytes), "", path.string());
  }
}

}  // namespace

std::string state_root(const model::LlamaConfig& config, int64_t chunk_elements,
                       const std::vector<std::vector<std::string>>& chunk_hashes) {
  Sha256 hash;
  hash.add(fmt::format("{}\nchunk_elements {}\n", kFormat, chunk_elements));
  for (const model::UnitSpec& unit : model::unit_specs(config)) {
    for (const model::ParameterSpec& parameter : unit.parameters) {
      hash.add(parameter.name);
      for (int64_t n : parameter.shape) hash.add(fmt::format(" {}", n));
      hash.add("\n");
    }
  }
  for (size_t k = 0; k < chunk_hashes.size(); ++k) {
    hash.add(kKindNames[k]);
    for (const std::string& chunk : chunk_hashes[k]) hash.add(chunk);
  }
  return hash.hex();
}

Json to_json(const StateFile& file) {
  Json ranges = Json::array();
  for (const FileRange& r : file.ranges) ranges.push_back({r.kind, r.unit, r.first, r.last, r.offset});
  return {{"name", file.name}, {"bytes", file.bytes}, {"ranges", ranges}};
}

StateFile state_file_from_json(const Json& json, const std::string& where) {
  StateFile file{get<std::string>(json, "name", where), get<int64_t>(json, "bytes", where), {}};
  for (const Json& range : get<Json>(json, "ranges", where)) {
    if (!range.is_array() || range.size() != 5 || !range[0].is_number_integer())
      throw Error(Code::corrupt, "a range is five integers", "", where);
    std::vector<int64_t> n;
    for (const Json& value : range) n.push_back(value.is_number_integer() ? value.get<int64_t>() : -1);
    file.ranges.push_back({n[0], n[1], n[2], n[3], n[4]});
  }
  return file;
}

std::string manifest_text(const Manifest& m) {
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"compiler", kCompiler},
               {"progress", progress_json(m.progress)},
               {"root", m.root},
               {"world", m.world},
               {"chunk_elements", m.chunk_elements},
               {"model", model::to_hf_json(m.config, "float32")},
               {"recipe", map_json(m.recipe)},
               {"tokenizer", m.tokenizer},
               {"data_manifest", m.data_manifest},
               {"fingerprint", map_json(m.fingerprint)}};
  json["kinds"] = kKindNames;
  json["files"] = Json::array();
  for (const StateFile& file : m.files) json["files"].push_back(to_json(file));
  json["chunks"] = m.chunk_hashes;
  json["check"] = check_value(json);
  return to_text(json) + "\n";
}

Manifest read_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifestName;
  const std::string where = path.string();
  if (!fs::exists(path))
    throw Error(Code::input,
                fmt::format("'{}' is no checkpoint: it has no {}", folder.string(), kManifestName));
  JsonLimits limits;
  limits.max_bytes = size_t{1} << 32;
  Json json = parse_json(read_file(path), where, limits);
  if (get<std::string>(json, "format", where) != kFormat)
    throw Error(Code::corrupt, fmt::format("format is not {}", kFormat), "written by another version?",
                where);
  const auto check = get<std::string>(json, "check", where);
  json.erase("check");
  if (check_value(json) != check)
    throw Error(Code::corrupt, "the manifest is not as it was written", "", where);
  Manifest m;
  m.progress = progress_from(get<Json>(json, "progress", where), where);
  m.root = get<std::string>(json, "root", where);
  m.world = get<int64_t>(json, "world", where);
  m.chunk_elements = get<int64_t>(json, "chunk_elements", where);
  m.config = model::parse_llama_config(get<Json>(json, "model", where), where);
  m.recipe = map_from(json, "recipe", where);
  m.tokenizer = get<std::string>(json, "tokenizer", where);
  m.data_manifest = get<std::string>(json, "data_manifest", where);
  m.fingerprint = map_from(json, "fingerprint", where);
  for (const Json& file : get<Json>(json, "files", where))
    m.files.push_back(state_file_from_json(file, where));
  m.chunk_hashes = get<std::vector<std::vector<std::string>>>(json, "chunks", where);
  const FlatLayout layout(m.config, m.chunk_elements / 256);
  if (layout.chunk_elements() != m.chunk_elements || m.chunk_hashes.size() != kNumStateKinds)
    throw Error(Code::corrupt, "chunks do not fit the model", "", where);
  for (const auto& kind : m.chunk_hashes)
    if (static_cast<int64_t>(kind.size()) != layout.total_chunks())
      throw Error(Code::corrupt, "chunks do not fit the model", "", where);
  if (state_root(m.config, m.chunk_elements, m.chunk_hashes) != m.root)
    throw Error(Code::corrupt, "the root is not that of the chunk hashes", "", where);
  check_coverage(m, layout, where);
  check_files(m, folder);
  return m;
}

}  // namespace retrace::train
