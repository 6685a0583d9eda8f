#include "core/ranks/run_lock.h"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <optional>
#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "core/poll.h"
#include "core/ranks/lock_file.h"

namespace retrace {

namespace {

constexpr std::chrono::seconds kBeatPeriod{5};
constexpr double kPatience_s = 30;  // a holder elsewhere that is silent for so long is gone
constexpr double kLookPeriod_s = 0.5;

[[noreturn]] void refuse(const fs::path& folder, const LockContent& content) {
  throw Error(
      Code::io,
      fmt::format("the run folder {} is in use by {}", folder.string(), LockFile::owner_text(content.text)),
      "wait for it, stop it, or choose another folder with run.dir=PATH");
}

// True if the lock neither changed nor went away while we looked; the caller then breaks it.
bool silent_for_long(const fs::path& folder, const fs::path& path, const LockContent& content) {
  info("the run folder {} is locked by {}; waiting up to {} s for a sign of life", folder.string(),
       LockFile::owner_text(content.text), kPatience_s);
  const bool released = poll_until({kPatience_s, kLookPeriod_s, kLookPeriod_s}, [&] {
    const auto now = LockFile::read(path);
    if (now && *now != content) refuse(folder, *now);
    return !now;
  });
  return !released;
}

LockFile acquire(const fs::path& folder) {
  make_folders(folder);
  const fs::path path = folder / "run.lock";
  while (true) {
    if (auto lock = LockFile::try_create(path)) return std::move(*lock);
    const auto content = LockFile::read(path);
    if (!content) continue;
    const OwnerState state = LockFile::owner_state(content->text);
    if (state == OwnerState::alive) refuse(folder, *content);
    if (state == OwnerState::unknown && !silent_for_long(folder, path, *content)) continue;
    info("taking over the run folder {} from {}, which is gone", folder.string(),
         LockFile::owner_text(content->text));
    LockFile::break_stale(path, *content);
  }
}

}  // namespace

struct RunLock::State {
  explicit State(LockFile taken) : lock(std::move(taken)), beater([this] { beat_until_stopped(); }) {}

  ~State() {
    {
      std::lock_guard guard(mutex);
      stop = true;
    }
    wake.notify_all();
    beater.join();
  }

  void beat_until_stopped() {
    std::unique_lock guard(mutex);
    while (!wake.wait_for(guard, kBeatPeriod, [this] { return stop; })) {
      try {
        if (lock.still_ours()) {
          lock.beat();
          continue;
        }
        log_line(Level::error,
                 "the lock of the run folder was taken over by another host while this process "
                 "was frozen; stopping, so that no two runs write one folder");
        ::kill(::getpid(), SIGTERM);
        return;
      } catch (const Error& error) {
        warn("{}", error.what());
      }
    }
  }

  LockFile lock;
  std::mutex mutex;
  std::condition_variable wake;
  bool stop = false;
  std::thread beater;
};

RunLock::RunLock(const fs::path& run_folder) : state_(std::make_unique<State>(acquire(run_folder))) {}
RunLock::~RunLock() = default;

}  // namespace retrace
