// Recipe sections that belong to no room: where a run lives, its seed, its processes; and fault injection.
#pragma once

#include "core/fields.h"

namespace retrace {

struct RunConfig {
  static constexpr const char* kSection = "run";
  static constexpr const char* kAbout = "Where the run lives, and on how many processes";
  std::string name = "", dir = "";
  int64_t seed = 1, nproc = 1, threads = 0;
  double timeout_s = 600;
  static auto fields() {
    return std::tuple{
        field("name", &RunConfig::name, "Name of the run; empty = the recipe's file name"),
        field("dir", &RunConfig::dir, "Run folder; empty = runs/NAME"),
        field("seed", &RunConfig::seed, "Seed of everything that draws"),
        field("nproc", &RunConfig::nproc, "Ranks to start on this machine when no launcher did")
            .range(1, 1024),
        field("threads", &RunConfig::threads, "Compute threads a rank; 0 = cores / ranks").range(0, 1024),
        field("timeout_s", &RunConfig::timeout_s, "How long ranks wait for one another")
            .unit("s")
            .at_least(1)};
  }
};

struct DebugConfig {
  static constexpr const char* kSection = "debug";
  static constexpr const char* kAbout = "Fault injection";
  std::string fail_at = "";
  static auto fields() {
    return std::tuple{field("fail_at", &DebugConfig::fail_at,
                            "Failpoints: name[:rank[:step[:kill|throw|stop|enospc]]], comma-separated")};
  }
};

}  // namespace retrace
