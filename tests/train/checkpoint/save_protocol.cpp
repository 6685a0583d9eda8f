// The save protocol under faults that no signal can show: operations that fail one by one, power cuts that
// lose what was not synced, and saves that run while the state goes on changing.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/log.h"
#include "tests/train/checkpoint/disk_model.h"
#include "tests/train/testing.h"
#include "train/checkpoint.h"
#include "train/checkpoint/checkpoint_load.h"
#include "train/checkpoint/checkpoint_saver.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

namespace {

constexpr double kTimeout_s = 20;

model::LlamaConfig micro_config() {
  model::LlamaConfig config = tiny_config();
  config.vocab_size = 16;
  config.hidden_size = 8;
  config.intermediate_size = 8;
  config.num_layers = 1;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 4;
  return config;
}

// One process that trains nothing: its state is a function of the step.
struct Trainer {
  World world{LaunchEnv{}, kTimeout_s};
  FlatLayout layout{micro_config(), 1};
  Shards shards{layout, Sharding::zero3, false, world.collectives()};
  CheckpointConfig config;
  CheckpointSaver saver;

  explicit Trainer(const fs::path& root, bool async = false)
      : config(configured(async)), saver(world, shards, root, config) {}
  static CheckpointConfig configured(bool async) {
    CheckpointConfig config;
    config.max_failures = 1;
    config.async = async;
    return config;
  }

  static float value(int64_t step, int kind, int u, int64_t i) {
    return static_cast<float>(step * 1000 + kind * 100 + u) + static_cast<float>(i % 64) / 64;
  }
  template <class Visit>
  void each_element(Visit visit) {
    for (int k = 0; k < kNumStateKinds; ++k)
      for (int u = 0; u < layout.num_units(); ++u)
        for (const Piece& piece : layout.pieces(u, 0, shards.elements(u)))
          for (int64_t i = piece.flat; i < piece.flat + piece.count; ++i)
            visit(shards.state(static_cast<StateKind>(k), u)[i], k, u, i);
  }
  void fill(int64_t step) {
    each_element([&](float& x, int k, int u, int64_t i) { x = value(step, k, u, i); });
  }
  bool holds(int64_t step) {
    bool equal = true;
    each_element([&](float& x, int k, int u, int64_t i) { equal &= x == value(step, k, u, i); });
    return equal;
  }

  // Error{io} if the save fails.
  void save(int64_t step, int64_t content) {
    fill(content);
    Manifest draft;
    draft.progress.step = step;
    if (config.async) {
      saver.start(draft, kTimeout_s);
      fill(-1);
      saver.finish();
    } else {
      saver.save(draft, true, kTimeout_s);
    }
  }
  void save(int64_t step) { save(step, step); }

  // As a start of the program does it; -1 = there is none.
  int64_t load(const fs::path& root) {
    clean_leftovers(root);
    fill(-1);
    const auto found = load_newest(world, shards, root, 1, {}, [](const Manifest&) {});
    return found ? found->progress.step : -1;
  }
};

// The test's hooks end with its scope.
struct Hooks {
  ~Hooks() {
    set_file_operation_hook(nullptr);
    set_file_log(nullptr);
  }
};

struct Quiet {
  LogOptions before = log_options();
  Quiet() {
    LogOptions options = before;
    options.level = Level::error;
    set_log_options(options);
  }
  ~Quiet() { set_log_options(before); }
};

void expect_tidy(const fs::path& root) {
  for (const std::string& name : list_folder(root)) {
    INFO(name);
    REQUIRE((name == "latest" || (name.starts_with("step-") && name.find('.') == std::string::npos)));
    if (name == "latest") continue;
    for (const std::string& inside : list_folder(root / name)) REQUIRE(inside.front() != '.');
  }
}

void write_tree(const fs::path& root, const DiskModel::Tree& tree) {
  for (const auto& [path, content] : tree) {
    if (content == "/")
      fs::create_directories(root / path);
    else
      std::ofstream(root / path, std::ios::binary)
          .write(content.data() + 1, static_cast<std::streamsize>(content.size() - 1));
  }
}

std::string identity(const DiskModel::Tree& tree) {
  Sha256 hash;
  for (const auto& [path, content] : tree) hash.add(fmt::format("{}\n{}\n{}", path, content.size(), content));
  return hash.hex();
}

struct Recorded {
  TempFolder temp;
  fs::path root = temp.path() / "checkpoints";
  DiskModel disk{root};
  struct Save {
    size_t begin, end;  // operations
    int64_t step, content;
  };
  std::vector<Save> saves;

