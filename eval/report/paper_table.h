// The published results of arXiv 2603.11103 (Llama-3-8B-Instruct, 20B tokens, 64K), as its summaries give
// them.
#pragma once

#include <string>
#include <vector>

namespace retrace::eval {

struct PaperRow {
  std::string benchmark;
  // Columns of the paper; "" = not published where we could read it.
  std::string prolong, raw_repos, repo2agent, repo2agent_search;
  // The task and metric of ours that measures the same thing; "" = not measured yet.
  std::string task, metric;
};

const std::vector<PaperRow>& paper_table();

}  // namespace retrace::eval
