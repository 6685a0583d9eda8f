#include "train/checkpoint/state_io.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/failpoint.h"
#include "core/hash.h"
#include "model/device/cuda_library.h"
#include "model/ops/host_memory.h"

namespace retrace::train {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
constexpr size_t kWriteBytes = size_t{4} << 20;

// Appends the elements of one chunk, without alignment gaps.
void append_chunk(const FlatLayout& layout, int u, int64_t chunk, const float* part, int64_t part_begin,
                  std::string& out) {
  const int64_t begin = chunk * layout.chunk_elements();
  for (const Piece& piece : layout.pieces(u, begin, begin + layout.chunk_elements()))
    out.append(reinterpret_cast<const char*>(part + piece.flat - part_begin),
               static_cast<size_t>(piece.count) * sizeof(float));
}

}  // namespace

StateView view_of(Shards& shards) {
  StateView view;
  view.layout = &shards.layout();
  view.rank = shards.global_rank();
  for (int u = 0; u < shards.layout().num_units(); ++u) {
    view.begins.push_back(shards.collectives().rank() * shards.elements(u));
    view.chunks.push_back(shards.chunks_to_save(u));
  }
  for (int k = 0; k < kNumStateKinds; ++k)
    for (int u = 0; u < shards.layout().num_units(); ++u)
      view.values[static_cast<size_t>(k)].push_back(shards.state(static_cast<StateKind>(k), u));
  return view;
}

const StateView& StateCopy::take(Shards& shards) {
  view_ = view_of(shards);
  for (size_t k = 0; k < kNumStateKinds; ++k) {
    for (int u = 0; u < shards.layout().num_units(); ++u) {
      const at::Tensor& from = shards.unit(u).state[k];
      const auto index = static_cast<size_t>(u);
      if (tensors_[k].size() <= index)
        tensors_[k].push_back(model::host_empty({from.numel()}, at::kFloat, shards.device()));
      tensors_[k][index].copy_(from, /*non_blocking=*/true);
      view_.values[k][index] = tensors_[k][index].const_data_ptr<float>();
    }
  }
  if (shards.device().is_cuda()) model::gpu_synchronize();
  return view_;
}

WrittenPart write_part(const fs::path& folder, const StateView& state, int64_t step,
                       const std::atomic<bool>* stop) {
  failpoint("before_shards", step);
  const FlatLayout& layout = *state.layout;
  WrittenPart part;
  part.file.name = fmt::format("state-{:05}.bin", state.rank);
  part.hashes.resize(kNumStateKinds);
  StagedFile out(folder / part.file.name);
  std::string buffer;
  int64_t offset = 0;
  for (int k = 0; k < kNumStateKinds; ++k) {
    if (k == 1) failpoint("mid_shard", step);
    for (int u = 0; u < layout.num_units(); ++u) {
      const auto [first, last] = state.chunks[static_cast<size_t>(u)];
      part.file.ranges.push_back({k, u, first, last, offset});
      const float* values = state.values[static_cast<size_t>(k)][static_cast<size_t>(u)];
      const int64_t begin = state.begins[static_cast<size_t>(u)];
      for (int64_t c = first; c < last; ++c) {
        const size_t before = buffer.size();
        append_chunk(layout, u, c, values, begin, buffer);
        const std::string_view bytes = std::string_view(buffer).substr(before);
        part.hashes[static_cast<size_t>(k)].push_back(sha256_hex(bytes));
        offset += static_cast<int64_t>(bytes.size());
        if (buffer.size() < kWriteBytes) continue;
        if (stop && *stop) throw Error(Code::interrupted, "the save was given up");
        out.write(buffer);
        buffer.clear();
      }
    }
  }
  out.write(buffer);
  out.commit();
  part.file.bytes = offset;
  failpoint("after_shards", step);
  return part;
}

void assemble(const FlatLayout& layout, const std::vector<WrittenPart>& parts, Manifest& manifest) {
  manifest.chunk_hashes.assign(kNumStateKinds,
                               std::vector<std::string>(static_cast<size_t>(layout.total_chunks())));
  for (const WrittenPart& part : parts) {
    manifest.files.push_back(part.file);
    std::vector<size_t> next(kNumStateKinds, 0);
    for (const FileRange& range : part.file.ranges) {
      const auto k = static_cast<size_t>(range.kind);
      for (int64_t c = range.first; c < range.last; ++c)
        manifest.chunk_hashes[k][static_cast<size_t>(layout.first_chunk(static_cast<int>(range.unit)) + c)] =
            part.hashes[k].at(next[k]++);
    }
  }
  manifest.chunk_elements = layout.chunk_elements();
  manifest.config = layout.config();
  manifest.root = state_root(layout.config(), layout.chunk_elements(), manifest.chunk_hashes);
}

