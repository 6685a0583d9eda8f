#include "train/step/step_report.h"

#include <unistd.h>

#include <fstream>

namespace retrace::train {
namespace {

constexpr double kTera = 1e12;
constexpr double kSmoothing = 0.9;

}  // namespace

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double whole = 0, resident = 0;
  if (!(file >> whole >> resident)) return 0;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

StepReport::StepReport(const TrainingSetup& setup, const TrainJob& job, const data::Mixture& mixture,
                       int ranks, const TrainProgress& progress)
    : setup_(setup),
      job_(job),
      mixture_(mixture),
      ranks_(ranks),
      metrics_(job.run_folder),
      progress_line_(fmt::format("training, round {}", job.round),
                     static_cast<uint64_t>(setup.steps - progress.data_step), "steps") {
  metrics_.truncate(job.metrics_stage, job.round, progress.data_step + 1);
}

void StepReport::record(const StepOutcome& outcome, const StepData& data, const TrainProgress& progress,
                        const StepTimes& times) {
  const double rate = times.step_s > 0 ? static_cast<double>(data.tokens) / times.step_s : 0;
  const double tflops = times.step_s > 0 ? outcome.model_flops / times.step_s / ranks_ / kTera : 0;
  smooth_step_s_ =
      smooth_step_s_ > 0 ? kSmoothing * smooth_step_s_ + (1 - kSmoothing) * times.step_s : times.step_s;
  const double eta_s = static_cast<double>(setup_.steps - progress.data_step) * smooth_step_s_;
  Json values = {{"loss", outcome.loss},
                 {"lr", outcome.lr},
                 {"grad_norm", outcome.norm},
                 {"tokens", data.tokens},
                 {"label_tokens", data.label_tokens},
                 {"skipped_tokens", data.skipped_tokens},
                 {"tokens_per_s", rate},
                 {"tokens_per_s_per_rank", rate / ranks_},
                 {"model_tflops_per_rank", tflops},
                 {"memory_bytes", outcome.memory_bytes},
                 {"step_time_s", times.step_s},
                 {"data_wait_s", times.data_wait_s},
                 {"checkpoint_stall_s", times.checkpoint_stall_s},
                 {"eta_s", eta_s},
                 {"skipped", progress.skipped},
                 {"failed_saves", progress.failed_saves}};
  if (times.checkpoint_save_s) values["checkpoint_save_s"] = *times.checkpoint_save_s;
  if (times.start_to_first_forward_s) values["start_to_first_forward_s"] = *times.start_to_first_forward_s;
  if (data.sequences_without_labels > 0) values["sequences_without_labels"] = data.sequences_without_labels;
  const double peak = setup_.train.peak_tflops;
  if (peak > 0) values["model_flop_utilisation"] = tflops / peak;
  if (setup_.train.max_z_score > 0) {
    values["loss_z"] = outcome.loss_z;
    values["grad_norm_z"] = outcome.norm_z;
    values["outliers"] = progress.outliers;
  }
  const Stragglers::Step work = stragglers_.add(outcome.busy_s);
  if (ranks_ > 1) {
    values["slowest_rank"] = work.slowest;
    values["slowest_over_mean"] = work.mean_s > 0 ? work.slowest_s / work.mean_s : 1;
  }
  for (size_t d = 0; d < outcome.domain_nll.size(); ++d)
    if (outcome.domain_weight[d] > 0)
      values["loss/" + mixture_.domains()[d].name] = outcome.domain_nll[d] / outcome.domain_weight[d];
  metrics_.record(job_.metrics_stage, job_.round, progress.data_step, progress.step, values);
  const std::string utilisation = peak > 0 ? fmt::format(" ({:.1f} % of peak)", 100 * tflops / peak) : "";
  progress_line_.note(
      fmt::format("loss {:.4f}, norm {:.3f}, lr {:.2e}, {} tokens/s, {:.3g} TFLOP/s a rank{}, {}",
                  outcome.loss, outcome.norm, outcome.lr, format_count(rate), tflops, utilisation,
                  format_bytes(static_cast<uint64_t>(outcome.memory_bytes))));
  progress_line_.add(1);
  debug("step {} loss {} norm {} lr {}", progress.step, outcome.loss, outcome.norm, outcome.lr);
}

void StepReport::finish() {
  metrics_.flush();
  if (const std::string text = stragglers_.report(); !text.empty()) info("{}", text);
}

}  // namespace retrace::train
