#include "model/files/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/checked.h"
#include "core/text.h"

namespace retrace::model {

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr uint64_t kMaxNameBytes = 65535;
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kDefaultAlignment = 32, kMaxAlignment = uint64_t{1} << 20;

// 0 for types without a fixed size.
uint64_t fixed_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

template <class T>
T load(std::string_view raw, uint64_t index) {
  T value;
  std::memcpy(&value, raw.data() + index * sizeof(T), sizeof(T));
  return value;
}

bool is_float(GgufType type) {
  return type == GgufType::f32 || type == GgufType::f64;
}

}  // namespace

// Walks the file; every step is checked against what is left of it.
class GgufFile::Reader {
 public:
  Reader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  [[noreturn]] void refuse(const std::string& message) const {
    throw Error(Code::corrupt, message, "", fmt::format("{}, byte {}", where_, at_));
  }
  size_t at() const { return at_; }
  uint64_t left() const { return bytes_.size() - at_; }

  std::string_view take(uint64_t count) {
    if (count > left()) refuse(fmt::format("{} more bytes are needed, {} are left: cut off?", count, left()));
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  template <class T>
  T number() {
    return load<T>(take(sizeof(T)), 0);
  }
  // A count of things of which each takes at least `least_bytes`.
  uint64_t count(uint64_t least_bytes, const char* of_what) {
    const uint64_t value = number<uint64_t>();
    if (value > left() / least_bytes)
      refuse(fmt::format("{} {} do not fit into the {} bytes that are left", value, of_what, left()));
    return value;
  }
  std::string_view string() { return take(number<uint64_t>()); }
  std::string name(const char* of_what) {
    const std::string_view text = string();
    if (text.empty() || text.size() > kMaxNameBytes || !is_valid_utf8(text))
      refuse(fmt::format("the name of {} is empty, too long or not UTF-8", of_what));
    return std::string(text);
  }
  GgufType type() {
    const uint32_t id = number<uint32_t>();
    if (id > static_cast<uint32_t>(GgufType::f64)) refuse(fmt::format("unknown metadata type {}", id));
    return static_cast<GgufType>(id);
  }

  GgufValue value() {
    GgufValue value;
    value.type = type();
    value.count = 1;
    if (value.type == GgufType::array) {
      value.is_array = true;
      value.type = type();
      if (value.type == GgufType::array) refuse("arrays of arrays are not supported");
      value.count = count(value.type == GgufType::string ? 8 : fixed_bytes(value.type), "array elements");
    }
    if (value.type == GgufType::string) {
      value.strings.reserve(value.count);
      for (uint64_t i = 0; i < value.count; ++i) value.strings.push_back(string());
    } else {
      value.raw = take(value.count * fixed_bytes(value.type));
    }
    return value;
  }

 private:
  std::string_view bytes_;
  const std::string& where_;
  size_t at_ = 0;
};

GgufFile::GgufFile(const fs::path& path) : where_(path.string()) {
  file_.emplace(path);
  parse(file_->bytes());
}

GgufFile::GgufFile(std::string_view bytes, const std::string& where) : where_(where) {
  parse(bytes);
}

void GgufFile::parse(std::string_view bytes) {
  Reader reader(bytes, where_);
  if (!bytes.starts_with("GGUF")) reader.refuse("this is no GGUF file");
  reader.take(4);
  const uint32_t version = reader.number<uint32_t>();
  if (version != 2 && version != 3)
    reader.refuse((version & 0xFFFFu) == 0 ? "big-endian GGUF files are not supported"
                                           : fmt::format("GGUF version {}; 2 and 3 are supported", version));
  constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8, kLeastPairBytes = 8 + 1 + 4 + 1;
  const uint64_t num_tensors = reader.count(kLeastTensorBytes, "tensors");
  const uint64_t num_pairs = reader.count(kLeastPairBytes, "metadata entries");
  for (uint64_t i = 0; i < num_pairs; ++i) {
    std::string key = reader.name("a metadata entry");
    if (!metadata_.emplace(key, reader.value()).second)
      reader.refuse(fmt::format("key '{}' is there twice", key));
  }

  const int64_t alignment = integer_or("general.alignment", kDefaultAlignment);
  if (alignment < 8 || alignment > static_cast<int64_t>(kMaxAlignment) || (alignment & (alignment - 1)) != 0)
    reader.refuse(
        fmt::format("'general.alignment' = {} is no power of two from 8 to {}", alignment, kMaxAlignment));
  const uint64_t step = static_cast<uint64_t>(alignment);

  struct Place {
    uint64_t offset, size;
    const std::string* name;
    GgufTensor* tensor;
  };
  std::vector<Place> places;
  for (uint64_t i = 0; i < num_tensors; ++i) {
    const std::string name = reader.name("a tensor");
    const auto [entry, is_new] = tensors_.emplace(name, GgufTensor());
    if (!is_new) reader.refuse(fmt::format("tensor '{}' is there twice", name));
    GgufTensor& tensor = entry->second;
    const uint32_t num_dimensions = reader.number<uint32_t>();
    if (num_dimensions < 1 || num_dimensions > kMaxDimensions)
      reader.refuse(fmt::format("tensor '{}' has {} dimensions", name, num_dimensions));
    int64_t elements = 1;
    for (uint32_t d = 0; d < num_dimensions; ++d) {
      const int64_t extent = checked_cast<int64_t>(reader.number<uint64_t>(), name);
      if (extent < 1) reader.refuse(fmt::format("tensor '{}' has a dimension of {}", name, extent));
      elements = checked_mul(elements, extent, name);
      tensor.shape.insert(tensor.shape.begin(), extent);
    }
    const uint32_t format = reader.number<uint32_t>();
    tensor.format = block_format(format);
    if (tensor.format == nullptr)
      throw Error(Code::input, fmt::format("tensor '{}' has type {}, which is not supported", name, format),
                  readable_formats() + " are read", where_);
    if (tensor.row_elements() % tensor.format->block_elements != 0)
      reader.refuse(fmt::format("rows of {} in tensor '{}' are no multiple of {}'s blocks of {}",
                                tensor.row_elements(), name, tensor.format->name,
                                tensor.format->block_elements));
    const int64_t size_bytes =
        checked_mul(elements / tensor.format->block_elements, tensor.format->block_bytes, name);
    const uint64_t offset = reader.number<uint64_t>();
    if (offset % step != 0)
      reader.refuse(fmt::format("tensor '{}' starts at {}, not a multiple of {}", name, offset, step));
    places.push_back({offset, static_cast<uint64_t>(size_bytes), &entry->first, &tensor});
  }

  if (places.empty()) return;
  const uint64_t data_at = (reader.at() + step - 1) / step * step;
  if (data_at > bytes.size()) reader.refuse("the file ends before its tensors");
  const std::string_view data = bytes.substr(data_at);
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.offset < b.offset; });
  uint64_t free_from = 0;
  for (const Place& place : places) {
    if (place.offset < free_from) reader.refuse(fmt::format("tensor '{}' overlaps another", *place.name));
    free_from = checked_add(place.offset, place.size, *place.name);
    if (free_from > data.size())
      reader.refuse(fmt::format("tensor '{}' ends at byte {} of {} bytes of data: cut off?", *place.name,
                                free_from, data.size()));
    place.tensor->bytes = data.substr(place.offset, place.size);
  }
}

