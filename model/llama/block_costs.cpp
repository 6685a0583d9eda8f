#include "model/llama/block_costs.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "core/error.h"

namespace retrace::model {
namespace {

constexpr double kAttentionBackward = 2.5;  // products: two in forward, five in backward

struct Widths {
  int64_t hidden, query, qkv, feed_forward;
  explicit Widths(const LlamaConfig& c)
      : hidden(c.hidden_size),
        query(c.num_heads * c.head_dim),
        qkv((c.num_heads + 2 * c.num_kv_heads) * c.head_dim),
        feed_forward(c.intermediate_size) {}
};

int64_t slot_bytes(const LlamaConfig& config, const BatchShape& batch, Slot slot) {
  const Widths w(config);
  const auto values = [&](int64_t width) { return batch.tokens * width * batch.value_bytes; };
  switch (slot) {
    case Slot::rstd1:
    case Slot::rstd2:
      return batch.tokens * 4;
    case Slot::lse:
      return batch.tokens * config.num_heads * 4;
    case Slot::qkv:
      return values(w.qkv);
    case Slot::attn:
      return values(w.query);
    case Slot::gate_up:
      return values(2 * w.feed_forward);
    case Slot::act:
      return values(w.feed_forward);
    default:
      return values(w.hidden);
  }
}

// Rows and columns of the weight that an op multiplies with; {0, 0} if it has none.
std::pair<int64_t, int64_t> weight_shape(const LlamaConfig& config, std::string_view op) {
  const Widths w(config);
  if (op == "qkv") return {w.qkv, w.hidden};
  if (op == "attention_out") return {w.hidden, w.query};
  if (op == "gate_up") return {2 * w.feed_forward, w.hidden};
  if (op == "mlp_out") return {w.hidden, w.feed_forward};
  return {0, 0};
}

// Rows of queries, keys and values on their way to or from the ranks that share a sequence: those sent and
// those that arrive, beside what is counted.
int64_t exchange_bytes(const LlamaConfig& config, const BatchShape& batch, std::string_view op) {
  return batch.shared && op == "qkv" ? 2 * slot_bytes(config, batch, Slot::qkv) : 0;
}

// Beside an op's results while its backward runs: a bf16 product before it is added to the fp32 gradient;
// attention's gradients in fp32.
int64_t backward_scratch_bytes(const LlamaConfig& config, const BatchShape& batch, std::string_view op) {
  const auto [rows, columns] = weight_shape(config, op);
  if (batch.value_bytes == 2 && rows > 0)
    return std::max(rows * columns * batch.value_bytes, exchange_bytes(config, batch, op));
  const int64_t query = batch.tokens * Widths(config).query;
  if (op == "attention") return 3 * query * 4 + (batch.shared ? 2 * query * batch.value_bytes : 0);
  return exchange_bytes(config, batch, op);
}

// Follows a plan: which storages are alive, and the most bytes at any time.
class Liveness {
 public:
  Liveness(const LlamaConfig& config, const BatchShape& batch) : config_(config), batch_(batch) {}

  // Rows of a storage that somebody else counts.
  int borrow(std::map<Slot, int>& table, Slot slot) {
    bytes_[next_] = 0;
    return table[slot] = next_++;
  }
  void make(std::map<Slot, int>& table, Slot slot) {
    const int storage = next_++;
    bytes_[storage] = slot_bytes(config_, batch_, slot);
    table[slot] = storage;
  }
  void run(const std::vector<PlanStep>& steps) {
    for (const PlanStep& step : steps) {
      if (step.kind == PlanStep::Kind::drop)
        values.erase(static_cast<Slot>(step.index));
      else if (step.kind == PlanStep::Kind::tiles)
        tiles(step);
      else if (step.kind == PlanStep::Kind::forward)
        forward(block_ops()[step.index]);
      else
        backward(block_ops()[step.index]);
    }
  }
  int64_t peak_bytes() const { return peak_; }
  int64_t live_bytes() const {
    std::set<int> storages;
    for (const auto* table : {&values, &gradients})
      for (const auto& [slot, storage] : *table) storages.insert(storage);
    int64_t sum = 0;
    for (int storage : storages) sum += bytes_.at(storage);
    return sum;
  }

  std::map<Slot, int> values, gradients;

