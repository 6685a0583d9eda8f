#include "data/mds/mds_shard.h"

#include <zstd.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/hash.h"

namespace retrace::data {

namespace {

constexpr uint64_t kMaxShardBytes = UINT32_MAX;

MdsFile parse_file(const Json& entry, const std::string& where) {
  MdsFile file;
  file.name = get<std::string>(entry, "basename", where);
  const auto size = get<int64_t>(entry, "bytes", where);
  if (file.name.empty() || file.name.find('/') != std::string::npos || file.name == ".." ||
      file.name == "." || file.name.find('\0') != std::string::npos)
    throw Error(Code::corrupt, fmt::format("'{}' is not a plain file name", file.name), "", where);
  if (size < 8 || static_cast<uint64_t>(size) > kMaxShardBytes)
    throw Error(Code::corrupt, fmt::format("a file of {} bytes", size), "", where);
  file.size_bytes = static_cast<uint64_t>(size);
  if (entry.contains("hashes") && entry.at("hashes").is_object()) {
    file.xxh3 = get_or<std::string>(entry.at("hashes"), "xxh3_64", "", where);
    file.sha256 = get_or<std::string>(entry.at("hashes"), "sha256", "", where);
  }
  return file;
}

void check_hash(std::string_view bytes, const MdsFile& file, const std::string& where) {
  const bool wrong = (!file.xxh3.empty() && fmt::format("{:016x}", xxh3_64(bytes)) != file.xxh3) ||
                     (!file.sha256.empty() && sha256_hex(bytes) != file.sha256);
  if (wrong)
    throw Error(Code::corrupt, "the content differs from its hash in index.json",
                "copy or make the data set again", where);
}

std::string unpack(const std::string& packed, uint64_t size, const std::string& where) {
  auto bad = [&](const std::string& what) {
    throw Error(Code::corrupt, "bad zstd data: " + what, "copy or make the data set again", where);
  };
  const unsigned long long said = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (said == ZSTD_CONTENTSIZE_ERROR) bad("no zstd frame");
  if (said != ZSTD_CONTENTSIZE_UNKNOWN && said != size)
    bad(fmt::format("{} bytes inside, {} in index.json", said, size));
  std::string out(size, '\0');
  const size_t got = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(got)) bad(ZSTD_getErrorName(got));
  if (got != size) bad(fmt::format("{} bytes inside, {} in index.json", got, size));
  return out;
}

// Spans of a sample of `size` tokens; gaps become spans of their own, reported in `gaps`.
void read_spans(const ArrayView& view, uint32_t size, Sample& sample, std::vector<uint8_t>& gap) {
  if (view.count % 2 != 0) fail(Code::corrupt, "column 'indices': not pairs");
  uint32_t done = 0;
  auto put = [&](uint32_t begin, uint32_t end, bool is_gap) {
    if (begin == end) return;
    sample.spans.emplace_back(begin, end);
    gap.push_back(is_gap);
  };
  for (uint64_t i = 0; i < view.count; i += 2) {
    const int64_t begin = view.integer(i), end = view.integer(i + 1);
    if (begin < done || end < begin || end > size)
      fail(Code::corrupt, "column 'indices': span [{}, {}) after {} in {} tokens", begin, end, done, size);
    put(done, static_cast<uint32_t>(begin), true);
    put(static_cast<uint32_t>(begin), static_cast<uint32_t>(end), false);
    done = static_cast<uint32_t>(end);
  }
  put(done, size, true);
}

struct Columns {
  std::vector<std::pair<const MdsColumn*, std::string_view>> all;
  const std::pair<const MdsColumn*, std::string_view>* find(const char* name) const {
    for (const auto& column : all)
      if (column.first->name == name) return &column;
    return nullptr;
  }
  bool has(const char* name) const { return find(name) != nullptr; }
  ArrayView array(const char* name) const {
    const auto& [column, bytes] = *find(name);
    if (column->encoding.form != ColumnEncoding::Form::array &&
        column->encoding.form != ColumnEncoding::Form::scalar)
      fail(Code::corrupt, "column '{}' has encoding '{}', not an array", name, column->encoding_name);
    return view_array(bytes, column->encoding, name);
  }
};

Columns split_columns(std::string_view bytes, const std::vector<MdsColumn>& columns) {
  Columns out;
  size_t head = 0;
  for (const MdsColumn& column : columns) head += column.fixed_bytes == 0 ? 4 : 0;
  if (head > bytes.size()) fail(Code::corrupt, "the sample is cut off");
  size_t size_at = 0, at = head;
  for (const MdsColumn& column : columns) {
    uint64_t size = column.fixed_bytes;
    if (size == 0) {
      size = read_u32(bytes, size_at);
      size_at += 4;
    }
    if (size > bytes.size() - at) fail(Code::corrupt, "column '{}' is cut off", column.name);
    out.all.emplace_back(&column, bytes.substr(at, size));
    at += size;
  }
  if (at != bytes.size()) fail(Code::corrupt, "{} bytes too many", bytes.size() - at);
  return out;
}

Sample decode_sample(std::string_view bytes, const std::vector<MdsColumn>& schema) {
  const Columns columns = split_columns(bytes, schema);
  Sample sample;
  const ArrayView ids = columns.array("input_ids");
  if (ids.count == 0 || ids.count > UINT32_MAX)
    fail(Code::corrupt, "column 'input_ids': {} tokens", ids.count);
  sample.input_ids.resize(ids.count);
  for (uint64_t i = 0; i < ids.count; ++i) {
    const int64_t id = ids.integer(i);
    if (id < 0 || id > INT32_MAX) fail(Code::corrupt, "column 'input_ids': id {} at place {}", id, i);
    sample.input_ids[i] = static_cast<int32_t>(id);
  }
  const auto size = static_cast<uint32_t>(ids.count);
  std::vector<uint8_t> gap;
  if (columns.has("indices")) {
    read_spans(columns.array("indices"), size, sample, gap);
  } else {
    sample.spans = {{0, size}};
    gap = {0};
  }
  sample.weights.assign(size, 1.0f);
  for (const char* name : {"mask", "weight"}) {
    if (!columns.has(name)) continue;
    const bool is_mask = name[0] == 'm';
    const ArrayView view = columns.array(name);
    if (view.count != size)
      fail(Code::corrupt, "column '{}': {} values for {} tokens", name, view.count, size);
    for (uint64_t i = 0; i < size; ++i) {
      const double value = view.number(i);
      if (!std::isfinite(value) || value < 0)
        fail(Code::corrupt, "column '{}': {} at place {}", name, value, i);
      sample.weights[i] = is_mask ? (value != 0 ? 1.0f : 0.0f) : static_cast<float>(value);
    }
  }
  for (size_t s = 0; s < sample.spans.size(); ++s) {
    const auto [begin, end] = sample.spans[s];
    sample.weights[begin] = 0;
    if (gap[s]) std::fill(sample.weights.begin() + begin, sample.weights.begin() + end, 0.0f);
  }
  if (const auto* domain = columns.find("domain");
      domain && domain->first->encoding.form == ColumnEncoding::Form::text)
    sample.domain = domain->second;
  return sample;
}

}  // namespace

