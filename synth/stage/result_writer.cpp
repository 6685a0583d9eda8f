#include "synth/stage/result_writer.h"

#include "core/error.h"
#include "core/hash.h"
#include "synth/stage/record_summary.h"
#include "synth/view/page.h"

namespace retrace::synth {

namespace {

constexpr size_t kRecordsPerShard = 4096;

fs::path cleared(fs::path out) {
  fs::remove(out / "done.json");
  remove_temp_files(out);
  for (const std::string& name : list_folder(out))
    if (fs::path(name).extension() == ".traj") fs::remove(out / name);
  return out;
}

}  // namespace

ResultWriter::ResultWriter(fs::path out, const SynthConfig& config, size_t n_records)
    : out_(cleared(std::move(out))),
      config_(config),
      n_records_(n_records),
      candidates_(out_ / "candidates.jsonl"),
      total_(empty_total()) {}

std::string ResultWriter::shard_name(size_t shard) const {
  return n_records_ <= kRecordsPerShard ? "trajectories.traj" : fmt::format("trajectories-{:05}.traj", shard);
}

void ResultWriter::add(const Trajectory& trajectory, const Json& summary) {
  ensure(added_ < n_records_, "no more records than were announced");
  if (added_ % kRecordsPerShard == 0) {
    if (writer_) writer_->finish();
    writer_ = std::make_unique<TrajectoryWriter>(out_ / shard_name(added_ / kRecordsPerShard));
  }
  ++added_;
  writer_->add(trajectory);
  add_record(total_, summary);
  const double rank = example_value(summary);
  if (rank <= example_rank_) return;
  example_rank_ = rank;
  example_ = trajectory;
}

void ResultWriter::add_candidates(std::string_view lines) {
  candidates_.write(lines);
}

void ResultWriter::finish(int round, const std::string& fold, Json done) {
  ensure(added_ == n_records_, "every record that was announced");
  if (!writer_) writer_ = std::make_unique<TrajectoryWriter>(out_ / shard_name(0));
  writer_->finish();
  candidates_.commit();
  const std::string summary = to_text(finished_total(std::move(total_), round, fold), 1) + "\n";
  const fs::path beside = out_ / shard_name(0);
  write_file(out_ / "example.html",
             example_ ? trajectory_page(*example_, read_search_log(beside, *example_)) : "");
  write_file(out_ / "summary.json", summary);
  done["trajectories"] = n_records_;
  done["summary"] = sha256_hex(summary);
  write_file(out_ / "done.json", to_text(done, 1) + "\n");
}

}  // namespace retrace::synth
