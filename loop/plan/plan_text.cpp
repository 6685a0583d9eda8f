// A plan for people.
#include <fmt/format.h>

#include "core/log.h"
#include "core/text.h"
#include "loop/plan/plan_recipe.h"

namespace retrace::loop {
namespace {

constexpr double kGib = 1024.0 * 1024 * 1024;

std::string bar(double share) {
  const int cells = static_cast<int>(share * 40 + 0.5);
  return std::string(static_cast<size_t>(std::max(0, cells)), '#');
}

}  // namespace

std::string plan_text(const Json& plan) {
  const auto number = [](const Json& json, const char* key) { return json.at(key).get<double>(); };
  const auto words = [](const Json& json, const char* key) { return json.at(key).get<std::string>(); };
  const Json &memory = plan.at("memory_per_rank"), &step = plan.at("step"), &training = plan.at("training"),
             &synthesis = plan.at("synthesis"), &model = plan.at("model");
  std::string out =
      fmt::format("{} parameters on {:.0f} x {}\n\nMemory of a rank\n",
                  format_count(number(model, "parameters")), number(plan, "gpus"), words(plan, "gpu"));
  const double total = number(memory, "total_gib");
  const auto line = [&](const std::string& name, double gib) {
    out += fmt::format("  {:<34} {:>8.2f} GiB  {}\n", name, gib, bar(gib / total));
  };
  for (const Json& item : memory.at("items")) line(words(item, "name"), number(item, "bytes") / kGib);
  line("driver, libraries, allocator", number(memory, "overhead_gib"));
  out += fmt::format("  {:<34} {:>8.2f} GiB of {:.0f}: {}\n", "in sum", total, number(memory, "gpu_gib"),
                     memory.at("fits").get<bool>() ? "fits" : "DOES NOT FIT");
  if (memory.contains("fits_from_gpus"))
    out += fmt::format("  fits from {:.0f} GPUs on; model.recompute = \"full\" keeps less\n",
                       number(memory, "fits_from_gpus"));
  else if (!memory.at("fits").get<bool>())
    out += "  more GPUs alone do not make it fit: recompute more, or use a shorter data.seq_len\n";
  for (const auto& [key, name] : {std::pair{"host_save_bytes", "copy that a save writes"},
                                  {"host_offload_bytes", "block inputs that wait on the host"}})
    if (number(memory, key) > 0)
      out += fmt::format("  {:<34} {:>8.2f} GiB of host memory\n", name, number(memory, key) / kGib);
  out += fmt::format("\nA step of {} tokens: {:.1f} s\n", format_count(number(step, "tokens")),
                     number(step, "seconds"));
  for (const auto& [key, name] : {std::pair{"gemm_s", "matrix products"},
                                  {"attention_s", "attention"},
                                  {"elementwise_s", "the rest"},
                                  {"exposed_transfer_s", "transfers that nothing hides"},
                                  {"optimizer_s", "AdamW"}})
    out += fmt::format("  {:<34} {:>8.2f} s    {}\n", name, number(step, key),
                       bar(number(step, key) / number(step, "seconds")));
  out +=
      fmt::format("  {:.0f} tokens/s and {:.0f} model TFLOP/s a GPU (causal, real spans, no recomputation)\n",
                  number(step, "tokens_per_s_per_gpu"), number(step, "model_tflops_per_gpu"));
  if (number(training, "steps") > 0)
    out +=
        fmt::format("\nTraining: {:.0f} steps, {} tokens, {} on the clock, {:.0f} GPU-hours, {:.0f} at {}\n",
                    number(training, "steps"), format_count(number(training, "tokens")),
                    format_duration(number(training, "hours") * 3600), number(training, "gpu_hours"),
                    number(training, "cost"), "plan.gpu_hour_price");
  else
    out += "\nTraining: train.steps = 0, so its length follows from the data\n";
  out += fmt::format(
      "Synthesis: {} repositories, {} tokens of trajectories; generator \"{}\" reads {} and writes {}; {} "
      "tokens "
      "scored, {:.0f} GPU-hours\n",
      format_count(number(synthesis, "repositories")), format_count(number(synthesis, "trajectory_tokens")),
      words(synthesis, "generator"), format_count(number(synthesis, "generator_tokens_read")),
      format_count(number(synthesis, "generator_tokens_written")),
      format_count(number(synthesis, "scored_tokens")), number(synthesis, "scoring_gpu_hours"));
  if (plan.contains("dry_run")) {
    const Json& dry = plan.at("dry_run");
    out += fmt::format(
        "Dry run of a step: {:.0f} micro-steps a rank; {:.0f} gathers, {} received; {:.0f} reductions, "
        "{} sent; {:.0f} sums over copies, {} sent; {:.0f} swaps for attention, {} sent; at most {:.0f} "
        "transfers under way\n",
        number(dry, "micro_steps"), number(dry, "gathers"),
        format_bytes(static_cast<uint64_t>(number(dry, "gathered_bytes"))), number(dry, "reduces"),
        format_bytes(static_cast<uint64_t>(number(dry, "reduced_bytes"))), number(dry, "sums"),
        format_bytes(static_cast<uint64_t>(number(dry, "summed_bytes"))), number(dry, "swaps"),
        format_bytes(static_cast<uint64_t>(number(dry, "swapped_bytes"))), number(dry, "most_in_flight"));
  }
  out += "Constants of the machine are assumptions: `retrace help plan`.\n";
  return out;
}

}  // namespace retrace::loop
