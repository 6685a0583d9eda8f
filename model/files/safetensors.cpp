// The rules come from the format's specification and from what its reference validator refuses: no holes,
// overlaps or trailing bytes, so that a file has one meaning.
#include "model/files/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/checked.h"
#include "core/text.h"
#include "model/float_bits.h"

namespace retrace::model {

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxDimensions = 32;

struct Dtype {
  const char* name;
  uint64_t bytes;
};
constexpr Dtype kDtypes[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
                             {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
                             {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8}};

[[noreturn]] void refuse(const std::string& where, const std::string& message) {
  throw Error(Code::corrupt, message, "", where);
}

std::vector<int64_t> dimensions(const Json& shape, const std::string& where) {
  if (!shape.is_array() || shape.size() > kMaxDimensions) refuse(where, "'shape' is no list of dimensions");
  std::vector<int64_t> result;
  for (const Json& extent : shape) {
    if (!extent.is_number_integer() || !json_integer_fits<int64_t>(extent) || extent < 0)
      refuse(where, fmt::format("'shape' holds {}", extent.dump()));
    result.push_back(extent.get<int64_t>());
  }
  return result;
}

struct Range {
  uint64_t begin, end;
  std::string name;
};

Range offsets(const Json& entry, const std::string& name, const std::string& where) {
  const auto found = entry.find("data_offsets");
  if (found == entry.end() || !found->is_array() || found->size() != 2)
    refuse(where, "'data_offsets' is no pair");
  for (const Json& offset : *found)
    if (!offset.is_number_integer() || !json_integer_fits<uint64_t>(offset))
      refuse(where, fmt::format("'data_offsets' holds {}", offset.dump()));
  return {(*found)[0].get<uint64_t>(), (*found)[1].get<uint64_t>(), name};
}

void check_metadata(const Json& metadata, const std::string& where) {
  if (!metadata.is_object()) refuse(where, "'__metadata__' is no object");
  for (const auto& [key, value] : metadata.items())
    if (!value.is_string()) refuse(where, fmt::format("'__metadata__' maps '{}' to what is no string", key));
}

void check_tiling(std::vector<Range>& ranges, uint64_t data_bytes, const std::string& where) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t at = 0;
  for (const Range& range : ranges) {
    if (range.begin != at)
      refuse(where, fmt::format("tensor '{}' starts at byte {} of the data, where {} was due ({})",
                                range.name, range.begin, at, range.begin > at ? "a hole" : "an overlap"));
    at = range.end;
  }
  if (at != data_bytes)
    refuse(where, fmt::format("the tensors end at byte {} of the data, the file at {}", at, data_bytes));
}

}  // namespace

uint64_t dtype_bytes(std::string_view dtype) {
  for (const Dtype& known : kDtypes)
    if (dtype == known.name) return known.bytes;
  return 0;
}

std::map<std::string, TensorEntry> parse_safetensors(std::string_view file, const std::string& where) {
  if (file.size() < 8) refuse(where, fmt::format("{} bytes are too few for a safetensors file", file.size()));
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), 8);
  if (header_bytes > kMaxHeaderBytes)
    refuse(where, fmt::format("a header of {} bytes, more than {}", header_bytes, kMaxHeaderBytes));
  if (header_bytes > file.size() - 8)
    refuse(where, fmt::format("a header of {} bytes in a file of {}: cut off?", header_bytes, file.size()));
  const std::string_view header = file.substr(8, header_bytes), data = file.substr(8 + header_bytes);
  if (!header.starts_with('{')) refuse(where, "the header does not start with '{'");
  JsonLimits limits;
  limits.max_bytes = kMaxHeaderBytes;
  const Json json = parse_json(header, where, limits);

  std::map<std::string, TensorEntry> tensors;
  std::vector<Range> ranges;
  for (const auto& [name, entry] : json.items()) {
    if (name == "__metadata__") {
      check_metadata(entry, where);
      continue;
    }
    const std::string place = fmt::format("{}, tensor '{}'", where, shorten(name, 200));
    if (!entry.is_object()) refuse(place, "its entry is no object");
    for (const auto& [key, value] : entry.items())
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        refuse(place, fmt::format("unknown key '{}'", key));
    TensorEntry tensor;
    tensor.dtype = get<std::string>(entry, "dtype", place);
    const uint64_t element_bytes = dtype_bytes(tensor.dtype);
    if (element_bytes == 0) refuse(place, fmt::format("unknown dtype '{}'", tensor.dtype));
    tensor.shape = dimensions(entry.contains("shape") ? entry["shape"] : Json(), place);
    tensor.size = 1;
    for (const int64_t extent : tensor.shape) tensor.size = checked_mul(tensor.size, extent, place);
    const uint64_t size_bytes = checked_mul(static_cast<uint64_t>(tensor.size), element_bytes, place);
    const Range range = offsets(entry, name, place);
    if (range.begin > range.end || range.end > data.size())
      refuse(place, fmt::format("data_offsets [{}, {}) lie outside {} bytes of data", range.begin, range.end,
                                data.size()));
    if (range.end - range.begin != size_bytes)
      refuse(place,
             fmt::format("{} bytes of data for a shape that needs {}", range.end - range.begin, size_bytes));
    tensor.bytes = data.substr(range.begin, size_bytes);
    ranges.push_back(range);
    tensors.emplace(name, std::move(tensor));
  }
  check_tiling(ranges, data.size(), where);
  return tensors;
}

void read_as_float(const TensorEntry& tensor, int64_t begin, int64_t end, float* out,
                   const std::string& name) {
  ensure(begin >= 0 && begin <= end && end <= tensor.size, "a range of elements lies inside its tensor");
  const size_t count = static_cast<size_t>(end - begin);
  if (count == 0) return;
  if (tensor.dtype == "F32") {
    std::memcpy(out, tensor.bytes.data() + begin * 4, count * 4);
    return;
  }
  const bool is_bf16 = tensor.dtype == "BF16";
  if (!is_bf16 && tensor.dtype != "F16")
    throw Error(Code::input, fmt::format("tensor '{}' has dtype {}", name, tensor.dtype),
                "weights of dtype F32, F16 and BF16 are read");
  const char* from = tensor.bytes.data() + begin * 2;
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, from + 2 * i, 2);
    out[i] = is_bf16 ? float_of_bf16(bits) : float_of_f16(bits);
  }
}

SafetensorsFile::SafetensorsFile(const fs::path& path)
    : file_(path), tensors_(parse_safetensors(file_.bytes(), path.string())) {}

std::string safetensors_header(const std::vector<TensorPlan>& tensors) {
  Json json = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t at = 0;
  for (const TensorPlan& tensor : tensors) {
    uint64_t size_bytes = dtype_bytes(tensor.dtype);
    ensure(size_bytes > 0, "a dtype that we write is known");
    for (const int64_t extent : tensor.shape)
      size_bytes = checked_mul(size_bytes, static_cast<uint64_t>(extent), tensor.name);
    const uint64_t end = checked_add(at, size_bytes, tensor.name);
    json[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = to_text(json);
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t header_bytes = text.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &header_bytes, 8);
  return out + text;
}

}  // namespace retrace::model
