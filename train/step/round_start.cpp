#include "train/step/round_start.h"

#include <ATen/Parallel.h>

#include "core/build_info.h"
#include "core/files/files.h"
#include "core/log.h"
#include "data/tokenizer/tokenizer_files.h"
#include "model/device/te_choice.h"
#include "model/ops/attention.h"
#include "model/ops/head_exchange.h"
#include "train/checkpoint/checkpoint_load.h"
#include "train/checkpoint/folders.h"
#include "train/ranks/last_words.h"
#include "train/sharding/allocator.h"

namespace retrace::train {
namespace {

void choose_transformer_engine(const World& world, const RoundSetup& setup) {
  const model::TeChoice te =
      model::choose_fused(setup.model.fused, setup.model.te_library, setup.model.dtype, world.device());
  if (world.first() && te.used) info("Transformer Engine: {}", te.path);
  if (world.first() && !te.why.empty() && world.device() == "cuda")
    info("Transformer Engine is not used: {}", te.why);
}

// The backend that passed.
std::string test_attention(const World& world, const RoundSetup& setup) {
  const auto attention = model::check_attention(
      setup.model.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
      model::heads_of_rank({setup.llama.num_heads, setup.llama.num_kv_heads, setup.llama.head_dim},
                           setup.groups.context),
      c10::Device(world.device()));
  if (world.first())
    info("attention: backend {}, {:.1e} from fp32 in its self-test", attention.backend, attention.error);
  return attention.backend;
}

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

// "auto" finds the newest of the round; a path is for the round that it belongs to.
fs::path asked_checkpoint(const CheckpointConfig& config, int round) {
  if (config.resume == "auto" || config.resume == "never") return {};
  return read_manifest(config.resume).progress.round == round ? fs::path(config.resume) : fs::path();
}

}  // namespace

void prepare_ranks(World& world, RoundSetup& setup, const TrainJob& job, const data::Mixture& mixture) {
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
  choose_transformer_engine(world, setup);
  // A checkpoint from before this was noted was written with what is here.
  setup.fingerprint["attention"] = setup.defaults["attention"] = facts["attention"] =
      test_attention(world, setup);
  agree_before_training(world, facts);
}

RoundStart load_start(World& world, const RoundSetup& setup, const TrainJob& job,
                      const data::Mixture& mixture, Shards& shards, const fs::path& root) {
  first_rank_does(world.ranks(), world.fresh_key("prepare"), world.timeout_s(), [&] {
    make_folders(root);
    clean_leftovers(root);
    if (setup.checkpoint.resume == "never") supersede_checkpoints(root, job.round);
    keep_tokenizer(job, root);
  });
  std::optional<Manifest> found;
  if (setup.checkpoint.resume != "never") {
    found = load_newest(world, shards, root, job.round, asked_checkpoint(setup.checkpoint, job.round),
                        [&](const Manifest& manifest) {
                          check_resumable(setup, manifest, job, mixture.manifest_hash(), world.first());
                        });
  }
  if (found) {
    agree_before_training(world, {{"checkpoint", found->root}});
    if (world.first())
      info("round {}: continuing at step {} of {} from checkpoint {:.12}", job.round,
           found->progress.data_step, setup.steps, found->root);
    return {found->progress, found->root};
  }
  const auto source = open_start_weights(setup, job);
  agree_before_training(world, {{"set of start weights", source->fingerprint()}});
  shards.load(*source);
  RoundStart start;
  start.progress.round = job.round;
  start.progress.step = job.first_step;
  if (world.first())
    info("round {}: {} steps of {} sequences, {} parameters, {} rank(s) of {} thread(s)", job.round,
         setup.steps, setup.train.batch_sequences,
         format_count(static_cast<double>(setup.llama.num_parameters())), world.size(), setup.threads);
  return start;
}

}  // namespace retrace::train
