// The one addition that sums of gradients are made of, whichever rank or collective adds.
#pragma once

#include <cstdint>

namespace retrace::train {

void add_into(const float* values, int64_t n, float* sum);  // sum[i] += values[i]

}  // namespace retrace::train
