#include "train/trainer.h"

#include <ATen/Parallel.h>

#include <optional>

#include "core/build_info.h"
#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "core/process/signals.h"
#include "data/tokenizer/tokenizer_files.h"
#include "model/device/te_choice.h"
#include "model/llama/llama.h"
#include "model/ops/attention.h"
#include "model/ops/head_exchange.h"
#include "train/checkpoint/checkpoint_load.h"
#include "train/checkpoint/checkpoint_saver.h"
#include "train/ranks/last_words.h"
#include "train/ranks/rank_groups.h"
#include "train/sharding/allocator.h"
#include "train/step/train_loop.h"
#include "train/step/training_setup.h"

namespace retrace::train {
namespace {

// Exports of any checkpoint need the tokenizer; it is copied once.
void keep_tokenizer(const TrainJob& job, const fs::path& root) {
  const fs::path to = root / "tokenizer";
  if (job.tokenizer.empty() || fs::exists(to)) return;
  const fs::path temp = root / "tokenizer.partial";
  remove_tree(temp);
  make_folders(temp);
  const bool folder = fs::is_directory(job.tokenizer);
  if (folder)
    data::copy_tokenizer_files(job.tokenizer, temp, data::TokenizerFiles::core, {"generation_config.json"});
  else
    write_file(temp / job.tokenizer.filename(), read_file(job.tokenizer));
  rename_durably(temp, to);
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

// "auto" finds the newest of the round; a path is for the round that it belongs to.
fs::path asked_checkpoint(const CheckpointConfig& config, int round) {
  if (config.resume == "auto" || config.resume == "never") return {};
  return read_manifest(config.resume).progress.round == round ? fs::path(config.resume) : fs::path();
}

}  // namespace

TrainResult run_training(World& world, const Recipe& recipe, const TrainJob& job) {
  const data::Mixture mixture(job.domains, static_cast<uint64_t>(recipe.get<RunConfig>().seed));
  TrainingSetup setup = resolve_training(world, recipe, job, mixture);
  const fs::path root = job.run_folder / "checkpoints";
  at::set_num_threads(setup.threads);
  if (world.device() == "cpu") keep_freed_memory();
  prepare_last_words(job.run_folder, world.rank());

  std::map<std::string, std::string> facts = setup.decisive;
  for (const char* key : {"train.sharding", "train.shard_size", "train.context_parallel", "train.micro_batch",
                          "train.cost_a", "train.cost_b"})
    facts[key] = setup.fingerprint.at(key);
  facts["data"] = mixture.manifest_hash();
  facts["tokenizer"] = job.tokenizer_fingerprint;
  facts["version"] = fmt::format("{} ({})", kVersion, kCompiler);
  facts["checkpoint.resume"] = setup.checkpoint.resume;
  const model::TeChoice te =
      model::choose_fused(setup.model.fused, setup.model.te_library, setup.model.dtype, world.device());
  if (world.first() && te.used) info("Transformer Engine: {}", te.path);
  if (world.first() && !te.why.empty() && world.device() == "cuda")
    info("Transformer Engine is not used: {}", te.why);
  const auto attention = model::check_attention(
      setup.model.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
      model::heads_of_rank({setup.llama.num_heads, setup.llama.num_kv_heads, setup.llama.head_dim},
                           setup.groups.context),
      c10::Device(world.device()));
  if (world.first())
    info("attention: backend {}, {:.1e} from fp32 in its self-test", attention.backend, attention.error);
  // A checkpoint from before this was noted was written with what is here.
  setup.fingerprint["attention"] = setup.defaults["attention"] = facts["attention"] = attention.backend;
  agree_before_training(world, facts);

  const FlatLayout layout(setup.llama, setup.checkpoint.chunk_kib);
  world.collectives().registers_buffers = setup.train.nccl_register;
  RankGroups groups(world.collectives(), setup.groups);
  Shards shards(layout, parse_sharding(setup.train.sharding), setup.model.dtype == "bfloat16", groups.shard(),
                c10::Device(world.device()), groups.replicas());
  std::optional<Manifest> found;
  first_rank_does(world.ranks(), world.fresh_key("prepare"), world.timeout_s(), [&] {
    make_folders(root);
    clean_leftovers(root);
    if (setup.checkpoint.resume == "never") supersede_checkpoints(root, job.round);
    keep_tokenizer(job, root);
  });
  if (setup.checkpoint.resume != "never") {
    found = load_newest(world, shards, root, job.round, asked_checkpoint(setup.checkpoint, job.round),
                        [&](const Manifest& manifest) {
                          check_resumable(setup, manifest, job, mixture.manifest_hash(), world.first());
                        });
  }
  TrainProgress progress;
  if (found) {
    progress = found->progress;
    agree_before_training(world, {{"checkpoint", found->root}});
    if (world.first())
      info("round {}: continuing at step {} of {} from checkpoint {:.12}", job.round, progress.data_step,
           setup.steps, found->root);
  } else {
    const auto source = open_start_weights(setup, job);
    agree_before_training(world, {{"set of start weights", source->fingerprint()}});
    shards.load(*source);
    progress.round = job.round;
    progress.step = job.first_step;
    if (world.first())
      info("round {}: {} steps of {} sequences, {} parameters, {} rank(s) of {} thread(s)", job.round,
           setup.steps, setup.train.batch_sequences,
           format_count(static_cast<double>(setup.llama.num_parameters())), world.size(), setup.threads);
  }
  if (found && progress.round_done) return result_of(root, progress, found->root);

  CheckpointSaver saver(world, shards, root, setup.checkpoint);
  TrainLoop loop(world, setup, job, mixture, shards, groups.context(), saver, progress, found.has_value());
  loop.run();
  return result_of(root, loop.progress(), saver.root_hash());
}

}  // namespace retrace::train
