#include "train/checkpoint/checkpoint_saver.h"

#include <cmath>

#include "core/clock.h"
#include "core/error.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "train/ranks/attempt.h"

namespace retrace::train {
namespace {

constexpr std::string_view kOk = "ok ";  // begins the text of a rank that did its share; what it made follows

std::string part_text(const WrittenPart& part) {
  return to_text(Json{{"file", to_json(part.file)}, {"hashes", part.hashes}});
}

WrittenPart part_from(const std::string& text, const std::string& where) {
  JsonLimits limits;
  limits.max_bytes = size_t{1} << 31;
  const Json json = parse_json(text, where, limits);
  return {state_file_from_json(get<Json>(json, "file", where), where),
          get<std::vector<std::vector<std::string>>>(json, "hashes", where)};
}

void write_manifest(const fs::path& path, const std::string& text, int64_t step) {
  StagedFile file(path);
  file.write(std::string_view(text).substr(0, text.size() / 2));
  failpoint("mid_manifest", step);
  file.write(std::string_view(text).substr(text.size() / 2));
  file.commit();
}

}  // namespace

CheckpointSaver::CheckpointSaver(World& world, Shards& shards, fs::path root, const CheckpointConfig& config)
    : world_(world), shards_(shards), root_(std::move(root)), config_(config) {}

CheckpointSaver::~CheckpointSaver() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

bool CheckpointSaver::save(Manifest draft, bool must, double timeout_s) {
  ensure(!outcome_.valid(), "one save at a time");
  const bool on_host = shards_.device().is_cpu();  // else what is written is copied to the host first
  const StateView& state = on_host ? view_of(shards_) : copy_.take(shards_);
  return report_outcome(run(world_.fresh_key("save"), std::move(draft), state, timeout_s), must);
}

void CheckpointSaver::start(Manifest draft, double timeout_s) {
  ensure(!outcome_.valid(), "one save at a time");
  copy_.take(shards_);
  std::packaged_task<Outcome()> task([this, key = world_.fresh_key("save"), draft = std::move(draft),
                                      timeout_s] { return run(key, draft, copy_.view(), timeout_s); });
  outcome_ = task.get_future();
  thread_ = std::thread(std::move(task));
}

bool CheckpointSaver::running() const {
  return outcome_.valid() && outcome_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
}

std::optional<bool> CheckpointSaver::finish(double at_most_s) {
  if (!outcome_.valid()) return std::nullopt;
  if (std::isfinite(at_most_s) &&
      outcome_.wait_for(std::chrono::duration<double>(at_most_s)) != std::future_status::ready)
    return std::nullopt;
  outcome_.wait();
  thread_.join();
  return report_outcome(outcome_.get(), false);
}

CheckpointSaver::Outcome CheckpointSaver::run(const std::string& key, Manifest draft, const StateView& state,
                                              double timeout_s) {
  const auto start = Clock::now();
  const int64_t step = draft.progress.step;
  const fs::path partial = root_ / fmt::format("step-{}.partial", step);
  Ranks ranks = world_.ranks();
  ranks.while_waiting = [this] {
    if (stop_) throw Error(Code::interrupted, "the save was given up");
  };
  std::string problem = broadcast_text(ranks, key + "/open", timeout_s, [&] {
    const std::string failure = attempt(0, [&] {
      remove_tree(partial);
      make_folders(partial);
    });
    if (!failure.empty()) remove_partial(step);
    return failure;
  });
  if (!problem.empty()) return {step, problem, "", elapsed_s(start)};

  WrittenPart part;
  problem = attempt(ranks.rank, [&] { part = write_part(partial, state, step, &stop_); });
  const std::vector<std::string> parts = gather_texts_on_first(
      ranks, key + "/part", timeout_s, problem.empty() ? std::string(kOk) + part_text(part) : problem);
  const std::string done = broadcast_text(ranks, key + "/done", timeout_s, [&] {
    const std::string failure = publish(partial, parts, draft);
    return failure.empty() ? std::string(kOk) + draft.root : failure;
  });
  if (!done.starts_with(kOk)) return {step, done, "", elapsed_s(start)};
  if (ranks.first()) write_latest_and_purge(draft);
  return {step, "", done.substr(kOk.size()), elapsed_s(start)};
}

bool CheckpointSaver::report_outcome(const Outcome& outcome, bool must) {
  last_save_s_ = outcome.took_s;
  if (outcome.problem.empty()) {
    failures_ = 0;
    root_hash_ = outcome.root;
    saved_step_ = outcome.step;
    return true;
  }
  ++failures_;
  const std::string message = fmt::format("checkpoint of step {} failed: {}", outcome.step, outcome.problem);
  if (must || failures_ >= config_.max_failures)
    throw Error(Code::io, fmt::format("{} ({} failures in a row)", message, failures_),
                "make room on the disk and start again: training resumes from the newest checkpoint",
                fmt::format("step {}", outcome.step));
  if (world_.first())
    warn("{}; training goes on ({} of {} failures)", message, failures_, config_.max_failures);
  return false;
}

// Rank 0: the parts of all ranks become a checkpoint. Gives "" or why not.
std::string CheckpointSaver::publish(const fs::path& partial, const std::vector<std::string>& texts,
                                     Manifest& draft) {
  const int64_t step = draft.progress.step;
  const fs::path target = root_ / fmt::format("step-{}", step), old = target.string() + ".old";
  std::vector<WrittenPart> parts;
  std::string of_parts;
  std::string problem = attempt(0, [&] {
    for (size_t r = 0; r < texts.size(); ++r) {
      if (texts[r].starts_with(kOk))
        parts.push_back(part_from(texts[r].substr(kOk.size()), fmt::format("rank {}'s part", r)));
      else
        of_parts += (of_parts.empty() ? "" : "; ") + texts[r];
    }
  });
  if (problem.empty()) problem = of_parts;
  if (problem.empty())
    problem = attempt(0, [&] {
      draft.world = world_.size();
      assemble(shards_.layout(), parts, draft);
      failpoint("before_manifest", step);
      write_manifest(partial / kManifestName, manifest_text(draft), step);
      sync_folder(partial);
      failpoint("before_rename", step);
      remove_tree(old);
      if (fs::exists(target)) rename_durably(target, old);
      rename_durably(partial, target);
    });
  if (!problem.empty()) remove_partial(step);
  return problem;
}

// After a failed save: no partial folder, and what stood under its name before stands there again.
void CheckpointSaver::remove_partial(int64_t step) {
  const fs::path target = root_ / fmt::format("step-{}", step), old = target.string() + ".old";
  const std::string problem = attempt(0, [&] {
    remove_tree(target.string() + ".partial");
    if (fs::exists(old) && !fs::exists(target)) rename_durably(old, target);
  });
  if (!problem.empty()) warn("cleaning up after a failed save: {}", problem);
}

// The checkpoint is published: a failure from here on is only warned of.
void CheckpointSaver::write_latest_and_purge(const Manifest& draft) {
  const int64_t step = draft.progress.step;
  const std::string problem = attempt(0, [&] {
    failpoint("after_rename", step);
    remove_tree(root_ / fmt::format("step-{}.old", step));
    failpoint("before_latest", step);
    write_file(root_ / "latest", fmt::format("step-{}\n", step));
    purge_checkpoints(root_, config_, draft.progress.round, step);
  });
  if (!problem.empty())
    warn("checkpoint of step {} is written, but tidying up after it failed: {}", step, problem);
}

}  // namespace retrace::train
