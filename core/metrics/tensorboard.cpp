// TensorBoard's event format: TFRecord frames (length, masked CRC-32C of it, bytes, masked CRC-32C of them)
// around protobuf messages of type tensorflow.Event; written by hand, since four fields are all we need.
#include "core/metrics/tensorboard.h"

#include <array>
#include <bit>
#include <cstring>

#include "core/metrics/metrics.h"

namespace retrace {

namespace {

constexpr std::array<uint32_t, 256> make_crc_table() {
  constexpr uint32_t kCastagnoli = 0x82F63B78;  // reflected
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kCastagnoli : 0);
    table[i] = value;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

template <class T>
std::string little_endian(T value) {
  static_assert(std::endian::native == std::endian::little);
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string tag(uint64_t field, WireType type) {
  return varint(field << 3 | type);
}
std::string bytes_field(uint64_t field, std::string_view bytes) {
  return tag(field, kBytes) + varint(bytes.size()) + std::string(bytes);
}

uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

std::string record(const std::string& event) {
  const std::string length = little_endian(uint64_t{event.size()});
  return length + little_endian(masked_crc(length)) + event + little_endian(masked_crc(event));
}

// tensorflow.Event: wall_time = 1, step = 2, file_version = 3, summary = 5.
std::string event_head(double wall_time_s) {
  return tag(1, kFixed64) + little_endian(wall_time_s);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (char c : bytes) crc = kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

std::string tensorboard_version_record(double wall_time_s) {
  return record(event_head(wall_time_s) + bytes_field(3, "brain.Event:2"));
}

// tensorflow.Summary: value = 1; its Value: tag = 1, simple_value = 2.
std::string tensorboard_scalar_record(double wall_time_s, int64_t step, const std::string& name,
                                      float value) {
  const std::string scalar = bytes_field(1, name) + tag(2, kFixed32) + little_endian(value);
  return record(event_head(wall_time_s) + tag(2, kVarint) + varint(static_cast<uint64_t>(step)) +
                bytes_field(5, bytes_field(1, scalar)));
}

}  // namespace retrace
