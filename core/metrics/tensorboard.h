// The checksum of TensorBoard's event files; the records themselves are declared in core/metrics/metrics.h.
#pragma once

#include <cstdint>
#include <string_view>

namespace retrace {

uint32_t crc32c(std::string_view bytes);  // CRC-32C (Castagnoli)

}  // namespace retrace
