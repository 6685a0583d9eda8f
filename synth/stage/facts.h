// What one reading of a repository tells the ledger: whether it can be had, what it is, how large, and its
// MinHash. One JSON line, written by whichever rank read it.
#pragma once

#include <functional>
#include <string>

#include "synth/config.h"
#include "synth/stage/ledger.h"

namespace retrace::synth {

// What is wanted of a source beside the common facts.
struct FactsWanted {
  HygieneConfig hygiene;           // files, if duplicates among them are looked for
  bool cluster_signature = false;  // what slices are cut by (synth/slices.h), as "cluster_signature"
};
LedgerRow facts_of(const SourceRef& source, const Snapshot& snapshot, const FactsWanted& wanted = {});

// Reads the repository. A row `planned` with facts, or `failed` with the reason; errors that are no fault of
// the repository (a signal, a failing disk) are thrown.
LedgerRow read_facts(const SourceRef& source, const std::function<Snapshot(const SourceRef&)>& take,
                     const FactsWanted& wanted);

std::string facts_line(const LedgerRow& row);  // without the source, which the order says
LedgerRow facts_from_line(const SourceRef& source, const std::string& line, const std::string& where);

Json to_json(const SourceRef& source);
SourceRef source_from_json(const Json& json, const std::string& where);

}  // namespace retrace::synth
