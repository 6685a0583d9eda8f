#include "train/step/step_result.h"

#include <algorithm>
#include <cmath>

#include "model/llama/block_costs.h"

namespace retrace::train {

std::vector<double> pack_values(std::vector<double> chunk_sums, const RankValues& values) {
  std::vector<double> packed = std::move(chunk_sums);
  packed.push_back(values.save_asked ? 1 : 0);
  packed.push_back(values.saving ? 1 : 0);
  packed.insert(packed.end(), {values.busy_s, values.memory_bytes, values.model_flops});
  for (const StepLoss& loss : values.losses) {
    packed.push_back(loss.loss);
    packed.insert(packed.end(), loss.domain_nll.begin(), loss.domain_nll.end());
    packed.insert(packed.end(), loss.domain_weight.begin(), loss.domain_weight.end());
  }
  return packed;
}

StepResult combine_values(const std::vector<double>& all, int ranks, int64_t chunks, const RankValues& mine) {
  const size_t domains = mine.losses.front().domain_nll.size();
  const auto stride = static_cast<int64_t>(all.size()) / ranks;
  StepResult result;
  result.domain_nll.resize(domains);
  result.domain_weight.resize(domains);
  for (int r = 0; r < ranks; ++r) {
    const double* values = all.data() + r * stride + chunks;
    result.save_asked |= *values++ != 0;
    result.saving |= *values++ != 0;
    result.busy_s.push_back(*values++);
    result.memory_bytes = std::max(result.memory_bytes, *values++);
    result.model_flops += *values++;
    for (size_t v = 0; v < mine.losses.size(); ++v) {
      result.loss += *values++;
      for (double& sum : result.domain_nll) sum += *values++;
      for (double& sum : result.domain_weight) sum += *values++;
    }
  }
  return result;
}

double model_flops_of(const model::LlamaConfig& config, const StepBatch& batch, int context) {
  double flops = 0;
  for (const auto& rank : batch.micro) {
    for (const MicroBatch& micro : rank) {
      model::BatchShape shape;
      const auto& starts = micro.spans.starts;
      shape.tokens = starts.empty() ? 0 : starts.back();
      for (size_t d = 1; d < starts.size(); ++d)
        shape.squared_lengths += std::pow(static_cast<double>(starts[d] - starts[d - 1]), 2);
      flops += model::model_flops(config, shape);
    }
  }
  return flops / context;
}

}  // namespace retrace::train
