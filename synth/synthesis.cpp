#include "synth/synthesis.h"

#include <chrono>
#include <set>
#include <thread>

#include "core/error.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/process.h"
#include "core/run_config.h"
#include "core/signals.h"
#include "synth/config.h"
#include "synth/endpoint/backends.h"
#include "synth/generate/simulate.h"
#include "synth/item_summary.h"
#include "synth/search/search.h"
#include "synth/show.h"
#include "synth/stage_key.h"
#include "synth/store.h"

namespace retrace::synth {

namespace {

constexpr size_t kRecordsPerShard = 4096;
constexpr double kLeaseS = 120, kPollS = 0.2;

class Stage {
 public:
  Stage(const Recipe& recipe, const SynthJob& job)
      : job_(job),
        config_(recipe.get<SynthConfig>()),
        run_(recipe.get<RunConfig>()),
        template_(make_template_generator()),
        http_(recipe, job.out, job.ranks, fmt::format("synth/{}/http", job.round)),
        generator_(http_.generator() ? http_.generator() : template_.get()),
        items_(job.out / "items") {
    weights_ = http_.scorer() ? http_.scorer()->name() : job.weights_name;
    options_.config = recipe.get<SearchConfig>();
    options_.style = config_.style;
    options_.seed = static_cast<uint64_t>(run_.seed);
    if (options_.config.preset == "none") {
      scorer_ = judge_ = nullptr;
    } else {
      scorer_ = http_.scorer() ? http_.scorer() : job.scorer;
      judge_ = job.judge;
    }
    recipe_hash_ = sha256_hex(fmt::format("{} {} {} {} {}\n{}{}{}", kSynthCode, generator_->name(), run_.seed,
                                          job.round, job.fold, section_text(recipe, "synth", "input"),
                                          section_text(recipe, "search"), http_.identity()));
    take_jobs();
  }

  Json run() {
    if (const auto summary = finished()) {
      if (job_.ranks.first()) fs::remove_all(items_);
      return *summary;
    }
    make_folders(items_);
    http_.start();
    work();
    meet(job_.ranks, key("met"), run_.timeout_s);
    first_rank_does(job_.ranks, key("published"), run_.timeout_s, [&] { publish(); });
    return read_json(job_.out / "summary.json");
  }

  // The summary of a job that is done; its scorer is not asked for where there is none to compare.
  std::optional<Json> finished() const {
    if (!fs::exists(job_.out / "done.json")) return std::nullopt;
    const Json done = read_json(job_.out / "done.json");
    if (get<std::string>(done, "key", "done.json") != key_) return std::nullopt;
    if (get_or<std::string>(done, "weights", "", "done.json") != weights_) return std::nullopt;
    if (scorer_ && get<std::string>(done, "scorer", "done.json") != scorer_->name()) return std::nullopt;
    return read_json(job_.out / "summary.json");
  }

 private:
  struct Item {
    const Snapshot* snapshot;
    std::string name;  // of its files: the tree hash
    std::string key;
    bool done = false;
  };

  // The repositories with something in them, each tree once.
  void take_jobs() {
    std::set<std::string> seen;
    Sha256 all;
    all.add(recipe_hash_);
    const std::string by = fmt::format("{} {} {}", scorer_ ? scorer_->name() : "none",
                                       judge_ ? judge_->name() : "none", weights_);
    for (int i : job_.which) {
      const Snapshot& snapshot = job_.snapshots->at(static_cast<size_t>(i));
      ensure(!snapshot.tree_hash.empty(), "a snapshot carries its tree hash");
      if (snapshot.files.empty()) {
        ++empty_;
      } else if (!seen.insert(snapshot.tree_hash).second) {
        ++duplicates_;
      } else {
        const std::string what =
            fmt::format("{} {} {} {} {} {}", recipe_hash_, snapshot.tree_hash, snapshot.origin,
                        snapshot.revision, snapshot.licence, snapshot.date);
        todo_.push_back({&snapshot, snapshot.tree_hash, sha256_hex(what + "\n" + by), false});
        all.add(what);
      }
    }
    key_ = all.hex();
  }

  std::string key(const char* what) const {
    return fmt::format("synth/{}/{}/{}", job_.round, key_.substr(0, 16), what);
  }

  Json read_json(const fs::path& path) const { return parse_json(read_file(path), path.filename().string()); }

  fs::path item_file(const Item& item, const char* suffix) const { return items_ / (item.name + suffix); }

  bool is_done(const Item& item) const {
    const fs::path path = item_file(item, ".summary.json");
    return fs::exists(path) && get<std::string>(read_json(path), "key", "item") == item.key;
  }

  // Every repository once, by whoever holds its lease. A rank that finds nothing free waits for the others:
  // if one is lost, its leases run out and its repositories are taken over.
  void work() {
    Progress progress(fmt::format("synthesis, round {}", job_.round), todo_.size(), "repositories");
    const std::string holder = fmt::format("{}:{}", host_name(), job_.ranks.rank);
    const bool shared = job_.ranks.size > 1;
    const size_t offset =
        todo_.size() * static_cast<size_t>(job_.ranks.rank) / static_cast<size_t>(job_.ranks.size);
    for (size_t left = todo_.size(); left > 0;) {
      bool moved = false;
      for (size_t i = 0; i < todo_.size(); ++i) {
        Item& item = todo_[(i + offset) % todo_.size()];
        if (item.done) continue;
        throw_if_stopped();
        const std::string lease = key("lease/") + item.name;
        if (!is_done(item)) {
          if (shared && !job_.ranks.coordinator->lease(lease, holder, kLeaseS)) continue;
          options_.tick = [&] {
            throw_if_stopped();
            if (shared) job_.ranks.coordinator->lease(lease, holder, kLeaseS);
          };
          if (!is_done(item)) make(item);
          if (shared) job_.ranks.coordinator->release(lease, holder);
        }
        item.done = moved = true;
        --left;
        progress.add();
      }
      if (!moved && left > 0) std::this_thread::sleep_for(std::chrono::duration<double>(kPollS));
    }
  }

