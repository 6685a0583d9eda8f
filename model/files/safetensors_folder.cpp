// The safetensors of a HF folder: one file, or shards under an index that a stranger may have written.
#include <cmath>
#include <set>

#include "core/checked.h"
#include "core/error.h"
#include "model/files/safetensors.h"

namespace retrace::model {

namespace {

constexpr uint64_t kMaxIndexBytes = uint64_t{100} << 20;

[[noreturn]] void refuse(const std::string& where, const std::string& message) {
  throw Error(Code::corrupt, message, "", where);
}

bool is_below(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

// The hub's cache keeps snapshots/REVISION/NAME as links to blobs/HASH beside `snapshots`.
bool is_hub_blob(const fs::path& target, const fs::path& folder) {
  return folder.parent_path().filename() == "snapshots" &&
         target.parent_path() == folder.parent_path().parent_path() / "blobs";
}

}  // namespace

fs::path file_inside(const fs::path& folder, const std::string& name, const std::string& where) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\\') != std::string::npos || name.find('\0') != std::string::npos)
    refuse(where, fmt::format("'{}' is no plain file name", name));
  const fs::path path = folder / name;
  std::error_code error;
  const fs::path target = fs::canonical(path, error);
  if (error)
    throw Error(Code::input, fmt::format("{} is missing", path.string()), "is the download complete?", where);
  const fs::path home = fs::canonical(folder);
  if (!is_below(target, home) && !is_hub_blob(target, home))
    refuse(where, fmt::format("'{}' is a link that leaves the folder, to {}", name, target.string()));
  if (!fs::is_regular_file(target)) refuse(where, fmt::format("'{}' is no file", name));
  return path;
}

SafetensorsFolder::SafetensorsFolder(const fs::path& folder) {
  const fs::path index = folder / "model.safetensors.index.json";
  if (fs::exists(fs::symlink_status(folder / "model.safetensors"))) {
    files_.push_back(
        std::make_unique<SafetensorsFile>(file_inside(folder, "model.safetensors", folder.string())));
    for (const auto& [name, tensor] : files_.back()->tensors()) tensors_[name] = &tensor;
  } else if (fs::exists(index)) {
    open_index(folder, index);
  } else {
    throw Error(Code::input, fmt::format("no weights in {}", folder.string()),
                "model.safetensors or model.safetensors.index.json is needed; other formats are not read",
                folder.string());
  }
}

void SafetensorsFolder::open_index(const fs::path& folder, const fs::path& index) {
  const std::string where = index.string();
  const Json json = parse_json(read_file(index, kMaxIndexBytes), where);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object() || map->empty())
    refuse(where, "'weight_map' is missing or empty");
  std::set<std::string> names;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) refuse(where, fmt::format("tensor '{}' has no file name", tensor));
    names.insert(file.get<std::string>());
  }
  std::map<std::string, std::string> file_of;  // of each tensor that a shard holds
  uint64_t total_bytes = 0;
  for (const std::string& name : names) {
    files_.push_back(std::make_unique<SafetensorsFile>(file_inside(folder, name, where)));
    for (const auto& [tensor, entry] : files_.back()->tensors()) {
      const auto [other, is_new] = file_of.emplace(tensor, name);
      if (!is_new)
        refuse(where, fmt::format("tensor '{}' is in both {} and {}", tensor, other->second, name));
      tensors_[tensor] = &entry;
      total_bytes = checked_add(total_bytes, entry.bytes.size(), where);
    }
  }
  std::map<std::string, std::string> promised;
  for (const auto& [tensor, file] : map->items()) {
    promised[tensor] = file.get<std::string>();
    const auto found = file_of.find(tensor);
    if (found == file_of.end() || found->second != promised[tensor])
      refuse(where, fmt::format("tensor '{}' is not in {}", tensor, promised[tensor]));
  }
  for (const auto& [tensor, file] : file_of)
    if (promised.count(tensor) == 0)
      refuse(where, fmt::format("{} holds '{}', which 'weight_map' lacks", file, tensor));
  const auto metadata = json.find("metadata");
  if (metadata == json.end() || !metadata->is_object() || !metadata->contains("total_size")) return;
  const Json& total = (*metadata)["total_size"];
  if (!total.is_number() || total.get<double>() != static_cast<double>(total_bytes))
    refuse(where,
           fmt::format("'total_size' is {}, the shards hold {} bytes of tensors", total.dump(), total_bytes));
}

}  // namespace retrace::model
