#include "synth/synthesis.h"

#include <mutex>

#include "core/files/files.h"
#include "core/hash.h"
#include "core/recipe/run_config.h"
#include "synth/stage/finished.h"
#include "synth/stage/gathering.h"
#include "synth/stage/make_queue.h"
#include "synth/stage/publish_stage.h"
#include "synth/stage/work_item_files.h"

namespace retrace::synth {

namespace {

// Ranks call in the same sequence, so the n-th call of each is one job.
int64_t call_number(const std::string& key, int rank) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, int>, int64_t> calls;
  const std::lock_guard lock(mutex);
  return ++calls[{key, rank}];
}

std::string coordinator_key(const SynthJob& job, const std::string& about) {
  const std::string name = sha256_hex(about + job.out.string()).substr(0, 16);
  return fmt::format("synth/{}/{}/{}/", job.round, name, call_number(name, job.ranks.rank));
}

// What the steps of one call share.
struct Stage {
  Stage(const Recipe& r, const SynthJob& j)
      : recipe(r),
        job(j),
        timeout_s(r.get<RunConfig>().timeout_s),
        maker(r, j, j.workers.empty() ? j.models : j.workers[0]),
        items(j.out / "items"),
        key(coordinator_key(j, maker.recipe_hash())),
        gathering(r, j, key) {}

  const Recipe& recipe;
  const SynthJob& job;
  double timeout_s;
  RecordMaker maker;
  fs::path items;
  std::string key;
  Gathering gathering;
};

void read_repositories(Gathering& gathering) {
  gathering.list();
  gathering.read();
}

MakePlan select_and_plan(Stage& s) {
  s.gathering.select([&] { write_make_queue(s.items, s.job.out, s.gathering.ledger(), s.maker); });
  return read_make_plan(s.items);
}

// Each repository: structured, skeleton, filled, searched (RecordMaker::make).
void make_trajectories(Stage& s) {
  s.maker.start();
  std::vector<std::unique_ptr<RecordMaker>> more;  // beside the first
  for (size_t i = 1; i < s.job.workers.size(); ++i)
    more.push_back(std::make_unique<RecordMaker>(s.recipe, s.job, s.job.workers[i], &s.maker));
  make_queue(s.items).share(
      s.job.ranks, s.key + "lease/", fmt::format("synthesis, round {}", s.job.round),
      s.maker.is_slow() ? "repositories" : "groups",
      [&](const WorkItem& item) { return is_made(s.items, item); }, 1 + more.size(),
      [&](size_t worker, const WorkItem& item, const auto& tick, const auto& part) {
        const auto take = [&](size_t i) {
          return s.gathering.take(item.sources[i], item.trees.at(i), item.duplicates.at(i));
        };
        make_item(s.items, item, worker == 0 ? s.maker : *more[worker - 1], take, tick, part);
      });
}

void publish(Stage& s, const MakePlan& plan) {
  meet(s.job.ranks, s.key + "met", s.timeout_s);
  first_rank_does(s.job.ranks, s.key + "published", s.timeout_s, [&] {
    if (!finished_summary(s.job.out, s.maker, plan.key))
      publish_stage(s.job, s.recipe.get<SynthConfig>(), s.items, plan, s.maker, s.gathering.ledger());
    s.gathering.ledger().replace_state("planned", "done");
    fs::remove_all(s.items);
  });
}

}  // namespace

Json run_synthesis(const Recipe& recipe, const SynthJob& job) {
  Stage stage(recipe, job);
  read_repositories(stage.gathering);
  const MakePlan plan = select_and_plan(stage);
  if (!plan.finished) make_trajectories(stage);
  publish(stage, plan);
  return parse_json(read_file(job.out / "summary.json"), "summary.json");
}

bool is_synthesised(const Recipe& recipe, const SynthJob& job) {
  Stage stage(recipe, job);
  read_repositories(stage.gathering);
  return select_and_plan(stage).finished;
}

Json plan_synthesis(const Recipe& recipe, const SynthJob& job, const std::function<void(Ledger&)>& use) {
  Gathering gathering(recipe, job, coordinator_key(job, "plan"));
  read_repositories(gathering);
  Json counts;
  gathering.select([&] {
    for (const auto& [state, n] : gathering.ledger().counts()) counts[state] = n;
    if (use) use(gathering.ledger());
    fs::remove_all(job.out / "items");
  });
  return counts;
}

}  // namespace retrace::synth