struct StateReader::Checked {
  std::vector<std::vector<std::atomic<bool>>> done;
};

StateReader::StateReader(const fs::path& folder, Manifest manifest)
    : manifest_(std::move(manifest)),
      layout_(manifest_.config, manifest_.chunk_elements / 256),
      folder_(folder),
      places_(kNumStateKinds, std::vector<Place>(static_cast<size_t>(layout_.total_chunks()))),
      checked_(std::make_unique<Checked>()) {
  for (int k = 0; k < kNumStateKinds; ++k)
    checked_->done.emplace_back(static_cast<size_t>(layout_.total_chunks()));
  for (size_t f = 0; f < manifest_.files.size(); ++f) {
    maps_.push_back(std::make_unique<MappedFile>(folder / manifest_.files[f].name));
    if (maps_.back()->bytes().size() != static_cast<size_t>(manifest_.files[f].bytes))
      throw Error(Code::corrupt, "the file changed its size", "",
                  (folder / manifest_.files[f].name).string());
    for (const FileRange& range : manifest_.files[f].ranges) {
      int64_t offset = range.offset;
      const int u = static_cast<int>(range.unit);
      for (int64_t c = range.first; c < range.last; ++c) {
        places_[static_cast<size_t>(range.kind)][static_cast<size_t>(layout_.first_chunk(u) + c)] = {f,
                                                                                                     offset};
        offset += 4 * layout_.chunk_size(u, c);
      }
    }
  }
}

StateReader::~StateReader() = default;

std::string_view StateReader::chunk(StateKind kind, int u, int64_t chunk) const {
  const auto k = static_cast<size_t>(kind);
  const auto global = static_cast<size_t>(layout_.first_chunk(u) + chunk);
  const Place& place = places_[k][global];
  const auto size = static_cast<size_t>(4 * layout_.chunk_size(u, chunk));
  const std::string_view bytes = maps_[place.file]->bytes().substr(static_cast<size_t>(place.offset), size);
  std::atomic<bool>& done = checked_->done[k][global];
  if (!done.load(std::memory_order_acquire)) {
    if (sha256_hex(bytes) != manifest_.chunk_hashes[k][global])
      throw Error(Code::corrupt,
                  fmt::format("bytes {} to {} are not as they were written", place.offset,
                              place.offset + static_cast<int64_t>(size)),
                  "restore the file or use another checkpoint",
                  (folder_ / manifest_.files[place.file].name).string());
    done.store(true, std::memory_order_release);
  }
  return bytes;
}

void read_part(const StateReader& reader, Shards& shards) {
  const FlatLayout& layout = shards.layout();
  const FlatLayout& theirs = reader.layout();
  const int rank = shards.collectives().rank();
  for (int k = 0; k < kNumStateKinds; ++k) {
    const auto kind = static_cast<StateKind>(k);
    for (int u = 0; u < layout.num_units(); ++u) {
      const at::Tensor& there = shards.unit(u).state[static_cast<size_t>(k)];
      const bool on_host = there.is_cpu();
      const at::Tensor here = on_host ? there : at::zeros({there.numel()}, at::kFloat);
      float* values = here.mutable_data_ptr<float>() - rank * shards.elements(u);
      // The checkpoint's chunks may be of another size than the recipe's.
      const int64_t begin = rank * shards.elements(u), size = theirs.chunk_elements(),
                    end = std::min(begin + shards.elements(u), layout.unit(u).size);
      for (int64_t c = begin / size; c * size < end; ++c) {
        std::string_view bytes = reader.chunk(kind, u, c);
        for (const Piece& piece : theirs.pieces(u, c * size, (c + 1) * size)) {
          const int64_t from = std::max(piece.flat, begin), to = std::min(piece.flat + piece.count, end);
          if (from < to)
            std::memcpy(values + from, bytes.data() + (from - piece.flat) * kFloatBytes,
                        static_cast<size_t>((to - from) * kFloatBytes));
          bytes.remove_prefix(static_cast<size_t>(piece.count * kFloatBytes));
        }
      }
      if (!on_host) there.copy_(here);
    }
  }
  shards.refresh();
}

}  // namespace retrace::train
