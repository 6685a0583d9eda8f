#include "data/mds/mds_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "core/error.h"

namespace retrace::data {

static_assert(std::endian::native == std::endian::little, "MDS is little-endian");

namespace {

template <class T>
T load(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

uint64_t load_unsigned(std::string_view bytes, size_t at, uint32_t size) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, size);
  return value;
}

float half_to_float(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const float sign = half >> 15 ? -1.0f : 1.0f;
  if (exponent == 0) return sign * static_cast<float>(fraction) * 0x1p-24f;
  if (exponent == 31)
    return fraction ? std::bit_cast<float>(0x7FC00000u) : sign * std::bit_cast<float>(0x7F800000u);
  return sign * static_cast<float>(1024 + fraction) * std::bit_cast<float>((exponent - 25 + 127) << 23);
}

[[noreturn]] void broken(const std::string& column, const std::string& what) {
  fail(Code::corrupt, "column '{}': {}", column, what);
}

// The code of a value type that is written into the array itself.
std::optional<NumberType> type_of_code(unsigned code) {
  switch (code) {
    case 8:
      return NumberType{'u', 1};
    case 9:
      return NumberType{'i', 1};
    case 16:
      return NumberType{'u', 2};
    case 17:
      return NumberType{'i', 2};
    case 18:
      return NumberType{'f', 2};
    case 32:
      return NumberType{'u', 4};
    case 33:
      return NumberType{'i', 4};
    case 34:
      return NumberType{'f', 4};
    case 64:
      return NumberType{'u', 8};
    case 65:
      return NumberType{'i', 8};
    case 66:
      return NumberType{'f', 8};
    default:
      return std::nullopt;
  }
}

bool parse_size(std::string_view text, uint64_t& value) {
  if (text.empty() || text.size() > 12) return false;
  value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value > 0;
}

}  // namespace

std::optional<NumberType> number_type(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, NumberType>, 11> kTypes = {{{"uint8", {'u', 1}},
                                                                                      {"int8", {'i', 1}},
                                                                                      {"uint16", {'u', 2}},
                                                                                      {"int16", {'i', 2}},
                                                                                      {"float16", {'f', 2}},
                                                                                      {"uint32", {'u', 4}},
                                                                                      {"int32", {'i', 4}},
                                                                                      {"float32", {'f', 4}},
                                                                                      {"uint64", {'u', 8}},
                                                                                      {"int64", {'i', 8}},
                                                                                      {"float64", {'f', 8}}}};
  for (const auto& [known, type] : kTypes)
    if (name == known) return type;
  return std::nullopt;
}

ColumnEncoding parse_encoding(const std::string& text) {
  using Form = ColumnEncoding::Form;
  if (text == "str") return {Form::text, {}, {}};
  if (text == "int") return {Form::scalar, NumberType{'i', 8}, {}};
  if (auto scalar = number_type(text)) return {Form::scalar, scalar, {}};
  if (text.compare(0, 7, "ndarray") != 0 || (text.size() > 7 && text[7] != ':')) return {};
  ColumnEncoding encoding{Form::array, {}, {}};
  std::string_view rest = text.size() > 8 ? std::string_view(text).substr(8) : std::string_view();
  const std::string_view type = rest.substr(0, rest.find(':'));
  if (!type.empty() && !(encoding.type = number_type(type))) return {};
  if (type.size() == rest.size()) return encoding;
  rest.remove_prefix(type.size() + 1);
  encoding.shape.emplace();
  while (true) {
    const size_t comma = rest.find(',');
    uint64_t size = 0;
    if (!parse_size(rest.substr(0, comma), size)) return {};
    encoding.shape->push_back(size);
    if (comma == std::string_view::npos) return encoding;
    rest.remove_prefix(comma + 1);
  }
}

