// This process among the ranks of its job: rendezvous, store, collectives, and the watch over peers that are
// lost, fail or leave. One process alone needs no store and no group. No torch here.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/ranks/ranks.h"
#include "train/ranks/collectives.h"
#include "train/ranks/launch_env.h"

namespace retrace::train {

class World {
 public:
  // Joins the job that `env` describes; blocks until the ranks are there. Error{distributed} (status 75)
  // names those that do not come within timeout_s. On device "cuda" (model::choose_device has said so) the
  // rank takes the GPU of its local number, and tensors travel over NCCL.
  World(const LaunchEnv& env, double timeout_s, const std::string& device = "cpu");
  // A good end waits for the others; an end by exception tells them.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int rank() const { return env_.rank; }
  int size() const { return env_.size; }
  bool first() const { return env_.rank == 0; }
  const LaunchEnv& env() const { return env_; }
  const std::string& device() const { return device_; }  // cpu or cuda
  double timeout_s() const { return timeout_s_; }
  Ranks ranks() { return {env_.rank, env_.size, coordinator_.get()}; }
  Coordinator& coordinator() { return *coordinator_; }
  Collectives& collectives() { return *collectives_; }
  // The n-th key for `what`: the same on every rank that asks as often.
  std::string fresh_key(const std::string& what);

  // What this rank does, for the message that its peers print when it is lost.
  void activity(int64_t step, const char* phase);
  // A rank that abandons `step` (global) before its end says so; the others follow.
  void announce_leaving(int64_t step);
  int64_t leaving_step() const;  // INT64_MAX: nobody leaves
  // To be called with the error that ends this rank: its peers end with status 75 and this reason.
  void report_failure(const Error& error);
  // Peers that send no heartbeats now, with what they last did; "" if all do. Takes about a second.
  std::string silent_peers();

 private:
  struct Peers;
  LaunchEnv env_;
  std::string device_;
  double timeout_s_;
  std::map<std::string, int64_t> keys_;
  bool failed_ = false, left_ = false;
  std::unique_ptr<Peers> peers_;  // null in one process
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<Collectives> collectives_;
};

// Threads a rank computes with: `threads`, or the cores of this machine divided by the ranks on it.
int compute_threads(int64_t threads, const LaunchEnv& env, int64_t virtual_ranks);

}  // namespace retrace::train