  // Steps 1 to 4 with two kept, where step 3 is saved twice.
  explicit Recorded(bool async) {
    const Hooks hooks;
    std::mutex mutex;
    make_folders(root);
    set_file_log([&](const FileOperation& operation) {
      const std::lock_guard lock(mutex);
      disk.add(operation);
    });
    Trainer trainer(root, async);
    for (const auto& [step, content] : {std::pair<int64_t, int64_t>{1, 1}, {2, 2}, {3, 3}, {3, 9}, {4, 4}}) {
      const size_t begin = disk.size();
      trainer.save(step, content);
      saves.push_back({begin, disk.size(), step, content});
    }
  }

  // Outcomes whose newest checkpoint is neither the one before the save nor the new one, or that lost a save
  // which had been reported as good.
  std::set<std::string> losses(DiskModel::Syncs syncs, size_t& outcomes) {
    const Quiet quiet;
    std::map<std::string, std::pair<int64_t, bool>> known;  // tree -> step, what the state holds
    std::set<std::string> bad;
    Trainer trainer(root);
    for (size_t prefix = saves.front().end; prefix <= disk.size(); ++prefix) {
      const auto under_way =
          std::find_if(saves.begin(), saves.end(), [&](const Save& s) { return prefix <= s.end; });
      const Save &now = *under_way, &old = prefix == now.end ? now : *(under_way - 1);
      disk.each_outcome(prefix, syncs, [&](const DiskModel::Tree& tree) {
        const std::string name = identity(tree) + fmt::format(" {} {}", old.content, now.content);
        ++outcomes;
        if (known.count(name)) return;
        TempFolder copy;
        write_tree(copy.path(), tree);
        const int64_t step = trainer.load(copy.path());
        const bool good = (step == old.step && trainer.holds(old.content)) ||
                          (step == now.step && trainer.holds(now.content));
        known[name] = {step, good};
        if (!good)
          bad.insert(fmt::format("after {} of {} operations, saving step {}: newest is {}", prefix,
                                 disk.size(), now.step, step));
      });
    }
    return bad;
  }
};

}  // namespace

TEST_CASE("save: a fault at any single operation leaves the old checkpoints, an error and no rubbish",
          "[fault]") {
  const bool async = GENERATE(false, true);
  const int number = GENERATE(EIO, ENOSPC);
  const Quiet quiet;
  bool clean = false;
  int faults = 0;
  for (int nth = 1; !clean; ++nth) {
    INFO("operation " << nth << ", " << std::strerror(number) << (async ? ", on a thread" : ""));
    TempFolder temp;
    Trainer trainer(temp.path(), async);
    trainer.save(1);
    trainer.save(2);
    trainer.save(3);
    std::atomic<int> count = 0;
    std::string failed_at, message;
    {
      const Hooks hooks;
      set_file_operation_hook([&](const char* operation, const fs::path& path) {
        if (++count != nth) return;
        failed_at = fmt::format("{} {}", operation, path.string());
        fail_with_errno(operation, path, number);
      });
      try {
        trainer.save(4);
      } catch (const Error& error) {
        REQUIRE(error.status() == 75);
        message = error.what();
      }
    }
    INFO(failed_at);
    clean = failed_at.empty();
    if (!clean) ++faults;
    if (!message.empty()) {
      INFO(message);
      REQUIRE(message.find("step 4") != std::string::npos);
      REQUIRE(message.find(std::strerror(number)) != std::string::npos);
      expect_tidy(temp.path());
    }
    // A fault after the rename costs tidiness only.
    const int64_t newest = trainer.load(temp.path());
    REQUIRE((newest == 4 || (newest == 3 && !message.empty())));
    REQUIRE(trainer.holds(newest));
    REQUIRE(open_checkpoint_weights(temp.path() / "step-3")->fingerprint().size() == 64);
    Trainer again(temp.path(), async);
    again.save(5);
    REQUIRE(again.load(temp.path()) == 5);
    REQUIRE(again.holds(5));
    expect_tidy(temp.path());
  }
  REQUIRE(faults > 20);
}

