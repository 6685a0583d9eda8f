#include "train/step/train_loop.h"

#include <cmath>
#include <csignal>
#include <fstream>
#include <limits>
#include <sstream>

#include <unistd.h>

#include "core/error.h"
#include "core/files/files.h"
#include "core/process/signals.h"
#include "core/text.h"
#include "model/llama/block_costs.h"
#include "train/step/schedule.h"

namespace retrace::train {
namespace {

using Clock = std::chrono::steady_clock;

// Waits for a lost rank end a little later than the watchdog's, which knows its name.
constexpr double kWatchdogFirst_s = 3;
constexpr double kForever = std::numeric_limits<double>::infinity();

double since_s(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Seconds since the kernel started this process; -1 where /proc does not tell.
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

model::ComputeOptions compute_options(const model::ModelConfig& config, const std::string& device) {
  model::ComputeOptions options;
  options.device = device;
  options.bf16 = config.dtype == "bfloat16";
  options.recompute = config.recompute;
  options.mlp_tile_tokens = config.mlp_tile_tokens;
  options.offload = config.offload;
  options.rms_norm = config.rms_norm;
  options.continuous_positions = config.continuous_positions;
  return options;
}

}  // namespace

TrainLoop::TrainLoop(World& world, const TrainingSetup& setup, const TrainJob& job,
                     const data::Mixture& mixture, Shards& shards, Collectives* context,
                     CheckpointSaver& saver, const TrainProgress& progress, bool resumed)
    : world_(world),
      setup_(setup),
      job_(job),
      mixture_(mixture),
      shards_(shards),
      saver_(saver),
      progress_(progress),
      llama_(setup.llama, compute_options(setup.model, world.device())),
      trace_(job.run_folder, world.rank()),
      pass_(make_timed_pass(make_llama_pass(llama_, setup.train.logit_chunk, context), trace_)),
      runner_(*pass_, shards, static_cast<int>(setup.train.virtual_ranks),
              static_cast<int>(mixture.domains().size()), [this] { look_for_leaving(); }),
      source_(mixture, setup.batches),
      prefetch_(source_, progress.data_step, setup.steps),
      outliers_(progress.recent_losses, progress.recent_norms) {
  if (resumed) resumed_step_ = progress.step;
  world.collectives().while_waiting = [this] { look_for_leaving(); };
  if (world.first()) report_ = std::make_unique<StepReport>(setup, job, mixture, world.size(), progress);
}

TrainLoop::~TrainLoop() {
  world_.collectives().while_waiting = nullptr;
}

void TrainLoop::run() {
  try {
    while (progress_.data_step < setup_.steps) step();
  } catch (const Leaving&) {
    leave();
  }
  if (report_) report_->finish();
  if (world_.first())
    info("round {}: {} steps done, loss {} at first, {} at last", job_.round, setup_.steps,
         progress_.first_loss, progress_.last_loss);
}

void TrainLoop::step() {
  const auto start = Clock::now();
  world_.activity(global_step() + 1, "data");
  look_for_leaving();
  const double waited_before = prefetch_.wait_s();
  const StepData data = prefetch_.next();
  const double wait_s = prefetch_.wait_s() - waited_before;
  trace_.add(Phase::data, start, wait_s);
  world_.activity(global_step() + 1, "forward and backward");
  if (!std::exchange(forward_begun_, true)) first_forward_to_tell_s_ = process_age_s();
  const std::vector<StepLoss> losses = runner_.run(data);
  trace_waits();
  world_.activity(global_step() + 1, "decision");
  const auto computed = Clock::now();
  const StepOutcome outcome = decide(losses, flops_of(data));
  trace_.add(Phase::decision, computed, since_s(computed));
  if (!outcome.saving) take_up_save(kForever);
  world_.activity(global_step() + 1, "optimizer");
  {
    const Trace::Span span(trace_, Phase::optimizer);
    update(outcome, data);
  }
  record(outcome, data, {since_s(start), wait_s, 0, {}, {}});

  if (setup_.train.check_weights_every > 0 && progress_.data_step % setup_.train.check_weights_every == 0)
    check_weights();
  const bool last = progress_.data_step == setup_.steps;
  const int64_t every = setup_.checkpoint.every;
  if (last || outcome.save_asked || (every > 0 && global_step() % every == 0))
    save(last, world_.timeout_s() + kWatchdogFirst_s);
  trace_.end_step(global_step());
}

// Transfers are waited for in many places of a step: their sum is told as one span that ends here.
void TrainLoop::trace_waits() {
  const Collectives::Waits& waits = world_.collectives().waits;
  const auto now = Clock::now();
  for (const auto& [phase, total_s, seen_s] :
       {std::tuple{Phase::gather_wait, waits.gather_s, &gather_seen_s_},
        {Phase::reduce_wait, waits.reduce_s, &reduce_seen_s_}}) {
    const double waited_s = total_s - std::exchange(*seen_s, total_s);
    const std::chrono::duration<double> waited(waited_s);
    if (waited_s > 0) trace_.add(phase, now - std::chrono::duration_cast<Clock::duration>(waited), waited_s);
  }
}

// Where ranks share a sequence, each counts its part of it.
double TrainLoop::flops_of(const StepData& data) const {
  double flops = 0;
  for (const auto& rank : data.micro) {
    for (const MicroBatch& batch : rank) {
      model::BatchShape shape;
      const auto& starts = batch.spans.starts;
      shape.tokens = starts.empty() ? 0 : starts.back();
      for (size_t d = 1; d < starts.size(); ++d)
        shape.squared_lengths += std::pow(static_cast<double>(starts[d] - starts[d - 1]), 2);
      flops += model::model_flops(setup_.llama, shape);
    }
  }
  return flops / setup_.groups.context;
}

// Once a rank is in here it stays until all have come, unless another says that it left this step.
StepOutcome TrainLoop::decide(const std::vector<StepLoss>& losses, double flops) {
  std::vector<double> mine = shards_.gradient_chunk_sums();
  const auto chunks = static_cast<int64_t>(mine.size());
  const size_t domains = mixture_.domains().size();
  mine.push_back(take_request() ? 1 : 0);
  mine.push_back(saver_.running() ? 1 : 0);
  mine.insert(mine.end(), {trace_.busy_s(), resident_bytes(), flops});
  for (const StepLoss& loss : losses) {
    mine.push_back(loss.loss);
    mine.insert(mine.end(), loss.domain_nll.begin(), loss.domain_nll.end());
    mine.insert(mine.end(), loss.domain_weight.begin(), loss.domain_weight.end());
  }
  in_decision_ = true;
  const std::vector<double> all = world_.collectives().gather(mine);
  in_decision_ = false;

  StepOutcome outcome;
  outcome.domain_nll.resize(domains);
  outcome.domain_weight.resize(domains);
  const auto stride = static_cast<int64_t>(mine.size());
  for (int r = 0; r < world_.size(); ++r) {
    const double* values = all.data() + r * stride + chunks;
    outcome.save_asked |= *values++ != 0;
    outcome.saving |= *values++ != 0;
    outcome.busy_s.push_back(*values++);
    outcome.memory_bytes = std::max(outcome.memory_bytes, *values++);
    outcome.model_flops += *values++;
    for (size_t v = 0; v < losses.size(); ++v) {
      outcome.loss += *values++;
      for (double& sum : outcome.domain_nll) sum += *values++;
      for (double& sum : outcome.domain_weight) sum += *values++;
    }
  }
  outcome.norm = shards_.gradient_norm(all, stride);
  outcome.good = std::isfinite(outcome.loss) && std::isfinite(outcome.norm);
  outcome.lr = learning_rate(setup_.optim, progress_.data_step, setup_.steps);
  judge_outlier(outcome);
  return outcome;
}

void TrainLoop::judge_outlier(StepOutcome& outcome) {
  const double most = setup_.train.max_z_score;
  if (most == 0 || !outcome.good) return;
  const OutlierDetector::Scores z = outliers_.add(outcome.loss, outcome.norm);
  outcome.loss_z = z.loss;
  outcome.norm_z = z.norm;
  outcome.outlier = z.loss > most || z.norm > most;
}

void TrainLoop::update(const StepOutcome& outcome, const StepData& data) {
  ++progress_.step;
  ++progress_.data_step;
  progress_.sequences_without_labels += data.sequences_without_labels;
  progress_.recent_losses = outliers_.losses();
  progress_.recent_norms = outliers_.norms();
  const std::string batch = outcome.good && !outcome.outlier ? "" : join(data.batch_ids, " ");
  if (outcome.outlier) {
    ++progress_.outliers;
    progress_.bad_in_a_row = 0;
    if (world_.first())
      warn(
          "step {}: loss {} and gradient norm {} lie {:.1f} and {:.1f} standard deviations above the last "
          "steps; the step is left out by all ranks (batch {})",
          global_step(), outcome.loss, outcome.norm, outcome.loss_z, outcome.norm_z, batch);
    return;
  }
  if (outcome.good) {
    const double clip = setup_.optim.clip_norm;
    const double scale = clip > 0 ? std::min(1.0, clip / (outcome.norm + 1e-6)) : 1.0;
    shards_.step(setup_.optim, outcome.lr, scale, ++progress_.optimizer_step);
    progress_.bad_in_a_row = 0;
    progress_.tokens += data.tokens;
    progress_.label_tokens += data.label_tokens;
    if (progress_.optimizer_step == 1) progress_.first_loss = outcome.loss;
    progress_.last_loss = outcome.loss;
    return;
  }
  ++progress_.skipped;
  ++progress_.bad_in_a_row;
  if (world_.first())
    warn(
        "step {}: loss {} and gradient norm {} are not both finite; the step is skipped by all ranks (batch "
        "{})",
        global_step(), outcome.loss, outcome.norm, batch);
  if (progress_.bad_in_a_row < setup_.train.max_bad_steps) return;
  record(outcome, data, {});
  take_up_save(kForever);
  throw Error(Code::numeric,
              fmt::format("{} steps in a row without a finite loss and gradient; the last batch was {}",
                          progress_.bad_in_a_row, batch),
              "lower optim.lr, or look at these samples; training resumes from the newest checkpoint",
              fmt::format("step {}", global_step()));
}

void TrainLoop::record(const StepOutcome& outcome, const StepData& data, StepTimes times) {
  times.checkpoint_stall_s = std::exchange(stall_s_, 0);
  times.checkpoint_save_s = std::exchange(save_s_, std::nullopt);
  times.start_to_first_forward_s = std::exchange(first_forward_to_tell_s_, std::nullopt);
  if (report_) report_->record(outcome, data, progress_, times);
}

// One save at a time: a disk that is slower than checkpoint.every holds training up, so that no more than the
// last interval is ever lost.
void TrainLoop::save(bool must, double timeout_s) {
  const auto start = Clock::now();
  world_.activity(global_step(), "checkpoint");
  take_up_save(kForever);
  Manifest draft;
  draft.progress = progress_;
  draft.progress.round_done = progress_.data_step == setup_.steps;
  draft.recipe = setup_.decisive;
  draft.fingerprint = setup_.fingerprint;
  draft.tokenizer = job_.tokenizer_fingerprint;
  draft.data_manifest = mixture_.manifest_hash();
  if (report_) report_->flush();
  if (setup_.checkpoint.async && !must)
    saver_.start(draft, timeout_s);
  else
    count_save(saver_.save(draft, must, timeout_s));
  stall_s_ += since_s(start);
  trace_.add(Phase::checkpoint, start, since_s(start));
}

void TrainLoop::take_up_save(double at_most_s) {
  if (const auto good = saver_.finish(at_most_s)) count_save(*good);
}

void TrainLoop::count_save(bool good) {
  if (good)
    progress_.failed_saves = 0;
  else
    ++progress_.failed_saves;
  save_s_ = saver_.last_save_s();
}

// A rank that waits for the common decision may leave only if that decision can never come.
void TrainLoop::look_for_leaving() {
  const bool told = world_.leaving_step() <= global_step() + 1;
  if (told || (!in_decision_ && stop_signal() != 0)) throw Leaving{};
}

void TrainLoop::leave() {
  world_.announce_leaving(global_step() + 1);
  runner_.abandon();
  world_.collectives().while_waiting = nullptr;
  const int signal = stop_signal() != 0 ? stop_signal() : SIGTERM;
  const double grace_s = setup_.checkpoint.grace_s;
  const auto start = Clock::now();
  std::string what = fmt::format("step {} is saved", global_step()), lost;
  try {
    take_up_save(grace_s);
    if (saver_.running()) throw Error(Code::io, "an earlier save takes longer than checkpoint.grace_s");
    if (std::max(saver_.saved_step(), resumed_step_) != global_step()) {
      const double left_s = grace_s - since_s(start);
      if (saver_.last_save_s() > left_s)
        throw Error(Code::io, "it would take longer than checkpoint.grace_s");
      if (grace_s == 0) throw Error(Code::distributed, "checkpoint.grace_s is 0");
      if (lost = world_.silent_peers(); !lost.empty()) throw Error(Code::distributed, "not all ranks live");
      save(true, std::min(left_s, world_.timeout_s()));
    }
  } catch (const Error& problem) {
    what = fmt::format("step {} could not be saved: {}", global_step(), problem.message());
  }
  // A launcher that saw a rank die stops the others by SIGTERM: the cause is the loss.
  if (!lost.empty())
    throw Error(Code::distributed, fmt::format("lost {}; {}", lost, what),
                "start again: training resumes from the newest checkpoint",
                fmt::format("rank {}", world_.rank()));
  Error error(Code::interrupted, fmt::format("interrupted; {}", what),
              "the same command continues from there");
  error.signal = signal;
  throw error;
}

void TrainLoop::check_weights() {
  const std::string hash = shards_.weights_hash();
  agree_before_training(world_, {{"hash of the weights", hash}});
}

bool TrainLoop::take_request() {
  bool asked = take_save_request();
  if (!world_.first()) return asked;
  std::error_code none;
  const fs::path request = job_.save_request.empty() ? job_.run_folder / kSaveRequestName : job_.save_request;
  if (fs::remove(request, none)) asked = true;
  return asked;
}

}  // namespace retrace::train
