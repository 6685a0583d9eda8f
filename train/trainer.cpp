#include "train/trainer.h"

#include <cmath>
#include <csignal>
#include <limits>

#include "core/clock.h"
#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "core/process/signals.h"
#include "core/text.h"
#include "train/checkpoint/checkpoint_saver.h"
#include "train/ranks/rank_groups.h"
#include "train/step/forward_backward.h"
#include "train/step/outliers.h"
#include "train/step/prefetch.h"
#include "train/step/round_start.h"
#include "train/step/schedule.h"
#include "train/step/step_metrics.h"

namespace retrace::train {
namespace {

// Waits for a lost rank end a little later than the watchdog's, which knows its name.
constexpr double kWatchdogFirst_s = 3;
constexpr double kForever = std::numeric_limits<double>::infinity();

// The steps of a round. All ranks decide alike, because they decide on values that all have gathered.
class Trainer {
 public:
  Trainer(World& world, const RoundSetup& setup, const TrainJob& job, const data::Mixture& mixture,
          Shards& shards, Collectives* context, CheckpointSaver& saver, const TrainProgress& progress,
          bool resumed);
  ~Trainer();
  void run();
  const TrainProgress& progress() const { return progress_; }

 private:
  struct Leaving {};  // thrown between two units

  void step();
  StepBatch fetch_batch(double& wait_s);
  void trace_waits();
  StepResult decide(const StepBatch& batch, std::vector<StepLoss> losses);
  void mark_outlier(StepResult& result);
  void update(const StepResult& result, const StepBatch& batch);
  void leave_out(const StepResult& result, const StepBatch& batch);
  void skip_bad_step(const StepResult& result, const StepBatch& batch);
  void record(const StepResult& result, const StepBatch& batch, StepTimes times);
  void save_if_due(bool asked);
  void save(bool must, double timeout_s);
  void wait_for_save(double at_most_s);
  void note_save(bool good);
  [[noreturn]] void leave();
  void look_for_leaving();
  void check_weights();
  int64_t global_step() const { return progress_.step; }  // completed
  bool take_request();

  World& world_;
  const RoundSetup& setup_;
  const TrainJob& job_;
  const data::Mixture& mixture_;
  Shards& shards_;
  CheckpointSaver& saver_;
  TrainProgress progress_;