MdsShardInfo parse_shard_info(const Json& entry, const std::string& where) {
  MdsShardInfo info;
  if (get<int64_t>(entry, "version", where) != 2 || get<std::string>(entry, "format", where) != "mds")
    throw Error(Code::input, "the shard is not MDS version 2", "", where);
  auto list = [&](const char* key) -> const Json& {
    if (!entry.contains(key) || !entry.at(key).is_array())
      throw Error(Code::corrupt, fmt::format("key '{}' is no list", key), "", where);
    return entry.at(key);
  };
  const Json &names = list("column_names"), &encodings = list("column_encodings"),
             &sizes = list("column_sizes");
  if (names.size() != encodings.size() || names.size() != sizes.size() || names.size() > 1024)
    throw Error(Code::corrupt, "the column lists differ in length", "", where);
  bool has_ids = false;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!names[i].is_string() || !encodings[i].is_string())
      throw Error(Code::corrupt, "a column's name or encoding is not text", "", where);
    MdsColumn column{names[i].get<std::string>(), encodings[i].get<std::string>(), {}, 0};
    column.encoding = parse_encoding(column.encoding_name);
    if (!sizes[i].is_null()) {
      const int64_t size = sizes[i].is_number_integer() ? sizes[i].get<int64_t>() : -1;
      if (size < 0 || size > UINT32_MAX)
        throw Error(Code::corrupt, fmt::format("column '{}' has a bad size", column.name), "", where);
      column.fixed_bytes = static_cast<uint32_t>(size);
    }
    has_ids = has_ids || column.name == "input_ids";
    info.columns.push_back(std::move(column));
  }
  if (!has_ids)
    throw Error(Code::input, "the data set has no column 'input_ids'",
                "it must be tokenised: text is not packed here", where);
  info.samples = get<int64_t>(entry, "samples", where);
  if (info.samples < 0 || info.samples > UINT32_MAX)
    throw Error(Code::corrupt, fmt::format("{} samples in one shard", info.samples), "", where);
  if (!entry.contains("raw_data")) throw Error(Code::corrupt, "key 'raw_data' is missing", "", where);
  info.raw = parse_file(entry.at("raw_data"), where);
  if (entry.contains("zip_data") && !entry.at("zip_data").is_null()) {
    info.zip = parse_file(entry.at("zip_data"), where);
    const std::string compression = get<std::string>(entry, "compression", where);
    if (compression != "zstd" && compression.compare(0, 5, "zstd:") != 0)
      throw Error(Code::input, fmt::format("shards compressed with '{}'", compression),
                  "zstd and raw are supported", where);
  }
  return info;
}

