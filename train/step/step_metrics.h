// What rank 0 tells of each step: metrics.jsonl, the status line, and at the end which rank the others waited
// for. Model FLOPs are the forward's products three times, nothing recomputed, attention causal and by the
// real document lengths; utilisation is given where train.peak_tflops says the peak.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/metrics/metrics.h"
#include "train/step/round_setup.h"
#include "train/step/step_result.h"
#include "train/step/stragglers.h"

namespace retrace::train {

// Seconds of rank 0.
struct StepTimes {
  double step_s = 0, data_wait_s = 0, checkpoint_stall_s = 0;
  std::optional<double> checkpoint_save_s, start_to_first_forward_s;
};

class StepMetrics {
 public:
  StepMetrics(const RoundSetup& setup, const TrainJob& job, const data::Mixture& mixture, int ranks,
              const TrainProgress& progress);
  void record(const StepResult& result, const StepBatch& batch, const TrainProgress& progress,
              const StepTimes& times);
  void flush() { metrics_.flush(); }
  void finish();  // flushes and tells of stragglers

 private:
  const RoundSetup& setup_;
  const TrainJob& job_;
  const data::Mixture& mixture_;
  int ranks_;
  Metrics metrics_;
  Progress progress_line_;
  Stragglers stragglers_;
  double smooth_step_s_ = 0;  // for the time that is left
};

// Resident bytes of this process; 0 where /proc does not tell.
double resident_bytes();
// Seconds since the kernel started this process; -1 where /proc does not tell.
double process_age_s();

}  // namespace retrace::train