  model::Llama llama_;
  Trace trace_;
  std::unique_ptr<PassWork> pass_;
  ForwardBackward forward_backward_;
  BatchSource batches_;
  Prefetch prefetch_;
  OutlierDetector outliers_;
  std::unique_ptr<StepMetrics> metrics_;  // rank 0
  bool in_decision_ = false;
  int64_t resumed_step_ = -1;
  double stall_s_ = 0, gather_seen_s_ = 0, reduce_seen_s_ = 0;
  std::optional<double> first_forward_to_tell_s_, save_s_;
  bool forward_begun_ = false;
};

Trainer::Trainer(World& world, const RoundSetup& setup, const TrainJob& job, const data::Mixture& mixture,
                 Shards& shards, Collectives* context, CheckpointSaver& saver, const TrainProgress& progress,
                 bool resumed)
    : world_(world),
      setup_(setup),
      job_(job),
      mixture_(mixture),
      shards_(shards),
      saver_(saver),
      progress_(progress),
      llama_(setup.llama, compute_options(setup.model, world.device())),
      trace_(job.run_folder, world.rank()),
      pass_(make_llama_pass(llama_, setup.train.logit_chunk, context)),
      forward_backward_(
          *pass_, shards, static_cast<int>(setup.train.virtual_ranks),
          static_cast<int>(mixture.domains().size()), [this] { look_for_leaving(); }, &trace_),
      batches_(mixture, setup.batches),
      prefetch_(batches_, progress.data_step, setup.steps),
      outliers_(progress.recent_losses, progress.recent_norms) {
  if (resumed) resumed_step_ = progress.step;
  world.collectives().while_waiting = [this] { look_for_leaving(); };
  if (world.first()) metrics_ = std::make_unique<StepMetrics>(setup, job, mixture, world.size(), progress);
}

Trainer::~Trainer() {
  world_.collectives().while_waiting = nullptr;
}

void Trainer::run() {
  try {
    while (progress_.data_step < setup_.steps) step();
  } catch (const Leaving&) {
    leave();
  }
  if (metrics_) metrics_->finish();
  if (world_.first())
    info("round {}: {} steps done, loss {} at first, {} at last", job_.round, setup_.steps,
         progress_.first_loss, progress_.last_loss);
}

void Trainer::step() {
  const auto start = Clock::now();
  double data_wait_s = 0;
  const StepBatch batch = fetch_batch(data_wait_s);

  world_.activity(global_step() + 1, "forward and backward");
  std::vector<StepLoss> losses = forward_backward_.run(batch);
  trace_waits();

  world_.activity(global_step() + 1, "decision");
  const StepResult result = decide(batch, std::move(losses));
  if (!result.saving) wait_for_save(kForever);

  world_.activity(global_step() + 1, "optimizer");
  update(result, batch);
  record(result, batch, {elapsed_s(start), data_wait_s, 0, {}, {}});

  const int64_t check_every = setup_.train.check_weights_every;
  if (check_every > 0 && progress_.data_step % check_every == 0) check_weights();
  save_if_due(result.save_asked);
  trace_.end_step(global_step());
}

StepBatch Trainer::fetch_batch(double& wait_s) {
  const auto start = Clock::now();
  world_.activity(global_step() + 1, "data");
  look_for_leaving();
  const double waited_before = prefetch_.wait_s();
  StepBatch batch = prefetch_.next();
  wait_s = prefetch_.wait_s() - waited_before;
  trace_.add(Phase::data, start, wait_s);
  if (!std::exchange(forward_begun_, true)) first_forward_to_tell_s_ = process_age_s();
  return batch;
}

// Transfers are waited for in many places of a step: their sum is told as one span that ends here.
void Trainer::trace_waits() {
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

// Once a rank is in here it stays until all have come, unless another says that it left this step.
StepResult Trainer::decide(const StepBatch& batch, std::vector<StepLoss> losses) {
  const Trace::Span span(&trace_, Phase::decision);
  const double flops = model_flops_of(setup_.llama, batch, setup_.groups.context);
  std::vector<double> chunk_sums = shards_.gradient_chunk_sums();
  const auto chunks = static_cast<int64_t>(chunk_sums.size());
  const bool asked = take_request();
  const RankValues mine{asked, saver_.running(), trace_.busy_s(), resident_bytes(), flops, std::move(losses)};
  const std::vector<double> packed = pack_values(std::move(chunk_sums), mine);
  in_decision_ = true;
  const std::vector<double> all = world_.collectives().gather(packed);
  in_decision_ = false;

  StepResult result = combine_values(all, world_.size(), chunks, mine);
  result.norm = shards_.gradient_norm(all, static_cast<int64_t>(packed.size()));
  result.good = std::isfinite(result.loss) && std::isfinite(result.norm);
  result.lr = learning_rate(setup_.optim, progress_.data_step, setup_.steps);
  mark_outlier(result);
  return result;
}

void Trainer::mark_outlier(StepResult& result) {
  const double most = setup_.train.max_z_score;
  if (most == 0 || !result.good) return;
  const OutlierDetector::Scores z = outliers_.add(result.loss, result.norm);
  result.loss_z = z.loss;
  result.norm_z = z.norm;
  result.outlier = z.loss > most || z.norm > most;
}

void Trainer::update(const StepResult& result, const StepBatch& batch) {
  const Trace::Span span(&trace_, Phase::optimizer);
  ++progress_.step;
  ++progress_.data_step;
  progress_.sequences_without_labels += batch.sequences_without_labels;
  progress_.recent_losses = outliers_.losses();
  progress_.recent_norms = outliers_.norms();
  if (result.outlier) return leave_out(result, batch);
  if (!result.good) return skip_bad_step(result, batch);
  const double clip = setup_.optim.clip_norm;
  const double scale = clip > 0 ? std::min(1.0, clip / (result.norm + 1e-6)) : 1.0;
  shards_.step(setup_.optim, result.lr, scale, ++progress_.optimizer_step);
  progress_.bad_in_a_row = 0;
  progress_.tokens += batch.tokens;
  progress_.label_tokens += batch.label_tokens;
  if (progress_.optimizer_step == 1) progress_.first_loss = result.loss;
  progress_.last_loss = result.loss;
}

void Trainer::leave_out(const StepResult& result, const StepBatch& batch) {
  ++progress_.outliers;
  progress_.bad_in_a_row = 0;
  if (world_.first())
    warn(
        "step {}: loss {} and gradient norm {} lie {:.1f} and {:.1f} standard deviations above the last "
        "steps; the step is left out by all ranks (batch {})",
        global_step(), result.loss, result.norm, result.loss_z, result.norm_z, join(batch.batch_ids, " "));
}

void Trainer::skip_bad_step(const StepResult& result, const StepBatch& batch) {
  ++progress_.skipped;
  ++progress_.bad_in_a_row;
  const std::string ids = join(batch.batch_ids, " ");
  if (world_.first())
    warn(
        "step {}: loss {} and gradient norm {} are not both finite; the step is skipped by all ranks (batch "
        "{})",
        global_step(), result.loss, result.norm, ids);
  if (progress_.bad_in_a_row < setup_.train.max_bad_steps) return;
  record(result, batch, {});
  wait_for_save(kForever);
  throw Error(Code::numeric,
              fmt::format("{} steps in a row without a finite loss and gradient; the last batch was {}",
                          progress_.bad_in_a_row, ids),
              "lower optim.lr, or look at these samples; training resumes from the newest checkpoint",
              fmt::format("step {}", global_step()));
}

void Trainer::record(const StepResult& result, const StepBatch& batch, StepTimes times) {
  times.checkpoint_stall_s = std::exchange(stall_s_, 0);
  times.checkpoint_save_s = std::exchange(save_s_, std::nullopt);
  times.start_to_first_forward_s = std::exchange(first_forward_to_tell_s_, std::nullopt);
  if (metrics_) metrics_->record(result, batch, progress_, times);
}

void Trainer::save_if_due(bool asked) {
  const bool last = progress_.data_step == setup_.steps;
  const int64_t every = setup_.checkpoint.every;
  if (last || asked || (every > 0 && global_step() % every == 0))
    save(last, world_.timeout_s() + kWatchdogFirst_s);
}

// One save at a time: a disk that is slower than checkpoint.every holds training up, so that no more than the
// last interval is ever lost.
void Trainer::save(bool must, double timeout_s) {
  const auto start = Clock::now();
  world_.activity(global_step(), "checkpoint");
  wait_for_save(kForever);
  Manifest draft;
  draft.progress = progress_;
  draft.progress.round_done = progress_.data_step == setup_.steps;
  draft.recipe = setup_.decisive;
  draft.fingerprint = setup_.fingerprint;
  draft.tokenizer = job_.tokenizer_fingerprint;
  draft.data_manifest = mixture_.manifest_hash();
  if (metrics_) metrics_->flush();
  if (setup_.checkpoint.async && !must)
    saver_.start(draft, timeout_s);
  else
    note_save(saver_.save(draft, must, timeout_s));
  stall_s_ += elapsed_s(start);
  trace_.add(Phase::checkpoint, start, elapsed_s(start));
}

void Trainer::wait_for_save(double at_most_s) {
  if (const auto good = saver_.finish(at_most_s)) note_save(*good);
}

void Trainer::note_save(bool good) {
  if (good)
    progress_.failed_saves = 0;
  else
    ++progress_.failed_saves;
  save_s_ = saver_.last_save_s();
}

// A rank that waits for the common decision may leave only if that decision can never come.
void Trainer::look_for_leaving() {
  const bool told = world_.leaving_step() <= global_step() + 1;
  if (told || (!in_decision_ && stop_signal() != 0)) throw Leaving{};
}

void Trainer::leave() {
  world_.announce_leaving(global_step() + 1);
  forward_backward_.abandon();
  world_.collectives().while_waiting = nullptr;
  const int signal = stop_signal() != 0 ? stop_signal() : SIGTERM;
  const double grace_s = setup_.checkpoint.grace_s;
  const auto start = Clock::now();
  std::string what = fmt::format("step {} is saved", global_step()), lost;
  try {
    wait_for_save(grace_s);
    if (saver_.running()) throw Error(Code::io, "an earlier save takes longer than checkpoint.grace_s");
    if (std::max(saver_.saved_step(), resumed_step_) != global_step()) {
      const double left_s = grace_s - elapsed_s(start);
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

void Trainer::check_weights() {
  const std::string hash = shards_.weights_hash();
  agree_before_training(world_, {{"hash of the weights", hash}});
}

bool Trainer::take_request() {
  bool asked = take_save_request();
  if (!world_.first()) return asked;
  std::error_code none;
  const fs::path request = job_.save_request.empty() ? job_.run_folder / kSaveRequestName : job_.save_request;
  if (fs::remove(request, none)) asked = true;
  return asked;
}

TrainResult result_of(const fs::path& root, const TrainProgress& progress, const std::string& hash) {
  return {root / fmt::format("step-{}", progress.step),
          hash,
          progress.data_step,
          progress.tokens,
          progress.label_tokens,
          progress.first_loss,
          progress.last_loss};
}

}  // namespace

TrainResult run_training(World& world, const Recipe& recipe, const TrainJob& job) {
  const data::Mixture mixture(job.domains, static_cast<uint64_t>(recipe.get<RunConfig>().seed));
  RoundSetup setup = resolve_round(world, recipe, job, mixture);
  prepare_ranks(world, setup, job, mixture);

  const FlatLayout layout(setup.llama, setup.checkpoint.chunk_kib);
  world.collectives().registers_buffers = setup.train.nccl_register;
  RankGroups groups(world.collectives(), setup.groups);
  Shards shards(layout, parse_sharding(setup.train.sharding), setup.model.dtype == "bfloat16", groups.shard(),
                c10::Device(world.device()), groups.replicas());
  const fs::path root = job.run_folder / "checkpoints";
  const RoundStart start = load_start(world, setup, job, mixture, shards, root);
  if (start.checkpoint && start.progress.round_done)
    return result_of(root, start.progress, *start.checkpoint);

  CheckpointSaver saver(world, shards, root, setup.checkpoint);
  Trainer trainer(world, setup, job, mixture, shards, groups.context(), saver, start.progress,
                  start.checkpoint.has_value());
  trainer.run();
  return result_of(root, trainer.progress(), saver.root_hash());
}

}  // namespace retrace::train
