// One trajectory as one self-contained HTML page: statistics, file tree, dependency graph, and every step in
// order, folded, with what the search tried at each thought. No script, nothing fetched (its own
// Content-Security-Policy forbids both), light and dark by the reader's preference, usable by keyboard and at
// 400 pixels. All text of the repository goes through html_text().
#pragma once

#include <map>
#include <string>

#include "synth/record/trajectory.h"
#include "synth/view/search_log.h"

namespace retrace::synth {

std::string trajectory_page(const Trajectory& t, const SearchLog& log);

// Bytes of the rendered document by kind; whether a kind carries loss by the default weights.
struct DocumentBytes {
  std::map<Kind, int64_t> by_kind;
  int64_t trained = 0, masked = 0;
};
DocumentBytes document_bytes(const Trajectory& t);
bool is_trained(Kind kind);

// The parts, for trajectory_page.
std::string page_css();
std::string steps_html(const Trajectory& t, const SearchLog& log);
std::string file_link(const Trajectory& t, int file);

}  // namespace retrace::synth
