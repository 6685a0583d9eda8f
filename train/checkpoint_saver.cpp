#include "train/checkpoint_saver.h"

#include <chrono>

#include "core/error.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "train/state_io.h"

namespace retrace::train {
namespace {

using Clock = std::chrono::steady_clock;

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

// Runs `work` and gives "" or what went wrong, for the other ranks to read.
template <class Work>
std::string attempt(int rank, Work work) {
  try {
    work();
    return "";
  } catch (const Error& error) {
    if (error.code() == Code::distributed) throw;  // a lost rank is no failed save
    const std::string place = error.where().empty() ? "" : error.where() + ": ";
    return fmt::format("rank {}: {}{}", rank, place, error.message());
  } catch (const std::exception& problem) {
    return fmt::format("rank {}: {}", rank, problem.what());
  }
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

bool CheckpointSaver::save(Manifest draft, bool must, double timeout_s) {
  const auto start = Clock::now();
  const int64_t step = draft.progress.step;
  const std::string key = world_.fresh_key("save");
  const fs::path partial = root_ / fmt::format("step-{}.partial", step);
  Coordinator& store = world_.coordinator();
  std::string problem;
  if (world_.first()) {
    problem = attempt(0, [&] {
      fs::remove_all(partial);
      make_folders(partial);
    });
    store.set(key + "/open", problem);
  } else {
    problem = store.wait(key + "/open", timeout_s);
  }
  if (problem.empty()) {
    save_part(key, partial, step);
    if (world_.first()) {
      problem = publish(key, partial, draft, timeout_s);
      store.set(key + "/done", problem.empty() ? "ok " + root_hash_ : problem);
    } else {
      problem = store.wait(key + "/done", timeout_s);
      if (problem.compare(0, 3, "ok ") == 0) {
        root_hash_ = problem.substr(3);
        problem.clear();
      }
    }
  }
  last_save_s_ = std::chrono::duration<double>(Clock::now() - start).count();
  if (problem.empty()) {
    failures_ = 0;
    if (world_.first()) tidy_up(draft);
    return true;
  }
  ++failures_;
  const std::string message = fmt::format("checkpoint of step {} failed: {}", step, problem);
  if (must || failures_ >= config_.max_failures)
    throw Error(Code::io, fmt::format("{} ({} failures in a row)", message, failures_),
                "make room on the disk and start again: training resumes from the newest checkpoint",
                fmt::format("step {}", step));
  if (world_.first())
    warn("{}; training goes on ({} of {} failures)", message, failures_, config_.max_failures);
  return false;
}

void CheckpointSaver::save_part(const std::string& key, const fs::path& partial, int64_t step) {
  WrittenPart part;
  const std::string problem = attempt(world_.rank(), [&] { part = write_part(partial, shards_, step); });
  const std::string text = problem.empty() ? "ok " + part_text(part) : problem;
  world_.coordinator().set(fmt::format("{}/part/{}", key, world_.rank()), text);
}

std::string CheckpointSaver::publish(const std::string& key, const fs::path& partial, Manifest& draft,
                                     double timeout_s) {
  const int64_t step = draft.progress.step;
  const fs::path target = root_ / fmt::format("step-{}", step), old = target.string() + ".old";
  std::vector<WrittenPart> parts;
  std::string of_parts;
  std::string problem = attempt(0, [&] {
    for (int r = 0; r < world_.size(); ++r) {
      const std::string text = world_.coordinator().wait(fmt::format("{}/part/{}", key, r), timeout_s);
      if (text.compare(0, 3, "ok ") == 0)
        parts.push_back(part_from(text.substr(3), fmt::format("rank {}'s part", r)));
      else
        of_parts += (of_parts.empty() ? "" : "; ") + text;
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
      fs::remove_all(old);
      if (fs::exists(target)) rename_durably(target, old);
      rename_durably(partial, target);
      root_hash_ = draft.root;
    });
  if (!problem.empty()) {
    const std::string second = attempt(0, [&] {
      fs::remove_all(partial);
      if (fs::exists(old) && !fs::exists(target)) rename_durably(old, target);
    });
    if (!second.empty()) warn("cleaning up after a failed save: {}", second);
  }
  return problem;
}

// The checkpoint stands; what fails from here on costs nothing but tidiness.
void CheckpointSaver::tidy_up(const Manifest& draft) {
  const int64_t step = draft.progress.step;
  const std::string problem = attempt(0, [&] {
    failpoint("after_rename", step);
    fs::remove_all(root_ / fmt::format("step-{}.old", step));
    failpoint("before_latest", step);
    write_file(root_ / "latest", fmt::format("step-{}\n", step));
    purge_checkpoints(root_, config_, draft.progress.round, step);
  });
  if (!problem.empty())
    warn("checkpoint of step {} is written, but tidying up after it failed: {}", step, problem);
}

namespace {

// Says to all ranks which folder to try; "" = none is left.
fs::path next_candidate(World& world, std::vector<CheckpointFolder>& candidates, const std::string& key,
                        int64_t round, bool only) {
  if (!world.first()) return world.coordinator().wait(key, world.timeout_s());
  fs::path chosen;
  while (chosen.empty() && !candidates.empty()) {
    const CheckpointFolder folder = candidates.front();
    candidates.erase(candidates.begin());
    try {
      if (only || read_manifest(folder.path).progress.round == round) chosen = folder.path;
    } catch (const Error& error) {
      warn("refusing '{}': {}", folder.path.string(), error.what());
    }
  }
  world.coordinator().set(key, chosen.string());
  return chosen;
}

// All ranks' outcomes of one try: the first that is not "".
std::string agree(World& world, const std::string& key, const std::string& mine) {
  Coordinator& store = world.coordinator();
  store.set(fmt::format("{}/{}", key, world.rank()), mine);
  std::string first;
  for (int r = 0; r < world.size(); ++r) {
    const std::string theirs = store.wait(fmt::format("{}/{}", key, r), world.timeout_s());
    if (first.empty()) first = theirs;
  }
  return first;
}

}  // namespace

std::optional<Manifest> load_newest(World& world, Shards& shards, const fs::path& root, int64_t round,
                                    const fs::path& only, const std::function<void(const Manifest&)>& check) {
  const std::string key = world.fresh_key("load");
  std::vector<CheckpointFolder> candidates;
  if (!only.empty())
    candidates.push_back({only, 0});
  else if (world.first())
    candidates = list_checkpoints(root);
  for (int turn = 0;; ++turn) {
    const std::string turn_key = fmt::format("{}/{}", key, turn);
    const fs::path folder = next_candidate(world, candidates, turn_key, round, !only.empty());
    if (folder.empty()) return std::nullopt;
    std::optional<Manifest> manifest;
    std::optional<Error> refusal;
    const std::string mine = attempt(world.rank(), [&] {
      try {
        manifest = read_manifest(folder);
        check(*manifest);
      } catch (const Error& error) {
        if (error.code() == Code::recipe) refusal = error;
        throw;
      }
      read_part(StateReader(folder, *manifest), shards);
    });
    const std::string problem = agree(world, turn_key + "/outcome", mine);
    if (refusal) throw *refusal;
    if (problem.empty()) return manifest;
    if (!only.empty())
      throw Error(Code::corrupt, fmt::format("cannot resume: {}", problem), "", folder.string());
    if (world.first()) warn("refusing '{}': {}", folder.string(), problem);
  }
}

}  // namespace retrace::train
