// Bytes of the MDS format (mosaicml-streaming version 2): column encodings, the layout of a sample and of a
// shard.
//   shard  = u32 n, u32 offset[n + 1], configuration (JSON), samples; offsets count from the start of the
//   file sample = u32 size of each column without a fixed size, then the columns' bytes, columns in order of
//   name ndarray:DTYPE = u8 (dimensions << 2 | log2 of a size's bytes), the sizes, the values; all
//   little-endian
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace retrace::data {

struct NumberType {
  char kind = 'u';  // u, i, f
  uint32_t size_bytes = 4;
};
// "uint32" -> {u, 4}; nothing for an unknown name.
std::optional<NumberType> number_type(std::string_view name);

// How a column's bytes are read. Encodings outside this list are allowed in columns that are not needed.
struct ColumnEncoding {
  enum class Form { scalar, array, text, other };
  Form form = Form::other;
  std::optional<NumberType> type;              // scalar, or an array's if fixed
  std::optional<std::vector<uint64_t>> shape;  // an array's, if fixed
};
ColumnEncoding parse_encoding(const std::string& text);

// Values of an array or scalar column, seen in place. Error{corrupt} if bytes and shape disagree.
struct ArrayView {
  NumberType type;
  uint64_t count = 0;
  std::string_view values;
  int64_t integer(uint64_t i) const;  // of an integer type; Error{corrupt} if it is a float or above int64
  double number(uint64_t i) const;
};
ArrayView view_array(std::string_view bytes, const ColumnEncoding& encoding, const std::string& column);

// The array's bytes for one of our columns (rows x columns if `columns` > 0).
template <class T>
std::string encode_array(const std::vector<T>& values, uint64_t columns = 0);
std::string array_head(uint64_t rows, uint64_t columns);

uint32_t read_u32(std::string_view bytes, size_t at);
void append_u32(uint64_t value, std::string& out);  // Error{internal} above 32 bits

// JSON text as Python's json.dumps(value, sort_keys=True) writes it: the bytes of the reference writer.
std::string python_json(const Json& value);

template <class T>
std::string encode_array(const std::vector<T>& values, uint64_t columns) {
  std::string out =
      columns == 0 ? array_head(values.size(), 0) : array_head(values.size() / columns, columns);
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return out;
}

}  // namespace retrace::data
