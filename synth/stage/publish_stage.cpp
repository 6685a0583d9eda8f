#include "synth/stage/publish_stage.h"

#include "core/error.h"
#include "core/files/files.h"
#include "synth/hygiene/duplicate_files.h"
#include "synth/stage/finished.h"
#include "synth/stage/gathering.h"
#include "synth/stage/result_writer.h"
#include "synth/stage/work_item_files.h"

namespace retrace::synth {

namespace {

Error nothing_left(Ledger& ledger) {
  std::string why, hint = "name other repositories in synth.input, or filter less ([hygiene], synth.keep_*)";
  std::map<std::string, int64_t> reasons;
  ledger.each([&](const LedgerRow& row) { ++reasons[row.reason]; });
  for (const auto& [reason, count] : reasons)
    why += fmt::format("{}{} ({})", why.empty() ? "" : ", ", reason, count);
  return Error(Code::input, "no repository is left: " + why, hint);
}

// duplicates.jsonl: every file that was left out because an earlier repository has it; no file for none.
void write_duplicates(const fs::path& out, Ledger& ledger) {
  const fs::path path = out / "duplicates.jsonl";
  remove_file(path);
  std::unique_ptr<StagedFile> file;
  ledger.each([&](const LedgerRow& row) {
    if (row.state != "planned" && row.state != "done") return;
    for (const DuplicateFile& d : duplicates_from_json(row.duplicates, "ledger")) {
      if (!file) file = std::make_unique<StagedFile>(path);
      file->write(to_text({{"repository", row.read_result.at("origin")},
                           {"path", d.path},
                           {"reason", d.reason()},
                           {"duplicate_of", d.of}}) +
                  "\n");
    }
  });
  if (file) file->commit();
}

}  // namespace

void publish_stage(const SynthJob& job, const SynthConfig& config, const fs::path& items,
                   const MakePlan& plan, RecordMaker& maker, Ledger& ledger) {
  if (plan.n_records == 0) throw nothing_left(ledger);
  maker.publish();
  ResultWriter publisher(job.out, config, plan.n_records);
  make_queue(items).each([&](const WorkItem& item) {
    each_made(items, item, [&](const Trajectory& t, const Json& summary) { publisher.add(t, summary); });
    publisher.add_candidates(made_candidates(items, item));
  });
  Json sources = source_counts(ledger);
  if (job.contamination) sources["benchmark_tasks_checked"] = job.contamination->tasks();
  write_duplicates(job.out, ledger);
  for (const char* reason : {"duplicate_repository", "empty_repository"})
    publisher.total()["dropped"][reason] = get_or<int64_t>(sources.at("dropped"), reason, 0, "summary");
  publisher.total()["sources"] = sources;
  publisher.total()["models"] = maker.models();
  publisher.finish(job.round, job.fold, done_json(maker, plan.key));
}

}  // namespace retrace::synth
