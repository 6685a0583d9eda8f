// Transformer Engine's library, opened at run time through its C API of version 2.20.
#pragma once

#include <string>

#include "model/device/te_functions.h"

namespace retrace::model::cuda {

// Opens the library and finds every function that is used, or says what is wrong; "" = ready. A second call
// keeps what is open.
std::string open_te(const char* path);
// Usable after open_te() has said "".
extern const TeFunctions kTeKernels;

}  // namespace retrace::model::cuda
