#include "loop/plan/plan_recipe.h"

#include <algorithm>

#include "core/files/paths.h"
#include "data/config.h"
#include "loop/config.h"
#include "model/config.h"
#include "model/llama/known_shapes.h"
#include "synth/config.h"
#include "train/config.h"
#include "train/plan.h"

namespace retrace::loop {
namespace {

constexpr double kTera = 1e12, kGib = 1024.0 * 1024 * 1024;
constexpr double kHour_s = 3600;

model::LlamaConfig shape_of(const Recipe& recipe) {
  const auto model = recipe.get<model::ModelConfig>();
  const auto tokenizer = recipe.get<data::TokenizerConfig>();
  if (model.path.empty()) return model::resolve_llama_config(model, tokenizer.vocab_size);
  const auto folder = resolve_path(model.path);
  model::LlamaConfig config;
  if (std::filesystem::exists(folder / "config.json"))
    config = model::read_llama_config(folder);
  else
    config = model::known_llama_config(folder.filename().string());
  if (model.rope_theta > 0) config.rope_theta = model.rope_theta;
  return config;
}

train::TrainingShape training_shape(const Recipe& recipe) {
  const auto train = recipe.get<train::TrainConfig>();
  const auto model = recipe.get<model::ModelConfig>();
  const auto plan = recipe.get<PlanConfig>();
  train::TrainingShape shape;
  shape.llama = shape_of(recipe);
  shape.seq_len = recipe.get<data::DataConfig>().seq_len;
  shape.micro_batch = train.micro_batch;
  shape.batch_sequences = train.batch_sequences;
  shape.logit_chunk = train.logit_chunk;
  shape.chunk_kib = recipe.get<train::CheckpointConfig>().chunk_kib;
  const int64_t document =
      plan.document_tokens > 0 ? std::min(plan.document_tokens, shape.seq_len) : shape.seq_len;
  shape.mean_squared_length = static_cast<double>(shape.seq_len) * static_cast<double>(document);
  shape.dtype = model.dtype;
  shape.recompute = model.recompute;
  shape.mlp_tile_tokens = model.mlp_tile_tokens;
  shape.offload = model.offload;
  shape.sharding = train.sharding;
  shape.shard_size = train.shard_size > 0 ? train.shard_size : plan.gpus_per_node;
  shape.context = train.context_parallel;
  const auto checkpoint = recipe.get<train::CheckpointConfig>();
  shape.async_saves = checkpoint.async && checkpoint.every > 0;
  return shape;
}

// What `retrace run` would ask of a generator and a scorer for the search, in tokens.
Json synthesis_plan(const Recipe& recipe, const PlanConfig& plan, const model::LlamaConfig& llama) {
  const auto text = [&](const char* key) { return std::get<std::string>(recipe.value(key)); };
  const auto number = [&](const char* key) { return std::get<int64_t>(recipe.value(key)); };
  const bool searching = text("search.preset") != "none";
  const auto repositories = static_cast<double>(plan.repositories);
  const double places = repositories * static_cast<double>(plan.thoughts);
  const double candidates =
      searching ? static_cast<double>(number("search.candidates") * number("search.iterations")) : 0;
  const double written = places * (1 + candidates) * static_cast<double>(plan.thought_tokens);
  const double read = places * (1 + candidates) * static_cast<double>(plan.prompt_tokens);
  constexpr double kBytesPerToken = 3.5;
  const double target = std::min(static_cast<double>(number("search.target_bytes")) / kBytesPerToken,
                                 static_cast<double>(plan.trajectory_tokens) / 2);
  const double prefix = std::min(static_cast<double>(number("search.max_context")),
                                 static_cast<double>(plan.trajectory_tokens) / 2);
  const double scored =
      searching ? places * (prefix + (1 + candidates) * (static_cast<double>(plan.thought_tokens) + target))
                : 0;
  const double flops = 2 * static_cast<double>(llama.num_parameters()) * scored;
  const double gpu_hours = flops / (plan.gemm_tflops * kTera) / kHour_s;
  return {{"repositories", plan.repositories},
          {"trajectory_tokens", repositories * static_cast<double>(plan.trajectory_tokens)},
          {"generator", text("synth.generator")},
          {"generator_tokens_read", text("synth.generator") == "template" ? 0 : read},
          {"generator_tokens_written", text("synth.generator") == "template" ? 0 : written},
          {"scored_tokens", scored},
          {"scoring_gpu_hours", gpu_hours},
          {"scoring_cost", gpu_hours * plan.gpu_hour_price}};
}

}  // namespace

Json plan_recipe(const Recipe& recipe, int gpus, bool dry_run) {
  const auto plan = recipe.get<PlanConfig>();
  const auto train = recipe.get<train::TrainConfig>();
  const train::TrainingShape shape = training_shape(recipe);
  train::group_sizes(train, shape.llama, gpus, static_cast<int>(std::min<int64_t>(gpus, plan.gpus_per_node)));
  const int64_t per_pass = shape.micro_batch * gpus / shape.context;
  if (shape.batch_sequences % per_pass != 0)
    throw Error(Code::recipe,
                fmt::format("{} sequences a step do not divide into micro-batches of {} on {} GPUs",
                            shape.batch_sequences, shape.micro_batch, gpus),
                "change --gpus, train.micro_batch, train.batch_sequences or train.context_parallel",
                "train.batch_sequences");
  const train::MemoryPlan memory = train::plan_memory(shape, gpus);
  const train::StepTime step = train::plan_step(shape, plan, gpus);
  const double step_s = step.total_s();
  const double tokens = static_cast<double>(shape.batch_sequences * shape.seq_len);
  const double total_gib = static_cast<double>(memory.total_bytes()) / kGib + plan.overhead_gib;
  Json items = Json::array();
  for (const auto& item : memory.items) items.push_back({{"name", item.name}, {"bytes", item.bytes}});
  const double gpu_hours = step_s * static_cast<double>(train.steps) * gpus / kHour_s;
  Json json = {{"gpus", gpus},
               {"gpu", plan.gpu},
               {"model",
                {{"parameters", shape.llama.num_parameters()},
                 {"layers", shape.llama.num_layers},
                 {"hidden_size", shape.llama.hidden_size},
                 {"vocab_size", shape.llama.vocab_size}}},
               {"memory_per_rank",
                {{"items", items},
                 {"host_save_bytes", memory.host_save_bytes},
                 {"host_offload_bytes", memory.host_offload_bytes},
                 {"overhead_gib", plan.overhead_gib},
                 {"total_gib", total_gib},
                 {"gpu_gib", plan.memory_gib},
                 {"fits", total_gib <= plan.memory_gib}}},
               {"step",
                {{"tokens", tokens},
                 {"seconds", step_s},
                 {"gemm_s", step.gemm_s},
                 {"attention_s", step.attention_s},
                 {"elementwise_s", step.elementwise_s},
                 {"exposed_transfer_s", step.exposed_transfer_s},
                 {"optimizer_s", step.optimizer_s},
                 {"transfer_bytes_per_rank", step.transfer_bytes},
                 {"tokens_per_s_per_gpu", tokens / step_s / gpus},
                 {"model_tflops_per_gpu", step.model_flops / step_s / kTera}}},
               {"training",
                {{"steps", train.steps},
                 {"tokens", tokens * static_cast<double>(train.steps)},
                 {"hours", step_s * static_cast<double>(train.steps) / kHour_s},
                 {"gpu_hours", gpu_hours},
                 {"cost", gpu_hours * plan.gpu_hour_price}}},
               {"synthesis", synthesis_plan(recipe, plan, shape.llama)}};
  for (int more = gpus; !json["memory_per_rank"]["fits"].get<bool>() && more <= 4096; more *= 2) {
    const double gib =
        static_cast<double>(train::plan_memory(shape, more).total_bytes()) / kGib + plan.overhead_gib;
    if (gib > plan.memory_gib) continue;
    json["memory_per_rank"]["fits_from_gpus"] = more;
    break;
  }
  if (dry_run) {
    const train::DryRun count = train::dry_run_step(shape, gpus);
    json["dry_run"] = {{"micro_steps", count.micro_steps},      {"gathers", count.gathers.calls},
                       {"gathered_bytes", count.gathers.bytes}, {"reduces", count.reduces.calls},
                       {"reduced_bytes", count.reduces.bytes},  {"sums", count.sums.calls},
                       {"summed_bytes", count.sums.bytes},      {"swaps", count.swaps.calls},
                       {"swapped_bytes", count.swaps.bytes},    {"most_in_flight", count.most_in_flight}};
  }
  return json;
}

}  // namespace retrace::loop
