#include "train/world.h"

#include <fmt/format.h>

#include <exception>
#include <limits>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "core/clock.h"
#include "core/log.h"
#include "core/text.h"
#include "model/device/cuda_library.h"
#include "train/ranks/last_words.h"
#include "train/ranks/rendezvous.h"
#include "train/ranks/tcp_coordinator.h"
#include "train/ranks/watchdog.h"

namespace retrace::train {
namespace {

constexpr double kShutdown_s = 30,
                 kShortShutdown_s = 3;    // how long rank 0 serves the store for ranks that are slow to end
constexpr double kFailureGrace_s = 1;     // how long it serves it after a failure
constexpr double kWatchdogMargin_s = 30;  // on store calls of the watchdog, above its own timeout

Rendezvous join_job(c10d::Store& store, const LaunchEnv& env, const std::string& prefix, double timeout_s) {
  try {
    return join_rendezvous(store, prefix, env.rank, env.size, env.master_addr, timeout_s);
  } catch (const Error&) {
    if (env.rank == 0 && !env.agent_store) sleep_s(kFailureGrace_s);  // the others hear who is missing
    throw;
  }
}

}  // namespace

struct World::Peers {
  std::shared_ptr<c10d::Store> group_store, talk_store, watch_store;
  std::unique_ptr<Watchdog> watchdog;
};

World::World(const LaunchEnv& env, double timeout_s, const std::string& device)
    : env_(env), device_(device), timeout_s_(timeout_s) {
  if (device == "cuda") {
    const model::GpuInfo gpu = model::use_gpu(env.local_rank);
    if (first())
      info("GPU: {}, {:.0f} GiB", gpu.name, static_cast<double>(gpu.memory_bytes) / (int64_t{1} << 30));
  }
  if (env.size == 1) {
    coordinator_ = make_in_process_coordinator();
    collectives_ = make_single_collectives();
    return;
  }
  peers_ = std::make_unique<Peers>();
  StoreAddress address{env.master_addr, env.master_port, env.rank == 0 && !env.agent_store, timeout_s};
  peers_->group_store = connect_store(address);
  const std::string job = "retrace/" + env.job + "/";
  const Rendezvous rendezvous = join_job(*peers_->group_store, env, job, timeout_s);
  address.serve = false;
  peers_->talk_store = connect_store(address);
  address.timeout_s = timeout_s + kWatchdogMargin_s;
  peers_->watch_store = connect_store(address);
  const std::string prefix = job + rendezvous.attempt + "/";
  coordinator_ = make_tcp_coordinator(peers_->talk_store, prefix + "keys/", env.rank);
  peers_->watchdog = std::make_unique<Watchdog>(peers_->watch_store, prefix + "watch/", env.rank, env.size,
                                                timeout_s, env.agent_store);
  collectives_ = make_gloo_collectives(*peers_->group_store,
                                       {prefix + "group", env.rank, env.size, timeout_s, rendezvous.address});
  if (device == "cuda")
    collectives_ = make_nccl_collectives(*peers_->group_store, std::move(collectives_),
                                         {prefix + "nccl", env.local_rank, timeout_s});
  collectives_->blame = [this] { return silent_peers(); };
}

World::~World() {
  if (!failed_ && std::uncaught_exceptions() > 0) write_last_words("an exception; see the log");
  if (!peers_) return;
  try {
    if (left_) collectives_->abandon();
    if (!left_ && (std::uncaught_exceptions() > 0 || failed_)) {
      if (!failed_) peers_->watchdog->report_failure("see its own message");
      collectives_->abandon();
      if (first() && !env_.agent_store) sleep_s(kFailureGrace_s);
    } else {
      coordinator_->set(fmt::format("bye/{}", rank()), "1");
      if (first())
        for (int r = 1; r < size(); ++r)
          coordinator_->wait(fmt::format("bye/{}", r), left_ ? kShortShutdown_s : kShutdown_s);
    }
  } catch (const std::exception& problem) {
    warn("leaving the job: {}", problem.what());
  }
  peers_->watchdog->stop();
}

std::string World::fresh_key(const std::string& what) {
  return fmt::format("{}/{}", what, ++keys_[what]);
}

void World::activity(int64_t step, const char* phase) {
  set_last_activity(step, phase);
  if (peers_) peers_->watchdog->activity(step, phase);
}

void World::announce_leaving(int64_t step) {
  left_ = true;
  if (peers_) peers_->watchdog->announce_leaving(step);
}

int64_t World::leaving_step() const {
  return peers_ ? peers_->watchdog->leaving_step() : std::numeric_limits<int64_t>::max();
}

void World::report_failure(const Error& error) {
  failed_ = true;
  write_last_words(error.what());
  if (peers_ && !left_) peers_->watchdog->report_failure(error.what());
}

std::string World::silent_peers() {
  return peers_ ? join(peers_->watchdog->silent_ranks(), ", ") : "";
}

int compute_threads(int64_t threads, const LaunchEnv& env, int64_t virtual_ranks) {
  if (threads > 0) return static_cast<int>(threads);
  const auto cores = static_cast<int64_t>(std::max(1u, std::thread::hardware_concurrency()));
  const int64_t sharers = std::max<int64_t>(env.local_size, virtual_ranks);
  return static_cast<int>(std::max<int64_t>(1, cores / sharers));
}

}  // namespace retrace::train
