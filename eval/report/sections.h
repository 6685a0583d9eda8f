// The sections of the report, in page order. Each reads the object of collect_run and adds nothing when its
// numbers are not there yet.
#pragma once

#include "core/files/files.h"
#include "core/json.h"
#include "eval/report/page.h"

namespace retrace::eval {

void add_overview(const Json& run, Page& page);
void add_heldout(const Json& run, Page& page);   // bits per byte before and after every round
void add_training(const Json& run, Page& page);  // loss, learning rate, throughput
// Where each rank's time went in the newest steps, and how often each was waited for. Only of several ranks.
void add_ranks(const fs::path& run_folder, const Json& run, Page& page);
void add_search(const Json& run, Page& page);  // gains as the scorer and the judge saw them, verdicts
// What the chosen thoughts are worth against controls, both presets on the same candidates, tokens computed.
void add_controls(const Json& run, Page& page);
void add_sources(const Json& run, Page& page);  // of streamed synthesis: kept, dropped, licences, languages
void add_tokens(const Json& run, Page& page);   // tokens per role, trained and masked
void add_benchmarks(const Json& run, Page& page);    // all results, and our columns beside the paper's
void add_repositories(const Json& run, Page& page);  // slices, and everything dropped with its reason
void add_trajectory(const fs::path& run_folder, Page& page);
void add_settings(const fs::path& run_folder, Page& page);  // what the recipe assumes

// Reads a number at a path of keys; NaN if any is missing.
double number_at(const Json& json, std::initializer_list<const char*> path);
std::string show_number(double value, int digits = 4);  // "-" for NaN

}  // namespace retrace::eval