TEST_CASE("save: a disk that fails for good from any operation on keeps the old checkpoints", "[fault]") {
  const Quiet quiet;
  bool clean = false;
  for (int nth = 1; !clean; ++nth) {
    INFO("from operation " << nth << " on");
    TempFolder temp;
    Trainer trainer(temp.path());
    trainer.save(1);
    trainer.save(2);
    std::atomic<int> count = 0;
    {
      const Hooks hooks;
      set_file_operation_hook([&](const char* operation, const fs::path& path) {
        if (++count >= nth) fail_with_errno(operation, path, EIO);
      });
      try {
        trainer.save(3);
      } catch (const Error& error) {
        REQUIRE(error.status() == 75);
      }
    }
    clean = count < nth;
    const int64_t newest = trainer.load(temp.path());
    REQUIRE((newest == 2 || newest == 3));
    REQUIRE(trainer.holds(newest));
    expect_tidy(temp.path());
  }
}

TEST_CASE("save: after a power cut at any operation the newest checkpoint is the one before or the new one",
          "[fault]") {
  Recorded recorded(GENERATE(false, true));
  size_t outcomes = 0;
  const auto bad = recorded.losses(DiskModel::Syncs::all, outcomes);
  for (const std::string& what : bad) UNSCOPED_INFO(what);
  REQUIRE(bad.empty());
  REQUIRE(outcomes > 1000);
}

TEST_CASE("save: the model of the disk notices a missing fsync of either kind", "[fault]") {
  Recorded recorded(false);
  size_t outcomes = 0;
  REQUIRE_FALSE(recorded.losses(DiskModel::Syncs::no_fsync, outcomes).empty());
  REQUIRE_FALSE(recorded.losses(DiskModel::Syncs::no_folder_fsync, outcomes).empty());
}

TEST_CASE("save: a started save holds nothing up and writes the state of its moment", "[fault]") {
  using Clock = std::chrono::steady_clock;
  TempFolder temp;
  Trainer trainer(temp.path(), true);
  const Hooks hooks;
  set_file_operation_hook([](const char* operation, const fs::path&) {
    if (std::string(operation) == "fsync") std::this_thread::sleep_for(std::chrono::milliseconds(300));
  });
  trainer.fill(1);
  Manifest draft;
  draft.progress.step = 1;
  const auto begin = Clock::now();
  trainer.saver.start(draft, kTimeout_s);
  trainer.fill(2);
  REQUIRE(std::chrono::duration<double>(Clock::now() - begin).count() < 0.25);
  REQUIRE(trainer.saver.running());
  REQUIRE_FALSE(trainer.saver.finish(0.01).has_value());
  REQUIRE(trainer.saver.finish() == true);
  REQUIRE_FALSE(trainer.saver.finish().has_value());
  REQUIRE(trainer.saver.last_save_s() > 0.6);
  REQUIRE(trainer.saver.saved_step() == 1);
  REQUIRE(trainer.holds(2));
  REQUIRE(trainer.load(temp.path()) == 1);
  REQUIRE(trainer.holds(1));
}

TEST_CASE("save: an unfinished save is given up when its owner goes, and leaves the old checkpoint",
          "[fault]") {
  TempFolder temp;
  {
    Trainer trainer(temp.path(), true);
    trainer.save(1);
    const Hooks hooks;
    set_file_operation_hook([](const char* operation, const fs::path&) {
      if (std::string(operation) == "open") std::this_thread::sleep_for(std::chrono::milliseconds(200));
    });
    trainer.fill(2);
    Manifest draft;
    draft.progress.step = 2;
    trainer.saver.start(draft, kTimeout_s);
  }
  Trainer later(temp.path());
  const int64_t newest = later.load(temp.path());
  REQUIRE((newest == 1 || newest == 2));
  REQUIRE(later.holds(newest));
}
