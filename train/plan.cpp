#include "train/plan.h"

#include <algorithm>

#include "core/paths.h"
#include "data/config.h"
#include "model/block_costs.h"
#include "model/block_program.h"
#include "model/known_shapes.h"
#include "model/model_config.h"
#include "model/ops/head_exchange.h"
#include "train/config.h"
#include "train/dry_run.h"
#include "train/flat_layout.h"
#include "train/rank_groups.h"
#include "train/shards.h"

namespace retrace::train {
namespace {

constexpr double kTera = 1e12, kGiga = 1e9, kGib = 1024.0 * 1024 * 1024;
constexpr double kHour_s = 3600;
constexpr double kReferenceWidth = 4096, kReferenceLayers = 32;  // of PlanConfig::elementwise_us
constexpr double kStateBytes = 30;  // moved by AdamW for an element: three reads and writes, gradient, weight
constexpr double kMemoryGbs = 2500;

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

TrainingShape training_shape(const Recipe& recipe) {
  const auto train = recipe.get<TrainConfig>();
  const auto model = recipe.get<model::ModelConfig>();
  const auto plan = recipe.get<PlanConfig>();
  TrainingShape shape;
  shape.llama = shape_of(recipe);
  shape.seq_len = recipe.get<data::DataConfig>().seq_len;
  shape.micro_batch = train.micro_batch;
  shape.batch_sequences = train.batch_sequences;
  shape.logit_chunk = train.logit_chunk;
  shape.chunk_kib = recipe.get<CheckpointConfig>().chunk_kib;
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
  const auto checkpoint = recipe.get<CheckpointConfig>();
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

// Bytes that a rank sends in a block's all-to-alls, forward and backward, where ranks share sequences: qkv
// and its gradient, attention's output, the same and its gradient in backward; what is recomputed again.
double exchanged_bytes(const TrainingShape& shape, const model::BlockPlan& block) {
  if (shape.context == 1) return 0;
  const model::HeadShape heads{shape.llama.num_heads, shape.llama.num_kv_heads, shape.llama.head_dim};
  const auto qkv = static_cast<double>(model::heads_of_rank(heads, shape.context).row() * shape.context);
  const auto rows = static_cast<double>(heads.heads * heads.head_dim);
  double width = 2 * qkv + 3 * rows;
  for (const model::PlanStep& step : block.backward) {
    if (step.kind != model::PlanStep::Kind::forward) continue;
    const std::string_view op = model::block_ops()[step.index].name;
    width += op == "qkv" ? qkv : op == "attention" ? rows : 0;
  }
  const model::BatchShape batch = shape.batch_of_rank();
  return width * static_cast<double>(batch.tokens * batch.value_bytes) *
         static_cast<double>(shape.context - 1) / static_cast<double>(shape.context);
}

}  // namespace

int TrainingShape::shard_ranks(int world) const {
  return sharding == "hsdp" ? static_cast<int>(std::min<int64_t>(shard_size, world)) : world;
}

model::PlanOptions TrainingShape::block_options() const {
  return {recompute, mlp_tile_tokens, offload};
}

model::BatchShape TrainingShape::batch_of_rank() const {
  return {micro_batch * seq_len / context,
          mean_squared_length * static_cast<double>(micro_batch) / static_cast<double>(context),
          dtype == "bfloat16" ? 2 : 4, context > 1};
}

StepTime plan_step(const TrainingShape& shape, const PlanConfig& gpu, int world) {
  const model::BatchShape batch = shape.batch_of_rank();
  const model::BlockPlan block_plan = model::plan_block(shape.block_options());
  const auto block = model::block_costs(shape.llama, block_plan, batch);
  const auto layers = static_cast<double>(shape.llama.num_layers);
  const int64_t per_pass = shape.micro_batch * world / shape.context;
  const auto passes = static_cast<double>((shape.batch_sequences + per_pass - 1) / per_pass);
  StepTime time;
  const double gemm = layers * (block.forward_gemm_flops + block.backward_gemm_flops) +
                      model::head_costs(shape.llama, batch, shape.logit_chunk).gemm_flops;
  time.gemm_s = passes * gemm / (gpu.gemm_tflops * kTera);
  time.attention_s = passes * layers *
                     (block.forward_attention_flops / (gpu.attention_forward_tflops * kTera) +
                      block.backward_attention_flops / (gpu.attention_backward_tflops * kTera));
  time.elementwise_s = passes * static_cast<double>(batch.tokens) * gpu.elementwise_us * 1e-6 *
                       (layers / kReferenceLayers) *
                       (static_cast<double>(shape.llama.hidden_size) / kReferenceWidth);
  time.model_flops = passes * model::model_flops(shape.llama, batch);
  // Elements of the other ranks, of all units and of the blocks; the padding of the ranges travels too.
  const FlatLayout layout(shape.llama, shape.chunk_kib);
  const int holders = shape.shard_ranks(world), copies = world / holders;
  double own = 0, all = 0, blocks = 0;
  for (int u = 0; u < layout.num_units(); ++u) {
    const auto each = static_cast<double>(layout.elements_per_rank(u, holders));
    own += each;
    all += each * (holders - 1);
    if (u > 0 && u + 1 < layout.num_units()) blocks += each * (holders - 1);
  }
  time.optimizer_s = own * kStateBytes / (kMemoryGbs * kGiga);
  if (world == 1) return time;
  const auto bytes_of_value = static_cast<double>(batch.value_bytes);
  // zero3 gathers everything for the forward and the blocks again for the backward; hsdp inside its groups.
  const bool keeps = Shards::keeps_weights(parse_sharding(shape.sharding));
  const double gathered = keeps ? all : passes * (all + blocks);
  const double reduced = all;
  const double reduces = shape.sharding == "zero1-accumulate" ? 1 : passes;
  const double bytes = gathered * bytes_of_value + reduces * reduced * 4;
  // Between copies a reduce-scatter and an all-gather, once a step.
  const double between_copies = 2 * own * 4 * (copies - 1) / copies;
  const double swapped = passes * layers * exchanged_bytes(shape, block_plan);
  time.transfer_bytes = static_cast<int64_t>(bytes + between_copies + swapped);
  const auto rate = [&](int64_t ranks) {
    return (ranks <= gpu.gpus_per_node ? gpu.node_gbs : gpu.network_gbs) * kGiga;
  };
  const double compute = time.gemm_s + time.attention_s + time.elementwise_s;
  // zero1-accumulate moves everything between steps; the others hide it behind the units' compute. Nothing
  // hides what copies add up at the end, nor the swaps of attention.
  const double within_s = bytes / rate(holders);
  time.exposed_transfer_s =
      (shape.sharding == "zero1-accumulate" ? within_s : std::max(0.0, within_s - compute)) +
      between_copies / rate(world) + swapped / rate(shape.context);
  return time;
}

Json plan_recipe(const Recipe& recipe, int gpus, bool dry_run) {
  const auto plan = recipe.get<PlanConfig>();
  const auto train = recipe.get<TrainConfig>();
  const TrainingShape shape = training_shape(recipe);
  group_sizes(train, shape.llama, gpus, static_cast<int>(std::min<int64_t>(gpus, plan.gpus_per_node)));
  const int64_t per_pass = shape.micro_batch * gpus / shape.context;
  if (shape.batch_sequences % per_pass != 0)
    throw Error(Code::recipe,
                fmt::format("{} sequences a step do not divide into micro-batches of {} on {} GPUs",
                            shape.batch_sequences, shape.micro_batch, gpus),
                "change --gpus, train.micro_batch, train.batch_sequences or train.context_parallel",
                "train.batch_sequences");
  const MemoryPlan memory = plan_memory(shape, gpus);
  const StepTime step = plan_step(shape, plan, gpus);
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
    const double gib = static_cast<double>(plan_memory(shape, more).total_bytes()) / kGib + plan.overhead_gib;
    if (gib > plan.memory_gib) continue;
    json["memory_per_rank"]["fits_from_gpus"] = more;
    break;
  }
  if (dry_run) {
    const DryRun count = dry_run_step(shape, gpus);
    json["dry_run"] = {{"micro_steps", count.micro_steps},      {"gathers", count.gathers.calls},
                       {"gathered_bytes", count.gathers.bytes}, {"reduces", count.reduces.calls},
                       {"reduced_bytes", count.reduces.bytes},  {"sums", count.sums.calls},
                       {"summed_bytes", count.sums.bytes},      {"swaps", count.swaps.calls},
                       {"swapped_bytes", count.swaps.bytes},    {"most_in_flight", count.most_in_flight}};
  }
  return json;
}

}  // namespace retrace::train