MdsShard::MdsShard(const fs::path& folder, const MdsShardInfo& info) : info_(&info) {
  // A reader of the other kind leaves unpacked shards beside the packed ones.
  const bool raw = info.zip.name.empty() || fs::exists(folder / info.raw.name);
  const MdsFile& file = raw ? info.raw : info.zip;
  where_ = (folder / file.name).string();
  if (!fs::exists(folder / file.name))
    throw Error(Code::corrupt, "the shard is missing", "copy or make the data set again", where_);
  const uint64_t size = fs::file_size(folder / file.name);
  if (size != file.size_bytes)
    throw Error(Code::corrupt, fmt::format("the shard has {} bytes, not {}", size, file.size_bytes),
                "copy or make the data set again", where_);
  if (raw) {
    map_ = std::make_unique<MappedFile>(folder / file.name);
    bytes_ = map_->bytes();
    check_hash(bytes_, file, where_);
  } else {
    const std::string packed = read_file(folder / file.name, file.size_bytes);
    check_hash(packed, file, where_);
    unpacked_ = unpack(packed, info.raw.size_bytes, where_);
    bytes_ = unpacked_;
  }
  const auto samples = static_cast<uint64_t>(info.samples);
  const uint64_t head = 4 * (samples + 2);
  if (read_u32(bytes_, 0) != samples)
    throw Error(Code::corrupt,
                fmt::format("{} samples inside, {} in index.json", read_u32(bytes_, 0), samples), "", where_);
  if (head > bytes_.size()) throw Error(Code::corrupt, "the table of offsets is cut off", "", where_);
  uint64_t before = head;
  for (uint64_t i = 0; i <= samples; ++i) {
    const uint64_t at = read_u32(bytes_, 4 + 4 * i);
    if (at < before || at > bytes_.size())
      throw Error(Code::corrupt, fmt::format("sample {}: offset {} in {} bytes", i, at, bytes_.size()), "",
                  where_);
    before = at;
  }
}

Sample MdsShard::sample(int64_t index) const {
  const auto i = static_cast<size_t>(index);
  const uint32_t begin = read_u32(bytes_, 4 + 4 * i), end = read_u32(bytes_, 8 + 4 * i);
  try {
    return decode_sample(bytes_.substr(begin, end - begin), info_->columns);
  } catch (Error& error) {
    throw error.in(fmt::format("{}: sample {}", where_, index));
  }
}

}  // namespace retrace::data
