#include "train/step/step_metrics.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

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

double process_age_s() {
  std::ifstream stat("/proc/self/stat"), uptime("/proc/uptime");
  std::string text, word;
  std::getline(stat, text);
  double up_s = 0;
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || !(uptime >> up_s)) return -1;
  std::istringstream fields(text.substr(name_end + 1));
  constexpr int kStartTime = 20;  // field 22 of stat(5), counted from the one after the name
  for (int i = 0; i < kStartTime; ++i)
    if (!(fields >> word)) return -1;
  return up_s - std::stod(word) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

StepMetrics::StepMetrics(const RoundSetup& setup, const TrainJob& job, const data::Mixture& mixture,
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

void StepMetrics::record(const StepResult& result, const StepBatch& batch, const TrainProgress& progress,
                         const StepTimes& times) {
  const double rate = times.step_s > 0 ? static_cast<double>(batch.tokens) / times.step_s : 0;
  const double tflops = times.step_s > 0 ? result.model_flops / times.step_s / ranks_ / kTera : 0;
  smooth_step_s_ =
      smooth_step_s_ > 0 ? kSmoothing * smooth_step_s_ + (1 - kSmoothing) * times.step_s : times.step_s;
  const double eta_s = static_cast<double>(setup_.steps - progress.data_step) * smooth_step_s_;
  Json values = {{"loss", result.loss},
                 {"lr", result.lr},
                 {"grad_norm", result.norm},
                 {"tokens", batch.tokens},
                 {"label_tokens", batch.label_tokens},
                 {"skipped_tokens", batch.skipped_tokens},
                 {"tokens_per_s", rate},
                 {"tokens_per_s_per_rank", rate / ranks_},
                 {"model_tflops_per_rank", tflops},
                 {"memory_bytes", result.memory_bytes},
                 {"step_time_s", times.step_s},
                 {"data_wait_s", times.data_wait_s},
                 {"checkpoint_stall_s", times.checkpoint_stall_s},
                 {"eta_s", eta_s},
                 {"skipped", progress.skipped},
                 {"failed_saves", progress.failed_saves}};
  if (times.checkpoint_save_s) values["checkpoint_save_s"] = *times.checkpoint_save_s;
  if (times.start_to_first_forward_s) values["start_to_first_forward_s"] = *times.start_to_first_forward_s;
  if (batch.sequences_without_labels > 0) values["sequences_without_labels"] = batch.sequences_without_labels;
  const double peak = setup_.train.peak_tflops;
  if (peak > 0) values["model_flop_utilisation"] = tflops / peak;
  if (setup_.train.max_z_score > 0) {
    values["loss_z"] = result.loss_z;
    values["grad_norm_z"] = result.norm_z;
    values["outliers"] = progress.outliers;
  }
  const Stragglers::Step work = stragglers_.add(result.busy_s);
  if (ranks_ > 1) {
    values["slowest_rank"] = work.slowest;
    values["slowest_over_mean"] = work.mean_s > 0 ? work.slowest_s / work.mean_s : 1;
  }
  for (size_t d = 0; d < result.domain_nll.size(); ++d)
    if (result.domain_weight[d] > 0)
      values["loss/" + mixture_.domains()[d].name] = result.domain_nll[d] / result.domain_weight[d];
  metrics_.record(job_.metrics_stage, job_.round, progress.data_step, progress.step, values);
  const std::string utilisation = peak > 0 ? fmt::format(" ({:.1f} % of peak)", 100 * tflops / peak) : "";
  progress_line_.note(
      fmt::format("loss {:.4f}, norm {:.3f}, lr {:.2e}, {} tokens/s, {:.3g} TFLOP/s a rank{}, {}",
                  result.loss, result.norm, result.lr, format_count(rate), tflops, utilisation,
                  format_bytes(static_cast<uint64_t>(result.memory_bytes))));
  progress_line_.add(1);
  debug("step {} loss {} norm {} lr {}", progress.step, result.loss, result.norm, result.lr);
}

void StepMetrics::finish() {
  metrics_.flush();
  if (const std::string text = stragglers_.report(); !text.empty()) info("{}", text);
}

}  // namespace retrace::train
