// The keys of the sections in train/config.h, declared once.
#include "train/config.h"

namespace retrace::train {

auto OptimConfig::fields() {
  using O = OptimConfig;
  return std::tuple{
      field("lr", &O::lr, "Peak learning rate").range(0, 10),
      field("beta1", &O::beta1, "Decay of the first moment, per optimizer step").range(0, 0.999999),
      field("beta2", &O::beta2, "Decay of the second moment, per optimizer step").range(0, 0.99999999),
      field("eps", &O::eps, "Added to the root of the second moment").range(0, 1),
      field("weight_decay", &O::weight_decay, "Decoupled weight decay, times the learning rate, per step")
          .range(0, 10),
      field("decay_norms", &O::decay_norms, "Decay the weights of the norms too"),
      field("clip_norm", &O::clip_norm, "Global gradient norm above which gradients are scaled; 0 = never")
          .at_least(0),
      field("warmup_fraction", &O::warmup_fraction,
            "Share of a round's steps over which the learning rate rises linearly from 0")
          .range(0, 1),
      field("min_lr_fraction", &O::min_lr_fraction,
            "Learning rate at the end of the cosine, as a share of the peak")
          .range(0, 1)};
}

auto TrainConfig::fields() {
  using T = TrainConfig;
  return std::tuple{
      field("steps", &T::steps, "Optimizer steps a round; 0 = epochs * samples / batch_sequences")
          .unit("steps")
          .at_least(0),
      field("epochs", &T::epochs, "Passes over a round's samples where steps = 0").at_least(1),
      field("batch_sequences", &T::batch_sequences, "Sequences an optimizer step, over all ranks")
          .unit("sequences")
          .at_least(1),
      field("micro_batch", &T::micro_batch, "Sequences that a rank packs into one forward pass")
          .unit("sequences")
          .at_least(1),
      field("loss", &T::loss,
            "sequence_mean: every sequence counts the same; global_tokens: every label counts the same")
          .choices({"sequence_mean", "global_tokens"}),
      field("sharding", &T::sharding,
            "What ranks hold in full: zero3 nothing, zero2 weights, zero1-accumulate weights and gradients; "
            "hsdp is zero3 inside groups of ranks that each hold a copy of the state")
          .choices({"zero3", "zero2", "hsdp", "zero1-accumulate"}),
      field("shard_size", &T::shard_size, "hsdp: ranks that hold one copy together; 0 = the ranks of a node")
          .unit("ranks")
          .at_least(0),
      field("context_parallel", &T::context_parallel,
            "Ranks that share one sequence: tokens outside of attention, heads inside (Ulysses)")
          .unit("ranks")
          .range(1, 1024),
      field("logit_chunk", &T::logit_chunk, "Tokens whose logits exist at one time")
          .unit("tokens")
          .at_least(1),
      field("cost_a", &T::cost_a, "Assignment of sequences to ranks: cost of a token").at_least(0),
      field("cost_b", &T::cost_b, "Assignment of sequences to ranks: cost of a squared document length")
          .at_least(0),
      field("device", &T::device, "Where to compute").choices({"auto", "cpu", "cuda"}),
      field("nccl_register", &T::nccl_register,
            "Units' weights and gradients lie in memory that NCCL has registered, where it can"),
      field("virtual_ranks", &T::virtual_ranks,
            "One process adds up as this many ranks would; a check of distributed runs")
          .range(1, 1024),
      field("check_weights_every", &T::check_weights_every,
            "Compare the weights of all ranks every so many steps; 0 = only before the first")
          .unit("steps")
          .at_least(0),
      field("max_bad_steps", &T::max_bad_steps,
            "Stop after so many steps in a row whose loss or gradient was not finite")
          .unit("steps")
          .at_least(1),
      field("max_z_score", &T::max_z_score,
            "All ranks leave out a step whose loss or gradient norm lies more standard deviations above the "
            "last 128 steps; 0 = none")
          .at_least(0),
      field("peak_tflops", &T::peak_tflops,
            "Peak of a rank's device, for the utilisation in the metrics; 0 = not known, no utilisation")
          .unit("TFLOP/s")
          .at_least(0)};
}

auto CheckpointConfig::fields() {
  using C = CheckpointConfig;
  return std::tuple{
      field("every", &C::every, "Save every so many steps; 0 = at the end of a round only")
          .unit("steps")
          .at_least(0),
      field("keep", &C::keep, "Newest checkpoints of a round that stay").range(2, 1e9),
      field("keep_every", &C::keep_every, "Checkpoints at multiples of this step stay for good; 0 = none")
          .unit("steps")
          .at_least(0),
      field("resume", &C::resume, "auto (the newest that verifies), never, or a checkpoint folder"),
      field("async", &C::async,
            "Write from a copy of the state while training goes on (12 bytes a parameter of the rank, in "
            "host "
            "memory); the last save of a round and SIGTERM's are waited for"),
      field("force", &C::force, "Resume even if the checkpoint was written under another recipe"),
      field("max_failures", &C::max_failures, "Failed saves in a row after which training stops").at_least(1),
      field("grace_s", &C::grace_s, "Time after SIGTERM within which a last checkpoint must be written")
          .unit("s")
          .at_least(0),
      field("chunk_kib", &C::chunk_kib,
            "Unit of sharding, hashing and gradient norms; 0 = by the model's size")
          .unit("KiB")
          .range(0, 65536)};
}

}  // namespace retrace::train

namespace retrace {
template train::OptimConfig Recipe::get<train::OptimConfig>() const;
template Section describe<train::OptimConfig>();
template train::TrainConfig Recipe::get<train::TrainConfig>() const;
template Section describe<train::TrainConfig>();
template train::CheckpointConfig Recipe::get<train::CheckpointConfig>() const;
template Section describe<train::CheckpointConfig>();
}  // namespace retrace
