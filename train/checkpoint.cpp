#include "train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "core/error.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "train/checkpoint/state_io.h"

namespace retrace::train {
namespace {

class CheckpointWeights final : public model::WeightSource {
 public:
  explicit CheckpointWeights(const fs::path& folder)
      : reader_(folder, read_manifest(folder)), folder_(folder) {
    const FlatLayout& layout = reader_.layout();
    for (int u = 0; u < layout.num_units(); ++u)
      for (size_t p = 0; p < layout.unit(u).offsets.size(); ++p)
        places_[layout.unit(u).spec.parameters[p].name] = {u, p};
  }

  void read(const model::ParameterSpec& spec, int64_t begin, int64_t end, float* out) const override {
    const FlatLayout& layout = reader_.layout();
    const auto found = places_.find(spec.name);
    if (found == places_.end())
      throw Error(Code::input, fmt::format("no tensor '{}'", spec.name), "", folder_.string());
    const auto [u, p] = found->second;
    if (layout.unit(u).spec.parameters[p].shape != spec.shape)
      throw Error(Code::input, fmt::format("'{}' has another shape", spec.name), "", folder_.string());
    const int64_t chunk = layout.chunk_elements(), offset = layout.unit(u).offsets[p];
    for (int64_t flat = offset + begin; flat < offset + end;) {
      const int64_t c = flat / chunk, stop = std::min(offset + end, (c + 1) * chunk);
      const std::string_view bytes = reader_.chunk(StateKind::master, u, c);
      const auto at = static_cast<size_t>(layout.logical(u, flat) - layout.logical(u, c * chunk));
      std::copy_n(bytes.data() + at * sizeof(float), static_cast<size_t>(stop - flat) * sizeof(float),
                  reinterpret_cast<char*>(out));
      out += stop - flat;
      flat = stop;
    }
  }

  std::string fingerprint() const override { return reader_.manifest().root; }

 private:
  StateReader reader_;
  fs::path folder_;
  std::map<std::string, std::pair<int, size_t>> places_;
};

}  // namespace

std::unique_ptr<model::WeightSource> open_checkpoint_weights(const fs::path& folder) {
  return std::make_unique<CheckpointWeights>(folder);
}

model::LlamaConfig checkpoint_config(const fs::path& folder) {
  return read_manifest(folder).config;
}

bool is_checkpoint(const fs::path& folder) {
  return fs::is_regular_file(folder / kManifestName);
}

void export_checkpoint(const fs::path& folder, const fs::path& to, const std::string& dtype,
                       const fs::path& tokenizer) {
  const auto weights = open_checkpoint_weights(folder);
  model::HfFolderOptions options;
  options.dtype = dtype;
  options.tokenizer = tokenizer;
  const fs::path beside = fs::absolute(folder).lexically_normal().parent_path() / "tokenizer";
  if (tokenizer.empty() && fs::exists(beside)) options.tokenizer = beside;
  model::write_hf_folder(to, checkpoint_config(folder), *weights, options);
}

}  // namespace retrace::train
