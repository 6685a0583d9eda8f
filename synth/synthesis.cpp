#include "synth/synthesis.h"

#include <mutex>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/recipe/run_config.h"
#include "synth/hygiene/duplicate_files.h"
#include "synth/stage/gathering.h"
#include "synth/stage/item_maker.h"
#include "synth/stage/publisher.h"

namespace retrace::synth {

namespace {

Json done_json(const ItemMaker& maker, const std::string& key);
std::optional<Json> finished_summary(const SynthJob& job, const ItemMaker& maker, const std::string& key);

constexpr size_t kMadeTogether = 64;                // repositories in an order to make
constexpr int64_t kOrderBytes = int64_t{64} << 10;  // of source, in such an order
constexpr const char* kHead = "stage.json";

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

class StreamStage {
 public:
  StreamStage(const Recipe& recipe, const SynthJob& job)
      : recipe_(recipe),
        job_(job),
        config_(recipe.get<SynthConfig>()),
        timeout_s_(recipe.get<RunConfig>().timeout_s),
        maker_(recipe, job, job.workers.empty() ? job.models : job.workers[0]),
        items_(job.out / "items"),
        prefix_(coordinator_key(job, maker_.recipe_hash())),
        gathering_(recipe, job, prefix_) {}

  // Gathers, and says whether everything is made of it already.
  bool finished() {
    gathering_.run([&] { write_orders(); });
    return get<bool>(read_json(items_ / kHead), "finished", kHead);
  }

  Json run() {
    const bool was_finished = finished();
    const Json head = read_json(items_ / kHead);
    key_ = get<std::string>(head, "key", kHead);
    n_records_ = get<size_t>(head, "records", kHead);
    if (!was_finished) {
      maker_.start();
      std::vector<std::unique_ptr<ItemMaker>> more;  // beside the first
      for (size_t i = 1; i < job_.workers.size(); ++i)
        more.push_back(std::make_unique<ItemMaker>(recipe_, job_, job_.workers[i], &maker_));
      const Orders orders(items_ / "make");
      orders.share(
          job_.ranks, prefix_ + "lease/", fmt::format("synthesis, round {}", job_.round),
          maker_.is_slow() ? "repositories" : "groups",
          [&](const Order& order) { return fs::exists(item_file(order, ".summary.jsonl")); }, 1 + more.size(),
          [&](size_t worker, const Order& order, const auto& tick, const auto& part) {
            make(worker == 0 ? maker_ : *more[worker - 1], order, tick, part);
          });
    }
    meet(job_.ranks, prefix_ + "met", timeout_s_);
    first_rank_does(job_.ranks, prefix_ + "published", timeout_s_, [&] {
      if (!finished_summary(job_, maker_, key_)) publish();
      gathering_.ledger().replace_state("planned", "done");
      fs::remove_all(items_);
    });
    return read_json(job_.out / "summary.json");
  }

 private:
  static Json read_json(const fs::path& path) {
    return parse_json(read_file(path), path.filename().string());
  }

  fs::path item_file(const Order& order, const char* suffix) const {
    return items_ / "made" / order.name.substr(0, 2) / (order.name + suffix);
  }

  // Rank 0: orders to make what the ledger says is worth having.
  void write_orders() {
    Ledger& ledger = gathering_.ledger();
    OrderWriter writer(items_ / "make");
    Sha256 all;
    all.add(maker_.recipe_hash());
    const size_t most = maker_.is_slow() ? 1 : kMadeTogether;
    Order order;
    std::string keys;
    int64_t size_bytes = 0;
    size_t n_records = 0;
    const auto finish = [&] {
      if (order.sources.empty()) return;
      order.name = sha256_hex(keys);
      order.size_bytes = size_bytes;
      writer.add(order);
      order = {};
      keys.clear();
      size_bytes = 0;
    };
    ledger.each([&](const LedgerRow& row) {
      if (row.state != "planned" && row.state != "done") return;
      const auto fact = [&](const char* name) { return get<std::string>(row.facts, name, "ledger"); };
      const std::string what = maker_.inputs_text(effective_tree(row), fact("origin"), fact("revision"),
                                                  fact("licence"), fact("date"));
      all.add(what);
      keys += maker_.item_key(what) + "\n";
      order.sources.push_back(row.source);
      order.trees.push_back(row.tree);
      order.duplicates.push_back(row.duplicates);
      size_bytes += get<int64_t>(row.facts, "size_bytes", "ledger");
      ++n_records;
      if (order.sources.size() >= most || size_bytes >= kOrderBytes) finish();
    });
    finish();
    writer.finish();
    key_ = all.hex();
    const bool finished = finished_summary(job_, maker_, key_).has_value();
    ledger.replace_state(finished ? "planned" : "done", finished ? "done" : "planned");
    publish_file(items_ / kHead, to_text({{"key", key_}, {"records", n_records}, {"finished", finished}}));
  }

  void make(ItemMaker& maker, const Order& order, const Orders::Tick& tick, const Orders::Part& part) {
    const fs::path traj = item_file(order, ".traj");
    make_folders(traj.parent_path());
    TrajectoryWriter writer(traj);
    std::string candidates, summaries;
    for (size_t i = 0; i < order.sources.size(); ++i) {
      tick();
      const Snapshot snapshot = take(order.sources[i], order.trees.at(i), order.duplicates.at(i));
      const auto so_far = [&](double done) {
        part((static_cast<double>(i) + done) / static_cast<double>(order.sources.size()));
      };
      const MadeItem made = maker.make(snapshot, tick, so_far);
      writer.add(made.trajectory);
      candidates += made.candidates;
      summaries += to_text(made.summary) + "\n";
    }
    writer.finish();
    write_file(item_file(order, ".candidates.jsonl"), candidates);
    write_file(item_file(order, ".summary.jsonl"), summaries);
  }

