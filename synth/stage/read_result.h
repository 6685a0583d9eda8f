// What one reading of a repository tells the ledger: whether it can be had, what it is, how large, and its
// MinHash. One JSON line, written by whichever rank read it.
#pragma once

#include <functional>
#include <string>

#include "synth/config.h"
#include "synth/stage/ledger.h"

namespace retrace::synth {

// What is wanted of a source beside what every row has.
struct ReadResultOptions {
  HygieneConfig hygiene;           // files, if duplicates among them are looked for
  bool cluster_signature = false;  // what slices are cut by (synth/slices.h), as "cluster_signature"
};
LedgerRow read_result_of(const SourceRef& source, const Snapshot& snapshot,
                         const ReadResultOptions& wanted = {});

// Reads the repository. A row `planned` with its result, or `failed` with the reason; errors that are no
// fault of the repository (a signal, a failing disk) are thrown.
LedgerRow try_read(const SourceRef& source, const std::function<Snapshot(const SourceRef&)>& take,
                   const ReadResultOptions& wanted);

std::string read_result_line(const LedgerRow& row);  // without the source, which the work item says
LedgerRow read_result_from_line(const SourceRef& source, const std::string& line, const std::string& where);

Json to_json(const SourceRef& source);
SourceRef source_from_json(const Json& json, const std::string& where);

}  // namespace retrace::synth
