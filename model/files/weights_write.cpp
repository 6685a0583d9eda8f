// A HF folder from any source of weights, streamed: no tensor is in memory as a whole.
#include <algorithm>

#include "core/checked.h"
#include "core/files/files.h"
#include "core/log.h"
#include "core/text.h"
#include "data/tokenizer/tokenizer_files.h"
#include "model/files/safetensors.h"
#include "model/files/weights.h"
#include "model/float_bits.h"

namespace retrace::model {

namespace {

using NamedBytes = std::vector<std::pair<std::string, std::string>>;

constexpr int64_t kChunkElements = int64_t{1} << 20;

NamedBytes tokenizer_files(const fs::path& tokenizer) {
  NamedBytes files;
  if (tokenizer.empty()) return files;
  if (fs::is_directory(tokenizer)) {
    files = data::read_tokenizer_files(tokenizer, data::TokenizerFiles::all);
  } else if (fs::exists(tokenizer)) {
    files.emplace_back(tokenizer.extension() == ".json" ? data::kTokenizerJson : data::kTokenizerModel,
                       read_file(tokenizer));
  }
  if (files.empty())
    throw Error(Code::input, fmt::format("no tokenizer in {}", tokenizer.string()),
                "tokenizer.json or tokenizer.model is needed");
  return files;
}

Json generation_config(const LlamaConfig& config) {
  const Json model = to_hf_json(config, "float32");
  Json json = {{"_from_model_config", true}};
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (!model[key].is_null()) json[key] = model[key];
  return json;
}

struct Shard {
  std::string file;
  std::vector<const ParameterSpec*> tensors;
  uint64_t size_bytes = 0;
};

// Tensors in name order; a shard is closed before the tensor that would make it too large.
std::vector<Shard> plan_shards(const std::vector<const ParameterSpec*>& specs, uint64_t element_bytes,
                               uint64_t shard_bytes) {
  std::vector<Shard> shards;
  for (const ParameterSpec* spec : specs) {
    const uint64_t size_bytes = checked_mul(static_cast<uint64_t>(spec->size()), element_bytes, spec->name);
    if (shards.empty() || shards.back().size_bytes + size_bytes > shard_bytes) shards.emplace_back();
    shards.back().tensors.push_back(spec);
    shards.back().size_bytes += size_bytes;
  }
  for (size_t i = 0; i < shards.size(); ++i)
    shards[i].file = shards.size() == 1
                         ? "model.safetensors"
                         : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  return shards;
}

std::string_view as_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

void write_shard(const fs::path& folder, const Shard& shard, bool bf16, const WeightSource& weights,
                 Progress& progress) {
  std::vector<TensorPlan> plan;
  for (const ParameterSpec* spec : shard.tensors)
    plan.push_back({spec->name, bf16 ? "BF16" : "F32", spec->shape});
  StagedFile file(folder / shard.file);
  file.write(safetensors_header(plan));
  std::vector<float> values;
  std::vector<uint16_t> halves;
  for (const ParameterSpec* spec : shard.tensors) {
    const int64_t size = spec->size();
    for (int64_t begin = 0; begin < size; begin += kChunkElements) {
      const int64_t end = std::min(size, begin + kChunkElements);
      values.resize(static_cast<size_t>(end - begin));
      weights.read(*spec, begin, end, values.data());
      if (bf16) {
        halves.resize(values.size());
        std::transform(values.begin(), values.end(), halves.begin(), bf16_of_float);
        file.write({reinterpret_cast<const char*>(halves.data()), halves.size() * sizeof(uint16_t)});
      } else {
        file.write(as_bytes(values));
      }
      progress.add(values.size());
    }
  }
  file.commit();
}

std::string index_text(const std::vector<Shard>& shards) {
  uint64_t total_bytes = 0;
  std::map<std::string, std::string> file_of;
  for (const Shard& shard : shards) {
    total_bytes = checked_add(total_bytes, shard.size_bytes, "size of all shards");
    for (const ParameterSpec* spec : shard.tensors) file_of[spec->name] = shard.file;
  }
  return to_text({{"metadata", {{"total_size", total_bytes}}}, {"weight_map", file_of}}, 2) + "\n";
}

// What an export consists of; anything else in a folder is somebody's, and stays.
bool is_part_of_export(const std::string& name, const NamedBytes& files) {
  if (name == "config.json" || name == "generation_config.json" || name == "model.safetensors.index.json")
    return true;
  if (name.starts_with("model") && name.ends_with(".safetensors")) return true;
  for (const std::string& tokenizer_file : data::tokenizer_file_names(data::TokenizerFiles::all))
    if (name == tokenizer_file) return true;
  return std::any_of(files.begin(), files.end(), [&](const auto& file) { return file.first == name; });
}

void check_replaceable(const fs::path& folder, const NamedBytes& files) {
  if (!fs::exists(folder)) return;
  if (!fs::is_directory(folder)) throw Error(Code::input, fmt::format("{} is no folder", folder.string()));
  for (const std::string& name : list_folder(folder))
    if (!is_part_of_export(name, files))
      throw Error(Code::input,
                  fmt::format("{} holds '{}', which is no part of a model", folder.string(), name),
                  "name an empty or a new folder");
}

// In the place of an earlier export; between the two renames there is neither, and a failure there brings the
// earlier one back.
void put_in_place(const fs::path& made, const fs::path& folder, const fs::path& aside) {
  const bool replaces = fs::exists(folder);
  try {
    if (replaces) rename_durably(folder, aside);
    rename_durably(made, folder);
  } catch (const Error&) {
    if (replaces && !fs::exists(folder)) rename_durably(aside, folder);
    throw;
  }
  remove_tree(aside);
}

void write_files(const fs::path& folder, const LlamaConfig& config, const WeightSource& weights,
                 const HfFolderOptions& options, const NamedBytes& files, const std::string& name) {
  const std::vector<UnitSpec> units = unit_specs(config);
  std::vector<const ParameterSpec*> specs;
  for (const UnitSpec& unit : units)
    for (const ParameterSpec& spec : unit.parameters) specs.push_back(&spec);
  std::sort(specs.begin(), specs.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  const bool bf16 = options.dtype == "bfloat16";
  const std::vector<Shard> shards = plan_shards(specs, bf16 ? 2 : 4, options.shard_bytes);
  Progress progress(fmt::format("writing {}", name), static_cast<uint64_t>(config.num_parameters()),
                    "parameters");
  for (const Shard& shard : shards) write_shard(folder, shard, bf16, weights, progress);
  if (shards.size() > 1) write_file(folder / "model.safetensors.index.json", index_text(shards));
  write_file(folder / "config.json", to_text(to_hf_json(config, options.dtype), 2) + "\n");
  write_file(folder / "generation_config.json", to_text(generation_config(config), 2) + "\n");
  for (const auto& [file, bytes] : files) write_file(folder / file, bytes);
}

}  // namespace

void write_hf_folder(const fs::path& folder_as_given, const LlamaConfig& config, const WeightSource& weights,
                     const HfFolderOptions& options) {
  if (options.dtype != "float32" && options.dtype != "bfloat16")
    throw Error(Code::usage,
                fmt::format("weights are written as float32 or bfloat16, not as '{}'", options.dtype));
  fs::path folder = fs::absolute(folder_as_given).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  NamedBytes files = tokenizer_files(options.tokenizer);
  files.insert(files.end(), options.files.begin(), options.files.end());
  check_replaceable(folder, files);

  const std::string name = folder.filename().string();
  const fs::path partial = folder.parent_path() / ("." + name + ".partial"),
                 aside = folder.parent_path() / ("." + name + ".old");
  if (fs::exists(aside) && !fs::exists(folder)) rename_durably(aside, folder);  // killed between two renames
  remove_tree(partial);
  remove_tree(aside);
  try {
    make_folders(partial);
    write_files(partial, config, weights, options, files, name);
    put_in_place(partial, folder, aside);
  } catch (...) {
    std::error_code ignored;  // what was thrown matters more
    fs::remove_all(partial, ignored);
    throw;
  }
}

}  // namespace retrace::model
