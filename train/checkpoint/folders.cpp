#include "train/checkpoint/folders.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/failpoint.h"
#include "core/files/files.h"
#include "core/log.h"
#include "train/checkpoint/manifest.h"

namespace retrace::train {
namespace {

constexpr const char* kRemoving = ".removing";

std::optional<int64_t> step_of(const std::string& name) {
  constexpr std::string_view kPrefix = "step-";
  if (name.compare(0, kPrefix.size(), kPrefix) != 0) return std::nullopt;
  int64_t step = 0;
  const auto [end, problem] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
  if (problem != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return step;
}

}  // namespace

std::vector<CheckpointFolder> list_checkpoints(const fs::path& root) {
  std::vector<CheckpointFolder> found;
  if (!fs::is_directory(root)) return found;
  for (const std::string& name : list_folder(root))
    if (const auto step = step_of(name)) found.push_back({root / name, *step});
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  return found;
}

void clean_leftovers(const fs::path& root) {
  if (!fs::is_directory(root)) return;
  for (const std::string& name : list_folder(root)) {
    const fs::path path = root / name;
    const std::string extension = path.extension().string();
    if (!step_of(path.stem().string())) continue;
    if (extension == ".old" && !fs::exists(root / path.stem())) {
      rename_durably(path, root / path.stem());
    } else if (extension == ".partial" || extension == kRemoving || extension == ".old") {
      warn("removing '{}', which an interrupted save or purge left", path.string());
      remove_tree(path);
    }
  }
}

void purge_checkpoints(const fs::path& root, const CheckpointConfig& config, int64_t round, int64_t step) {
  for (const std::string& name : list_folder(root))  // an earlier purge was cut short
    if (name.ends_with(kRemoving)) remove_tree(root / name);
  int64_t kept = 0;
  for (const CheckpointFolder& folder : list_checkpoints(root)) {
    if (folder.step > step) continue;
    TrainProgress progress;
    try {
      progress = read_manifest(folder.path).progress;
    } catch (const Error&) {
      continue;  // not ours to judge: it stays for its owner to look at
    }
    if (progress.round != round || progress.round_done) continue;
    if (config.keep_every > 0 && folder.step % config.keep_every == 0) continue;
    if (++kept <= config.keep) continue;
    const fs::path doomed = folder.path.string() + kRemoving;
    rename_durably(folder.path, doomed);
    failpoint("during_purge", step);
    remove_tree(doomed);
  }
}

void supersede_checkpoints(const fs::path& root, int64_t round) {
  for (const CheckpointFolder& folder : list_checkpoints(root)) {
    try {
      if (read_manifest(folder.path).progress.round != round) continue;
    } catch (const Error&) {
      continue;
    }
    const fs::path aside = folder.path.string() + ".superseded";
    remove_tree(aside);
    rename_durably(folder.path, aside);
    info("'{}' is now '{}': checkpoint.resume = \"never\"", folder.path.string(), aside.string());
  }
}

}  // namespace retrace::train
