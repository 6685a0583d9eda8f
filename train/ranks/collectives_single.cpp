// Collectives of one process: a copy where part and whole differ, an addition for a sum.
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include "train/ranks/collectives.h"
#include "train/ranks/fp32_sum.h"

namespace retrace::train {
namespace {

struct Done final : Collectives::Pending {
  void wait() override {}
};

class Single final : public Collectives {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::unique_ptr<Pending> start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    if (part.data_ptr() != whole.data_ptr()) whole.copy_(part);
    return std::make_unique<Done>();
  }
  std::unique_ptr<Pending> start_reduce_scatter(const at::Tensor& whole, const at::Tensor& sum) override {
    if (sum.is_cuda())
      at::Tensor(sum).add_(whole);
    else
      add_into(whole.const_data_ptr<float>(), sum.numel(), sum.mutable_data_ptr<float>());
    return std::make_unique<Done>();
  }
  std::unique_ptr<Pending> start_all_reduce(const at::Tensor&) override { return std::make_unique<Done>(); }
  std::unique_ptr<Pending> start_all_to_all(const at::Tensor& in, const at::Tensor& out) override {
    out.copy_(in);
    return std::make_unique<Done>();
  }
  std::unique_ptr<Collectives> subgroup(const std::vector<int>&) override {
    return make_single_collectives();
  }
  std::vector<double> gather(const std::vector<double>& part) override { return part; }
  void broadcast(std::vector<double>&, int) override {}
  void barrier() override {}
};

}  // namespace

std::unique_ptr<Collectives> make_single_collectives() {
  return std::make_unique<Single>();
}

at::Tensor Collectives::make_buffer(int64_t elements, const c10::TensorOptions& options) {
  return at::zeros({elements}, options);
}

std::vector<double> Collectives::sum(const std::vector<double>& part) {
  const std::vector<double> all = gather(part);
  std::vector<double> total(all.begin(), all.begin() + static_cast<int64_t>(part.size()));
  for (size_t i = part.size(); i < all.size(); ++i) total[i % part.size()] += all[i];
  return total;
}

std::vector<double> Collectives::max(const std::vector<double>& part) {
  const std::vector<double> all = gather(part);
  std::vector<double> top(all.begin(), all.begin() + static_cast<int64_t>(part.size()));
  for (size_t i = part.size(); i < all.size(); ++i)
    top[i % part.size()] = std::max(top[i % part.size()], all[i]);
  return top;
}

}  // namespace retrace::train
