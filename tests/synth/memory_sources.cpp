#include "tests/synth/memory_sources.h"

#include "core/error.h"
#include "core/files/files.h"
#include "synth/stage/read_result.h"
#include "tests/synth/record_testing.h"

namespace retrace::synth::handmade {

std::map<std::string, std::string> results_in(const fs::path& out) {
  auto files = all_files(out);
  files.erase("ledger.db");
  files.erase("ledger.db-journal");
  return files;
}

namespace {

std::vector<SourceRef> sources_of(const std::vector<Snapshot>& snapshots, const std::vector<int>& which) {
  std::vector<SourceRef> sources;
  for (size_t k = 0; k < which.size(); ++k) {
    const std::string name = fmt::format("{:04}", k);
    sources.push_back({name, name, name, which[k], 0, snapshots.at(static_cast<size_t>(which[k])).tree_hash});
  }
  return sources;
}

std::function<Snapshot(const SourceRef&)> taker(const std::vector<Snapshot>& snapshots) {
  return [&snapshots](const SourceRef& source) { return snapshots.at(static_cast<size_t>(source.at)); };
}

}  // namespace

void slice_of_snapshots(SynthJob* job, const std::vector<Snapshot>& snapshots, std::vector<int> which) {
  job->take = taker(snapshots);
  job->slice = [&snapshots, sources = sources_of(snapshots, which)](const auto& use) {
    for (const SourceRef& source : sources)
      use(read_result_of(source, snapshots.at(static_cast<size_t>(source.at))));
  };
}

void list_snapshots(SynthJob* job, const std::vector<Snapshot>& snapshots, std::vector<int> which) {
  job->take = taker(snapshots);
  job->list = [sources = sources_of(snapshots, which)](const UseSource& use) {
    for (const SourceRef& source : sources) use(source);
  };
}

}  // namespace retrace::synth::handmade
