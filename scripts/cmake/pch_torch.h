// The same for the rooms with torch.
#pragma once

#include "scripts/cmake/pch_plain.h"
// After fmt: torch brings its own.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/Device.h>