  void make(const Item& item) {
    const Structure structure = analyse(*item.snapshot);
    SimulateOptions simulation;
    simulation.read_budget_bytes = static_cast<uint64_t>(config_.read_budget_kib) << 10;
    simulation.write_chunk_bytes = static_cast<uint64_t>(config_.write_chunk_kib) << 10;
    simulation.round = job_.round;
    simulation.fold = job_.fold;
    Trajectory t = simulate(*item.snapshot, structure, simulation);
    t.made_by = {{"code", kSynthCode},
                 {"recipe", recipe_hash_},
                 {"generator", generator_->name()},
                 {"scorer", scorer_ ? scorer_->name() : "none"},
                 {"weights", scorer_ ? weights_ : ""},
                 {"preset", scorer_ ? options_.config.preset : "none"},
                 {"seed", options_.seed}};
    http_.open_item(item.name, options_.tick);
    fill_slots(t, *item.snapshot, structure, *generator_, options_.seed);
    std::string candidates;
    Json search = empty_search_summary();
    if (scorer_) {
      SearchResult result =
          search_thoughts(t, *item.snapshot, structure, *generator_, *scorer_, judge_, options_);
      for (const std::string& line : result.candidates) candidates += line + "\n";
      search = std::move(result.summary);
    }
    Json summary = item_summary(t, *item.snapshot, search);
    if (const Json asked = http_.close_item(); !asked.is_null()) {
      t.made_by["evidence_root"] = asked.at("evidence_root");
      t.rev = make_rev(t);
      summary["asked"] = asked.at("counts");
    }
    TrajectoryWriter writer(item_file(item, ".traj"));
    writer.add(t);
    writer.finish();
    write_file(item_file(item, ".candidates.jsonl"), candidates);
    write_file(item_file(item, ".summary.json"),
               to_text({{"key", item.key}, {"summary", std::move(summary)}}, 1) + "\n");
  }

  // Rank 0, once every item exists.
  void publish() {
    http_.publish();
    fs::remove(job_.out / "done.json");
    for (const std::string& name : list_folder(job_.out))
      if (fs::path(name).extension() == ".traj") fs::remove(job_.out / name);
    StagedFile candidates(job_.out / "candidates.jsonl");
    Json total = empty_total();
    std::unique_ptr<TrajectoryWriter> writer;
    std::string example;
    double example_rank = 0;
    for (size_t i = 0; i < todo_.size(); ++i) {
      if (i % kRecordsPerShard == 0) {
        if (writer) writer->finish();
        writer = std::make_unique<TrajectoryWriter>(job_.out / shard_name(i / kRecordsPerShard));
      }
      const Trajectory t = TrajectoryReader(item_file(todo_[i], ".traj")).read(0);
      writer->add(t);
      candidates.write(read_file(item_file(todo_[i], ".candidates.jsonl")));
      const Json summary = read_json(item_file(todo_[i], ".summary.json")).at("summary");
      add_item(total, summary);
      const double rank = example_value(summary);
      if (rank <= example_rank) continue;
      example_rank = rank;
      example = trajectory_html(t, {variant_of(config_.variant), config_.style});
    }
    if (!writer) writer = std::make_unique<TrajectoryWriter>(job_.out / shard_name(0));
    writer->finish();
    candidates.commit();
    total["dropped"]["duplicate_repository"] = duplicates_;
    total["dropped"]["empty_repository"] = empty_;
    const std::string summary = to_text(finished_total(std::move(total), job_.round, job_.fold), 1) + "\n";
    write_file(job_.out / "example.html", example);
    write_file(job_.out / "summary.json", summary);
    write_file(job_.out / "done.json", to_text({{"key", key_},
                                                {"scorer", scorer_ ? scorer_->name() : "none"},
                                                {"weights", weights_},
                                                {"trajectories", todo_.size()},
                                                {"summary", sha256_hex(summary)}},
                                               1) +
                                           "\n");
    fs::remove_all(items_);
  }

  std::string shard_name(size_t shard) const {
    return todo_.size() <= kRecordsPerShard ? "trajectories.traj"
                                            : fmt::format("trajectories-{:05}.traj", shard);
  }

  const SynthJob& job_;
  SynthConfig config_;
  RunConfig run_;
  std::unique_ptr<Generator> template_;
  HttpBackends http_;
  Generator* generator_;
  fs::path items_;
  SearchOptions options_;
  Scorer *scorer_ = nullptr, *judge_ = nullptr;
  std::string recipe_hash_, key_, weights_;
  std::vector<Item> todo_;
  int64_t duplicates_ = 0, empty_ = 0;
};

}  // namespace

Json run_synthesis(const Recipe& recipe, const SynthJob& job) {
  return Stage(recipe, job).run();
}

bool is_synthesised(const Recipe& recipe, const SynthJob& job) {
  return Stage(recipe, job).finished().has_value();
}

}  // namespace retrace::synth
