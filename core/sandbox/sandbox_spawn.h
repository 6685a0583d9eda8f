// Starting the sandbox's programs and watching over them: descriptors, rights, output, time. Used by
// sandbox.cpp only.
#pragma once

#include <fcntl.h>

#include <string>
#include <utility>
#include <vector>

#include "core/sandbox/sandbox.h"

namespace retrace {

struct SpawnPlan {
  std::vector<std::string> argv, environment;   // argv[0] is a path; environment as NAME=value, nothing else
  std::vector<std::pair<Fd, int>> descriptors;  // {ours, its number in the child}
  bool drop_root = false;                       // become nobody before the program starts
  bool own_folder = false;                      // in a new temporary folder, removed afterwards
};

inline constexpr double kStartUpLimit_s = 60;  // until the first byte of a message

Outcome run_plans(std::vector<SpawnPlan> plans, double timeout_s, size_t max_output_bytes, int message,
                  size_t max_message_bytes);

}  // namespace retrace
