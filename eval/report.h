// The report of a run: one self-contained HTML page, the same numbers as Markdown and as JSON. It reads the
// files that a run leaves (README, "What a run leaves behind") and computes nothing that is not in them.
#pragma once

#include <vector>

#include "core/files/files.h"
#include "core/json.h"

namespace retrace::eval {

// Writes report.html, report.md and report.json into the run folder and returns the path of report.html.
fs::path write_report(const fs::path& run);

}  // namespace retrace::eval
