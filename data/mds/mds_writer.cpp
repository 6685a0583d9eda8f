#include <zstd.h>

#include <algorithm>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "data/mds/mds.h"
#include "data/mds/mds_format.h"
#include "data/utf8.h"

namespace retrace::data {

namespace {

constexpr int kZstdLevel = 3;

bool is_plain(float weight) {
  return weight == 0.0f || weight == 1.0f;
}

// A sample as it waits for its shard: sizes and bytes of all columns but `weight`, and that one only if it is
// needed.
struct Encoded {
  std::string sizes, columns, weight;
  uint64_t tokens = 0;
};

Encoded encode(const Sample& sample) {
  ensure(
      !sample.input_ids.empty() && sample.weights.size() == sample.input_ids.size() && !sample.spans.empty(),
      "a sample has tokens, a weight for each, and spans");
  ensure(valid_utf8_prefix(sample.domain) == sample.domain.size(), "a domain's name is UTF-8");
  std::vector<uint32_t> ids(sample.input_ids.size()), indices;
  std::vector<uint8_t> mask(sample.weights.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    ensure(sample.input_ids[i] >= 0 && sample.weights[i] >= 0, "ids and weights are not negative");
    ids[i] = static_cast<uint32_t>(sample.input_ids[i]);
    mask[i] = sample.weights[i] > 0 ? 1 : 0;
  }
  uint32_t done = 0;
  for (const auto& [begin, end] : sample.spans) {
    ensure(begin >= done && begin < end && end <= ids.size(),
           "spans are non-empty, in order and inside the sample");
    done = end;
    indices.insert(indices.end(), {begin, end});
  }
  Encoded out;
  out.tokens = ids.size();
  auto put = [&](const std::string& bytes) {
    append_u32(bytes.size(), out.sizes);
    out.columns += bytes;
  };
  put(sample.domain);
  put(encode_array(indices, 2));
  put(encode_array(ids));
  const auto length = static_cast<int64_t>(ids.size());
  out.columns.append(reinterpret_cast<const char*>(&length), sizeof length);  // of fixed size
  put(encode_array(mask));
  if (!std::all_of(sample.weights.begin(), sample.weights.end(), is_plain))
    out.weight = encode_array(sample.weights);
  return out;
}

uint64_t array_bytes(uint64_t count, uint64_t each) {
  return array_head(count, 0).size() + count * each;
}

// The weight column of a sample whose weights are all 0 or 1: its mask is the last column.
std::string weight_of_mask(const Encoded& sample) {
  std::vector<float> weights(sample.tokens);
  const char* mask = sample.columns.data() + sample.columns.size() - sample.tokens;
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = mask[i] ? 1.0f : 0.0f;
  return encode_array(weights);
}

}  // namespace

struct MdsWriter::State {
  fs::path folder;
  MdsOptions options;
  std::vector<Encoded> samples;
  bool weighted = false;      // the shard in the making has the column `weight`
  uint64_t plain_bytes = 0;   // of its samples without that column
  uint64_t weight_bytes = 0;  // of that column
  Json shards = Json::array();
  bool finished = false;

  Json config() const {
    Json names = {"domain", "indices", "input_ids", "length", "mask"};
    Json encodings = {"str", "ndarray:uint32", "ndarray:uint32", "int", "ndarray:uint8"};
    Json sizes = {nullptr, nullptr, nullptr, 8, nullptr};
    if (weighted) {
      names.push_back("weight");
      encodings.push_back("ndarray:float32");
      sizes.push_back(nullptr);
    }
    return {{"version", 2},
            {"format", "mds"},
            {"compression", options.zstd ? Json("zstd") : Json(nullptr)},
            {"hashes", Json::array({"xxh3_64"})},
            {"size_limit", options.shard_bytes},
            {"column_names", names},
            {"column_encodings", encodings},
            {"column_sizes", sizes}};
  }

