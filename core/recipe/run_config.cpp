// The keys of the sections in core/recipe/run_config.h, declared once.
#include "core/recipe/run_config.h"

namespace retrace {

auto RunConfig::fields() {
  return std::tuple{
      field("name", &RunConfig::name, "Name of the run; empty = the recipe's file name"),
      field("dir", &RunConfig::dir, "Run folder; empty = runs/NAME"),
      field("seed", &RunConfig::seed, "Seed of everything that draws"),
      field("nproc", &RunConfig::nproc, "Ranks to start on this machine when no launcher did").range(1, 1024),
      field("threads", &RunConfig::threads, "Compute threads a rank; 0 = cores / ranks").range(0, 1024),
      field("timeout_s", &RunConfig::timeout_s, "How long ranks wait for one another").unit("s").at_least(1)};
}

auto DebugConfig::fields() {
  return std::tuple{field("fail_at", &DebugConfig::fail_at,
                          "Failpoints: name[:rank[:step[:kill|throw|stop|enospc]]], comma-separated")};
}

template RunConfig Recipe::get<RunConfig>() const;
template Section describe<RunConfig>();
template DebugConfig Recipe::get<DebugConfig>() const;
template Section describe<DebugConfig>();

}  // namespace retrace