int64_t ArrayView::integer(uint64_t i) const {
  const size_t at = i * type.size_bytes;
  if (type.kind == 'f') fail(Code::corrupt, "a float where a whole number belongs");
  const uint64_t bits = load_unsigned(values, at, type.size_bytes);
  if (type.kind == 'u' && bits > static_cast<uint64_t>(INT64_MAX)) fail(Code::corrupt, "a number above 2^63");
  const auto shift = 64 - 8 * static_cast<int>(type.size_bytes);
  return type.kind == 'u' ? static_cast<int64_t>(bits) : static_cast<int64_t>(bits << shift) >> shift;
}

double ArrayView::number(uint64_t i) const {
  if (type.kind != 'f') return static_cast<double>(integer(i));
  const size_t at = i * type.size_bytes;
  if (type.size_bytes == 2) return static_cast<double>(half_to_float(load<uint16_t>(values, at)));
  return type.size_bytes == 4 ? static_cast<double>(load<float>(values, at)) : load<double>(values, at);
}

ArrayView view_array(std::string_view bytes, const ColumnEncoding& encoding, const std::string& column) {
  if (encoding.form == ColumnEncoding::Form::scalar) {
    if (bytes.size() != encoding.type->size_bytes) broken(column, "wrong size of a number");
    return {*encoding.type, 1, bytes};
  }
  size_t at = 0;
  auto need = [&](uint64_t count) {
    if (bytes.size() - at < count) broken(column, "the array's head is cut off");
  };
  std::optional<NumberType> type = encoding.type;
  if (!type) {
    need(1);
    type = type_of_code(static_cast<unsigned char>(bytes[at++]));
    if (!type) broken(column, "unknown value type");
  }
  uint64_t count = 1;
  const uint64_t available = bytes.size();
  auto multiply = [&](uint64_t size) {  // never beyond what the bytes could hold
    if (size == 0 || count > available / size) broken(column, "the shape does not fit the bytes");
    count *= size;
  };
  if (encoding.shape) {
    for (uint64_t size : *encoding.shape) multiply(size);
  } else {
    need(1);
    const auto head = static_cast<unsigned char>(bytes[at++]);
    const uint32_t dimensions = head >> 2, width = uint32_t{1} << (head & 3);
    need(uint64_t{dimensions} * width);
    for (uint32_t d = 0; d < dimensions; ++d, at += width) multiply(load_unsigned(bytes, at, width));
  }
  if (bytes.size() - at != count * type->size_bytes) broken(column, "the shape does not fit the bytes");
  return {*type, count, bytes.substr(at)};
}

std::string array_head(uint64_t rows, uint64_t columns) {
  ensure(rows > 0, "MDS has no empty arrays");
  const uint64_t largest = std::max(rows, columns);
  const unsigned log_width = largest < 1u << 8             ? 0
                             : largest < 1u << 16          ? 1
                             : largest < uint64_t{1} << 32 ? 2
                                                           : 3;
  const unsigned dimensions = columns == 0 ? 1 : 2;
  std::string head(1, static_cast<char>(dimensions << 2 | log_width));
  head.append(reinterpret_cast<const char*>(&rows), size_t{1} << log_width);
  if (columns > 0) head.append(reinterpret_cast<const char*>(&columns), size_t{1} << log_width);
  return head;
}

uint32_t read_u32(std::string_view bytes, size_t at) {
  return load<uint32_t>(bytes, at);
}

void append_u32(uint64_t value, std::string& out) {
  ensure(value <= UINT32_MAX, "an MDS size fits 32 bits");
  out.append(reinterpret_cast<const char*>(&value), 4);
}

std::string python_json(const Json& value) {
  std::string out;
  if (value.is_object()) {
    std::vector<std::string> keys;
    for (const auto& item : value.items()) keys.push_back(item.key());
    std::sort(keys.begin(), keys.end());
    for (const std::string& key : keys)
      out += (out.empty() ? "" : ", ") + Json(key).dump(-1, ' ', true) + ": " + python_json(value.at(key));
    return "{" + out + "}";
  }
  if (value.is_array()) {
    for (const Json& item : value) out += (out.empty() ? "" : ", ") + python_json(item);
    return "[" + out + "]";
  }
  return value.dump(-1, ' ', true);
}

}  // namespace retrace::data