  Snapshot take(const SourceRef& source, const std::string& tree, const Json& duplicates) {
    const std::lock_guard lock(taking_);
    return gathering_.take(source, tree, duplicates);
  }

  // Rank 0, once every order is done.
  void publish() {
    if (n_records_ == 0) throw nothing_left();
    maker_.publish();
    Publisher publisher(job_.out, config_, n_records_);
    Orders(items_ / "make").each([&](const Order& order) {
      const TrajectoryReader records(item_file(order, ".traj"));
      const std::string summaries = read_file(item_file(order, ".summary.jsonl"));
      size_t begin = 0;
      for (size_t i = 0; i < order.sources.size(); ++i) {
        const size_t end = std::min(summaries.find('\n', begin), summaries.size());
        publisher.add(records.read(i), parse_json(std::string_view(summaries).substr(begin, end - begin),
                                                  order.name + ".summary.jsonl"));
        begin = end + 1;
      }
      publisher.add_candidates(read_file(item_file(order, ".candidates.jsonl")));
    });
    Json sources = source_counts(gathering_.ledger());
    if (job_.contamination) sources["benchmark_tasks_checked"] = job_.contamination->tasks();
    write_duplicates();
    for (const char* reason : {"duplicate_repository", "empty_repository"})
      publisher.total()["dropped"][reason] = get_or<int64_t>(sources.at("dropped"), reason, 0, "summary");
    publisher.total()["sources"] = sources;
    publisher.total()["models"] = maker_.models();
    publisher.finish(job_.round, job_.fold, done_json(maker_, key_));
  }

  // duplicates.jsonl: every file that was left out because an earlier repository has it; no file for none.
  void write_duplicates() {
    const fs::path path = job_.out / "duplicates.jsonl";
    remove_file(path);
    std::unique_ptr<StagedFile> file;
    gathering_.ledger().each([&](const LedgerRow& row) {
      if (row.state != "planned" && row.state != "done") return;
      for (const DuplicateFile& d : duplicates_from_json(row.duplicates, "ledger")) {
        if (!file) file = std::make_unique<StagedFile>(path);
        file->write(to_text({{"repository", row.facts.at("origin")},
                             {"path", d.path},
                             {"reason", d.reason()},
                             {"duplicate_of", d.of}}) +
                    "\n");
      }
    });
    if (file) file->commit();
  }

  Error nothing_left() {
    std::string why,
        hint = "name other repositories in synth.input, or filter less ([hygiene], synth.keep_*)";
    std::map<std::string, int64_t> reasons;
    gathering_.ledger().each([&](const LedgerRow& row) { ++reasons[row.reason]; });
    for (const auto& [reason, count] : reasons)
      why += fmt::format("{}{} ({})", why.empty() ? "" : ", ", reason, count);
    return Error(Code::input, "no repository is left: " + why, hint);
  }

  const Recipe& recipe_;
  const SynthJob& job_;
  SynthConfig config_;
  double timeout_s_;
  ItemMaker maker_;
  fs::path items_;
  std::string prefix_, key_;
  Gathering gathering_;
  std::mutex taking_;
  size_t n_records_ = 0;
};

Json done_json(const ItemMaker& maker, const std::string& key) {
  return {{"key", key},
          {"scorer", maker.scorer_name()},
          {"weights", maker.weights_name()},
          {"writer", maker.writer_weights()}};
}

std::optional<Json> finished_summary(const SynthJob& job, const ItemMaker& maker, const std::string& key) {
  const auto read_json = [&](const char* name) { return parse_json(read_file(job.out / name), name); };
  if (!fs::exists(job.out / "done.json")) return std::nullopt;
  const Json done = read_json("done.json");
  if (get<std::string>(done, "key", "done.json") != key) return std::nullopt;
  if (get_or<std::string>(done, "weights", "", "done.json") != maker.weights_name()) return std::nullopt;
  if (maker.searches() && get<std::string>(done, "scorer", "done.json") != maker.scorer_name())
    return std::nullopt;
  const std::string writer = get_or<std::string>(done, "writer", "", "done.json");
  if (!maker.writer_weights().empty() && writer != maker.writer_weights()) return std::nullopt;
  return read_json("summary.json");
}

}  // namespace

Json run_synthesis(const Recipe& recipe, const SynthJob& job) {
  return StreamStage(recipe, job).run();
}

bool is_synthesised(const Recipe& recipe, const SynthJob& job) {
  return StreamStage(recipe, job).finished();
}

Json plan_synthesis(const Recipe& recipe, const SynthJob& job, const std::function<void(Ledger&)>& use) {
  Gathering gathering(recipe, job, coordinator_key(job, "plan"));
  Json counts;
  gathering.run([&] {
    for (const auto& [state, n] : gathering.ledger().counts()) counts[state] = n;
    if (use) use(gathering.ledger());
    fs::remove_all(job.out / "items");
  });
  return counts;
}

}  // namespace retrace::synth
