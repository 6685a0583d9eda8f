#include "train/step/round_setup.h"

#include <set>

#include "core/build_info.h"
#include "core/error.h"
#include "core/files/paths.h"
#include "core/json.h"
#include "core/log.h"
#include "train/checkpoint.h"

namespace retrace::train {
namespace {

// Keys whose change makes another training of it, by section; and those among them that only change rounding.
const std::set<std::string> kDecisiveSections = {"model", "optim", "train"};
const std::set<std::string> kFree = {
    "model.path",          "model.recompute",     "model.offload",
    "model.te_library",    "train.nccl_register", "train.check_weights_every",
    "train.max_bad_steps", "train.device",        "train.epochs",
    "train.steps",         "train.peak_tflops"};
const std::set<std::string> kRounding = {"train.sharding",      "train.shard_size",  "train.context_parallel",
                                         "train.virtual_ranks", "train.micro_batch", "train.logit_chunk",
                                         "train.cost_a",        "train.cost_b",      "model.mlp_tile_tokens",
                                         "model.fused"};

int64_t round_steps(const TrainConfig& train, const TrainJob& job, const data::Mixture& mixture) {
  if (job.steps > 0) return job.steps;
  if (train.steps > 0) return train.steps;
  int64_t samples = 0;
  for (size_t d = 0; d < mixture.domains().size(); ++d)
    if (mixture.domains()[d].weight > 0) samples += mixture.domain_size(static_cast<int>(d));
  return std::max<int64_t>(1, train.epochs * samples / train.batch_sequences);
}

// A key that the older side does not know stands for its default.
std::string differences(const std::map<std::string, std::string>& then,
                        const std::map<std::string, std::string>& now,
                        const std::map<std::string, std::string>& defaults) {
  std::string text;
  const auto note = [&](const std::string& key, const std::string& a, const std::string& b) {
    text += fmt::format("{}{} ({} then, {} now)", text.empty() ? "" : ", ", key, a, b);
  };
  for (const auto& [key, value] : then) {
    const auto found = now.find(key);
    const std::string other = found == now.end() ? "absent" : found->second;
    if (other != value) note(key, value, other);
  }
  for (const auto& [key, value] : now) {
    const auto usual = defaults.find(key);
    if (!then.count(key) && (usual == defaults.end() || usual->second != value)) note(key, "absent", value);
  }
  return text;
}

}  // namespace

RoundSetup resolve_round(const World& world, const Recipe& recipe, const TrainJob& job,
                         const data::Mixture& mixture) {
  RoundSetup s;
  s.run = recipe.get<RunConfig>();
  s.model = recipe.get<model::ModelConfig>();
  s.optim = recipe.get<OptimConfig>();
  s.train = recipe.get<TrainConfig>();
  s.checkpoint = recipe.get<CheckpointConfig>();
  if (s.train.virtual_ranks > 1 && world.size() > 1)
    throw Error(Code::recipe, "virtual ranks stand in for real ones: they need one process",
                "set run.nproc = 1 or train.virtual_ranks = 1", "train.virtual_ranks");
  s.llama =
      job.start.empty() ? model::resolve_llama_config(s.model, job.vocab_size) : checkpoint_config(job.start);
  if (s.llama.vocab_size < job.vocab_size)
    throw Error(
        Code::recipe,
        fmt::format("the model knows {} tokens, the tokenizer makes {}", s.llama.vocab_size, job.vocab_size),
        "use the tokenizer that belongs to the model", "tokenizer.path");
  s.steps = round_steps(s.train, job, mixture);
  s.threads = compute_threads(s.run.threads, world.env(), s.train.virtual_ranks);

  s.batches.batch_sequences = s.train.batch_sequences;
  s.batches.micro_batch = s.train.micro_batch;
  s.batches.loss = s.train.loss;
  s.batches.cost_a = s.train.cost_a;
  s.batches.cost_b = s.train.cost_b;
  s.batches.continuous_positions = s.model.continuous_positions;
  s.batches.vocab_size = s.llama.vocab_size;
  s.batches.pad = job.pad;
  s.batches.rank = world.rank();
  s.batches.world = world.size();
  s.batches.virtual_ranks = static_cast<int>(s.train.virtual_ranks);
  s.groups = group_sizes(s.train, s.llama, world.size(), world.env().local_size);
  s.batches.context = s.groups.context;
  s.batches.meet_once = s.train.sharding == "zero1-accumulate";

  for (const Section& section : recipe.schema().sections()) {
    if (!kDecisiveSections.count(section.name)) continue;
    for (const Key& key : section.keys) {
      if (kFree.count(key.full())) continue;
      auto& where = kRounding.count(key.full()) ? s.fingerprint : s.decisive;
      where[key.full()] = value_text(recipe.value(key.full()));
      s.defaults[key.full()] = value_text(key.default_value);
    }
  }
  s.decisive["run.seed"] = std::to_string(s.run.seed);
  s.decisive["steps of the round"] = std::to_string(s.steps);
  s.fingerprint["backend"] = world.device();
  s.fingerprint["ranks"] = std::to_string(world.size());
  s.fingerprint["train.shard_size"] = std::to_string(s.groups.shard);
  s.fingerprint["threads"] = std::to_string(s.threads);
  s.fingerprint["version"] = kVersion;
  s.fingerprint["compiler"] = kCompiler;
  return s;
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

std::unique_ptr<model::WeightSource> open_start_weights(const RoundSetup& setup, const TrainJob& job) {
  if (!job.start.empty()) return open_checkpoint_weights(job.start);
  if (!setup.model.path.empty()) return model::open_hf_weights(resolve_path(setup.model.path), setup.llama);
  return model::random_weights(setup.llama, static_cast<uint64_t>(setup.run.seed), setup.model.init_std);
}

void agree_before_training(World& world, const std::map<std::string, std::string>& facts) {
  if (world.size() == 1) return;
  const std::string problem =
      find_disagreement(world.ranks(), world.fresh_key("agree"), world.timeout_s(), facts);
  if (!problem.empty())
    throw Error(Code::distributed, "ranks disagree, so none trains: " + problem + " than rank 0",
                "start all ranks with one recipe, one binary and one set of files");
}

void check_resumable(const RoundSetup& setup, const Manifest& manifest, const TrainJob& job,
                     const std::string& data_manifest, bool tell) {
  std::string changed = differences(manifest.recipe, setup.decisive, setup.defaults);
  const auto note = [&](bool same, const char* what) {
    if (!same) changed += fmt::format("{}{}", changed.empty() ? "" : ", ", what);
  };
  note(manifest.tokenizer == job.tokenizer_fingerprint, "another tokenizer");
  note(manifest.data_manifest == data_manifest, "other data");
  const std::string where = fmt::format("step {}", manifest.progress.step);
  if (!changed.empty()) {
    if (!setup.checkpoint.force)
      throw Error(
          Code::recipe, fmt::format("the checkpoint belongs to another training: {}", changed),
          "give the recipe back its values, or set checkpoint.force = true or checkpoint.resume = \"never\"",
          where);
    if (tell)
      warn("checkpoint.force: continuing {} although it belongs to another training: {}", where, changed);
  }
  const std::string other = differences(manifest.fingerprint, setup.fingerprint, setup.defaults);
  if (!other.empty() && tell) warn("this run is not bit-equal to one that never stopped: {}", other);
}

}  // namespace retrace::train