  // Of the shard with one more sample; a weight column of the others may come with it.
  uint64_t size_with(const Encoded& next) const {
    const bool with_weight = weighted || !next.weight.empty();
    uint64_t size =
        8 + python_json(config()).size() + plain_bytes + next.sizes.size() + next.columns.size() + 4;
    if (with_weight) size += weight_bytes + 4 + array_bytes(next.tokens, 4);
    return size;
  }

  void write_shard() {
    const std::string config_text = python_json(config());
    uint64_t at = 4 + 4 * (samples.size() + 1) + config_text.size();
    std::string head, body;
    append_u32(samples.size(), head);
    append_u32(at, head);
    body.reserve(plain_bytes + (weighted ? weight_bytes : 0));
    for (const Encoded& sample : samples) {
      const size_t before = body.size();
      body += sample.sizes;
      std::string weight;
      if (weighted) {
        weight = sample.weight.empty() ? weight_of_mask(sample) : sample.weight;
        append_u32(weight.size(), body);
      }
      body += sample.columns;
      body += weight;
      at += body.size() - before;
      append_u32(at, head);
    }
    const std::string raw = head + config_text + body;
    const std::string name = fmt::format("shard.{:05}.mds", shards.size());
    auto describe = [](const std::string& file, std::string_view bytes) {
      return Json{{"basename", file},
                  {"bytes", bytes.size()},
                  {"hashes", {{"xxh3_64", fmt::format("{:016x}", xxh3_64(bytes))}}}};
    };
    Json entry = config();
    entry["samples"] = samples.size();
    entry["raw_data"] = describe(name, raw);
    entry["zip_data"] = nullptr;
    if (options.zstd) {
      std::string packed(ZSTD_compressBound(raw.size()), '\0');
      const size_t size = ZSTD_compress(packed.data(), packed.size(), raw.data(), raw.size(), kZstdLevel);
      if (ZSTD_isError(size)) fail(Code::internal, "zstd: {}", ZSTD_getErrorName(size));
      packed.resize(size);
      entry["zip_data"] = describe(name + ".zstd", packed);
      write_file(folder / (name + ".zstd"), packed);
    } else {
      write_file(folder / name, raw);
    }
    shards.push_back(std::move(entry));
    samples.clear();
    weighted = false;
    plain_bytes = weight_bytes = 0;
  }
};

MdsWriter::MdsWriter(const std::filesystem::path& folder, MdsOptions options)
    : state_(std::make_unique<State>()) {
  if (options.shard_bytes < 1) fail(Code::recipe, "a shard of {} bytes", options.shard_bytes);
  options.shard_bytes = std::min<uint64_t>(options.shard_bytes, UINT32_MAX);  // offsets have 32 bits
  state_->folder = folder;
  state_->options = options;
  make_folders(folder);
  if (fs::remove(folder / "index.json")) sync_folder(folder);
  for (const std::string& name : list_folder(folder))
    if (name.compare(0, 6, "shard.") == 0 && (name.ends_with(".mds") || name.ends_with(".mds.zstd")))
      fs::remove(folder / name);
}

MdsWriter::~MdsWriter() = default;

void MdsWriter::add(const Sample& sample) {
  State& s = *state_;
  ensure(!s.finished, "nothing is added to a finished data set");
  Encoded encoded = encode(sample);
  if (!s.samples.empty() && s.size_with(encoded) > s.options.shard_bytes) s.write_shard();
  s.weighted = s.weighted || !encoded.weight.empty();
  s.plain_bytes += encoded.sizes.size() + encoded.columns.size() + 4;
  s.weight_bytes += 4 + array_bytes(encoded.tokens, 4);
  s.samples.push_back(std::move(encoded));
}

void MdsWriter::finish() {
  State& s = *state_;
  if (s.finished) return;
  if (!s.samples.empty()) s.write_shard();
  write_file(s.folder / "index.json", python_json(Json{{"version", 2}, {"shards", s.shards}}));
  s.finished = true;
}

}  // namespace retrace::data
