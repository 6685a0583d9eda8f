// The forms of a coordinator that core has.
#pragma once

#include <functional>

#include "core/ranks/coordinator.h"
#include "tests/core/testing.h"

namespace retrace::testing {

// Runs `check` with each form.
inline void with_each(const std::function<void(Coordinator&)>& check) {
  const auto in_process = make_in_process_coordinator();
  check(*in_process);
  TempFolder temp;
  const auto folder = make_folder_coordinator(temp / "store");
  check(*folder);
}

}  // namespace retrace::testing