 private:
  void mark(int64_t scratch = 0) { peak_ = std::max(peak_, live_bytes() + scratch); }
  void forward(const BlockOp& op) {
    for (Slot slot : op.outputs) make(values, slot);
    mark(exchange_bytes(config_, batch_, op.name));
  }
  void backward(const BlockOp& op) {
    const std::string_view name = op.name;
    const auto alias = [&](Slot from, Slot to) { gradients[to] = gradients.at(from); };
    const auto old = gradients;  // a replaced gradient lives until its successor stands
    if (name == "swiglu")
      gradients[Slot::gate_up] = values.at(Slot::gate_up);
    else
      make(gradients, op.inputs.front());
    if (name == "attention_out") alias(Slot::h, Slot::x);
    if (name == "mlp_out") alias(Slot::y, Slot::h);
    int64_t scratch = backward_scratch_bytes(config_, batch_, name);
    for (const auto& [slot, storage] : old)
      if (gradients.at(slot) != storage && !is_shared(storage)) scratch += bytes_.at(storage);
    mark(scratch);
    for (Slot slot : op.outputs) gradients.erase(slot);
  }
  // As PlanRun: the wholes of what leaves a tile stand beside every tile but the first.
  void tiles(const PlanStep& step) {
    BatchShape rows = batch_;
    rows.tokens = tile_rows(batch_.tokens, static_cast<int64_t>(step.index));
    Liveness tile(config_, rows);
    for (Slot slot : step.rows) tile.borrow(tile.values, slot);
    std::map<int, int> given;  // storage of the tile -> ours
    for (const auto& [slot, storage] : gradients) given[tile.borrow(tile.gradients, slot)] = storage;
    tile.run(step.steps);
    for (Slot slot : step.rows) tile.values.erase(slot);
    const bool one = rows.tokens == batch_.tokens;
    const int64_t before = live_bytes();
    std::map<Slot, int> left;
    for (const auto& [slot, storage] : tile.values) make(values, slot);
    for (const auto& [slot, storage] : tile.gradients) {
      if (given.count(storage))
        left[slot] = given.at(storage);
      else
        make(left, slot);
    }
    int64_t wholes = 0;
    for (const auto& [slot, storage] : tile.values) wholes += bytes_.at(values.at(slot));
    for (const auto& [slot, storage] : tile.gradients)
      if (!given.count(storage)) wholes += bytes_.at(left.at(slot));
    peak_ = std::max(peak_, before + tile.peak_bytes() + (one ? 0 : wholes));
    gradients = left;
  }
  bool is_shared(int storage) const {
    for (const auto& [slot, other] : gradients)
      if (other == storage) return true;
    return false;
  }

  const LlamaConfig& config_;
  const BatchShape& batch_;
  std::map<int, int64_t> bytes_;
  int next_ = 0;
  int64_t peak_ = 0;
};

double gemm_flops(const LlamaConfig& config, const BatchShape& batch, const BlockOp& op) {
  const auto [rows, columns] = weight_shape(config, op.name);
  return 2.0 * static_cast<double>(batch.tokens) * static_cast<double>(rows) * static_cast<double>(columns);
}

double attention_flops(const LlamaConfig& config, const BatchShape& batch) {
  return 2.0 * static_cast<double>(config.num_heads * config.head_dim) * batch.squared_lengths;
}

struct Flops {
  double gemm = 0, attention = 0;
};
Flops flops_of(const LlamaConfig& config, const BatchShape& batch, const std::vector<PlanStep>& steps) {
  Flops sum;
  for (const PlanStep& step : steps) {
    if (step.kind == PlanStep::Kind::drop) continue;
    if (step.kind == PlanStep::Kind::tiles) {
      const Flops tiles = flops_of(config, batch, step.steps);
      sum.gemm += tiles.gemm;
      sum.attention += tiles.attention;
      continue;
    }
    const BlockOp& op = block_ops()[step.index];
    const bool forward = step.kind == PlanStep::Kind::forward;
    sum.gemm += gemm_flops(config, batch, op) * (forward ? 1 : 2);
    if (std::string_view(op.name) == "attention")
      sum.attention += attention_flops(config, batch) * (forward ? 1 : kAttentionBackward);
  }
  return sum;
}

}  // namespace

BlockCosts block_costs(const LlamaConfig& config, const BlockPlan& plan, const BatchShape& batch) {
  BlockCosts costs;
  Liveness forward(config, batch);
  forward.make(forward.values, Slot::x);
  forward.run(plan.forward);
  costs.forward_peak_bytes = forward.peak_bytes();
  for (Slot slot : plan.kept) costs.kept_bytes += slot_bytes(config, batch, slot);
  for (Slot slot : plan.offloaded) costs.offloaded_bytes += slot_bytes(config, batch, slot);

  Liveness backward(config, batch);
  for (Slot slot : plan.kept) backward.make(backward.values, slot);
  backward.make(backward.gradients, Slot::y);
  backward.run(plan.backward);
  costs.backward_peak_bytes = backward.peak_bytes();

  const Flops there = flops_of(config, batch, plan.forward), back = flops_of(config, batch, plan.backward);
  costs.forward_gemm_flops = there.gemm;
  costs.forward_attention_flops = there.attention;
  costs.backward_gemm_flops = back.gemm;
  costs.backward_attention_flops = back.attention;
  return costs;
}

HeadCosts head_costs(const LlamaConfig& config, const BatchShape& batch, int64_t logit_chunk) {
  const int64_t chunk = std::min(logit_chunk, batch.tokens);
  const int64_t product = batch.value_bytes == 2 ? config.vocab_size * config.hidden_size * 2 : 0;
  HeadCosts costs;
  // The normed rows, their gradients, a chunk of logits; then the gradient of the input beside the first two.
  const int64_t rows = batch.tokens * config.hidden_size * batch.value_bytes;
  costs.peak_bytes =
      2 * rows + std::max(chunk * config.vocab_size * batch.value_bytes + product, rows) + batch.tokens * 8;
  costs.gemm_flops = 6.0 * static_cast<double>(batch.tokens) * static_cast<double>(config.vocab_size) *
                     static_cast<double>(config.hidden_size);
  return costs;
}

double model_flops(const LlamaConfig& config, const BatchShape& batch) {
  double sum = head_costs(config, batch, 1).gemm_flops;
  for (const BlockOp& op : block_ops())
    sum += 3 * gemm_flops(config, batch, op) * static_cast<double>(config.num_layers);
  return sum + 3 * attention_flops(config, batch) * static_cast<double>(config.num_layers);
}

}  // namespace retrace::model