const GgufValue* GgufFile::find(const std::string& key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

const GgufValue& GgufFile::need(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) throw Error(Code::corrupt, fmt::format("key '{}' is missing", key), "", where_);
  return *value;
}

int64_t GgufFile::number_at(const std::string& key, const GgufValue& value, uint64_t index) const {
  switch (value.type) {
    case GgufType::u8:
      return load<uint8_t>(value.raw, index);
    case GgufType::i8:
      return load<int8_t>(value.raw, index);
    case GgufType::u16:
      return load<uint16_t>(value.raw, index);
    case GgufType::i16:
      return load<int16_t>(value.raw, index);
    case GgufType::u32:
      return load<uint32_t>(value.raw, index);
    case GgufType::i32:
      return load<int32_t>(value.raw, index);
    case GgufType::u64:
      return checked_cast<int64_t>(load<uint64_t>(value.raw, index), key);
    case GgufType::i64:
      return load<int64_t>(value.raw, index);
    default:
      throw Error(Code::corrupt, fmt::format("key '{}' is no integer", key), "", where_);
  }
}

int64_t GgufFile::integer(const std::string& key) const {
  const GgufValue& value = need(key);
  if (value.is_array) throw Error(Code::corrupt, fmt::format("key '{}' is an array", key), "", where_);
  return number_at(key, value, 0);
}

int64_t GgufFile::integer_or(const std::string& key, int64_t fallback) const {
  return find(key) == nullptr ? fallback : integer(key);
}

double GgufFile::number_or(const std::string& key, double fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_array || !is_float(value->type))
    throw Error(Code::corrupt, fmt::format("key '{}' is no floating-point number", key), "", where_);
  return value->type == GgufType::f32 ? load<float>(value->raw, 0) : load<double>(value->raw, 0);
}

bool GgufFile::flag_or(const std::string& key, bool fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_array || value->type != GgufType::boolean)
    throw Error(Code::corrupt, fmt::format("key '{}' is no boolean", key), "", where_);
  return load<uint8_t>(value->raw, 0) != 0;
}

std::string GgufFile::text(const std::string& key) const {
  const GgufValue& value = need(key);
  if (value.is_array || value.type != GgufType::string)
    throw Error(Code::corrupt, fmt::format("key '{}' is no string", key), "", where_);
  if (!is_valid_utf8(value.strings[0]))
    throw Error(Code::corrupt, fmt::format("key '{}' is not UTF-8", key), "", where_);
  return std::string(value.strings[0]);
}

std::string GgufFile::text_or(const std::string& key, const std::string& fallback) const {
  return find(key) == nullptr ? fallback : text(key);
}

const std::vector<std::string_view>& GgufFile::texts(const std::string& key) const {
  const GgufValue& value = need(key);
  if (!value.is_array || value.type != GgufType::string)
    throw Error(Code::corrupt, fmt::format("key '{}' is no array of strings", key), "", where_);
  return value.strings;
}

std::vector<int64_t> GgufFile::integers(const std::string& key) const {
  const GgufValue& value = need(key);
  if (!value.is_array || value.type == GgufType::string)
    throw Error(Code::corrupt, fmt::format("key '{}' is no array of integers", key), "", where_);
  std::vector<int64_t> numbers;
  numbers.reserve(value.count);
  for (uint64_t i = 0; i < value.count; ++i) numbers.push_back(number_at(key, value, i));
  return numbers;
}

}  // namespace retrace::model
