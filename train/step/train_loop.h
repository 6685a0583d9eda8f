// The steps of a round: batch, gradients, the ranks' common decision, optimizer step, metrics, checkpoints,
// and leaving early. All ranks decide alike, because they decide on values that all have gathered.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "train/checkpoint/checkpoint_saver.h"
#include "train/step/outliers.h"
#include "train/step/prefetch.h"
#include "train/step/step_report.h"
#include "train/step/step_runner.h"
#include "train/step/timed_pass.h"
#include "train/step/training_setup.h"

namespace retrace::train {

class TrainLoop {
 public:
  TrainLoop(World& world, const TrainingSetup& setup, const TrainJob& job, const data::Mixture& mixture,
            Shards& shards, Collectives* context, CheckpointSaver& saver, const TrainProgress& progress,
            bool resumed);
  ~TrainLoop();
  void run();
  const TrainProgress& progress() const { return progress_; }

 private:
  struct Leaving {};  // thrown between two units

  void step();
  StepOutcome decide(const std::vector<StepLoss>& losses, double flops);
  double flops_of(const StepData& data) const;
  void trace_waits();
  void update(const StepOutcome& outcome, const StepData& data);
  void record(const StepOutcome& outcome, const StepData& data, StepTimes times);
  void judge_outlier(StepOutcome& outcome);
  void save(bool must, double timeout_s);
  void take_up_save(double at_most_s);
  void count_save(bool good);
  [[noreturn]] void leave();
  void look_for_leaving();
  void check_weights();
  int64_t global_step() const { return progress_.step; }  // completed
  bool take_request();

  World& world_;
  const TrainingSetup& setup_;
  const TrainJob& job_;
  const data::Mixture& mixture_;
  Shards& shards_;
  CheckpointSaver& saver_;
  TrainProgress progress_;

  model::Llama llama_;
  Trace trace_;
  std::unique_ptr<PassWork> pass_;
  StepRunner runner_;
  StepSource source_;
  Prefetch prefetch_;
  OutlierDetector outliers_;
  std::unique_ptr<StepReport> report_;  // rank 0
  bool in_decision_ = false;
  int64_t resumed_step_ = -1;
  double stall_s_ = 0, gather_seen_s_ = 0, reduce_seen_s_ = 0;
  std::optional<double> first_forward_to_tell_s_, save_s_;
  bool forward_begun_ = false;
};

}  // namespace retrace::train
