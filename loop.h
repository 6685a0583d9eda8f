// The closed loop, round by round, and the verbs that run one stage of it on a run folder.
#pragma once

#include <vector>

#include "core/cli.h"
#include "core/fields.h"

namespace retrace {

struct LoopConfig {
  static constexpr const char* kSection = "loop";
  static constexpr const char* kAbout = "Rounds";
  int64_t rounds = 2;
  std::string start = "previous";
  double dev_fraction = 0.1, test_fraction = 0.1;
  static auto fields() {
    return std::tuple{
        field("rounds", &LoopConfig::rounds, "Rounds: each takes a new slice of repositories").range(1, 1000),
        field("start", &LoopConfig::start, "Weights that a round starts from").choices({"previous", "base"}),
        field("dev_fraction", &LoopConfig::dev_fraction, "Share of repositories for the development split")
            .range(0, 0.9),
        field("test_fraction", &LoopConfig::test_fraction, "Share of repositories for the test split")
            .range(0, 0.9)};
  }
};

std::vector<Verb> loop_verbs();

}  // namespace retrace
