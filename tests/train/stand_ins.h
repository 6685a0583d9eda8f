// Stand-ins for tests that count: an allocator that knows what it gave, and peers that hold what this rank
// holds.
#pragma once

#include <ATen/Functions.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "train/ranks/collectives.h"

namespace retrace::train::testing {

// Counts what tensors and the library's own buffers hold. Installed for good: the program has one CPU
// allocator.
class CountingAllocator final : public c10::Allocator {
 public:
  static CountingAllocator& get() {
    static CountingAllocator* const one = [] {
      auto* made = new CountingAllocator(c10::GetCPUAllocator());
      c10::SetCPUAllocator(made, 100);
      return made;
    }();
    return *one;
  }
  c10::DataPtr allocate(size_t size) override {
    void* const data = base_->raw_allocate(size);
    const std::lock_guard lock(mutex_);
    sizes_[data] = static_cast<int64_t>(size);
    live += static_cast<int64_t>(size);
    peak = std::max(peak, live);
    if (size >= kLarge) ++large;
    return {data, data, release, c10::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return release; }
  void copy_data(void* to, const void* from, size_t size) const override { base_->copy_data(to, from, size); }

  static constexpr size_t kLarge = 1024;
  int64_t live = 0, peak = 0;  // bytes
  int64_t large = 0;           // allocations of at least kLarge bytes so far

 private:
  explicit CountingAllocator(c10::Allocator* base) : base_(base) {}
  static void release(void* data) {
    CountingAllocator& self = get();
    const std::lock_guard lock(self.mutex_);
    const auto found = self.sizes_.find(data);
    if (found != self.sizes_.end()) {
      self.live -= found->second;
      self.sizes_.erase(found);
    }
    self.base_->raw_deallocate(data);
  }
  c10::Allocator* base_;
  std::mutex mutex_;
  std::unordered_map<void*, int64_t> sizes_;
};

// A group of `size` ranks that all hold what this one, the first, holds.
class Echo : public Collectives {
 public:
  explicit Echo(int size) : size_(size) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }
  std::unique_ptr<Pending> start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    for (int r = 0; r < size_; ++r) whole.narrow(0, r * part.numel(), part.numel()).copy_(part);
    return std::make_unique<Done>();
  }
  std::unique_ptr<Pending> start_reduce_scatter(const at::Tensor& whole, const at::Tensor& sum) override {
    sum.add_(whole.narrow(0, 0, sum.numel()));
    return std::make_unique<Done>();
  }
  std::unique_ptr<Pending> start_all_reduce(const at::Tensor& values) override {
    values.mul_(size_);
    return std::make_unique<Done>();
  }
  std::unique_ptr<Pending> start_all_to_all(const at::Tensor& in, const at::Tensor& out) override {
    const int64_t piece = in.numel() / size_;
    for (int r = 0; r < size_; ++r) out.narrow(0, r * piece, piece).copy_(in.narrow(0, 0, piece));
    return std::make_unique<Done>();
  }
  std::unique_ptr<Collectives> subgroup(const std::vector<int>& members) override {
    return std::make_unique<Echo>(static_cast<int>(members.size()));
  }
  std::vector<double> gather(const std::vector<double>& part) override { return part; }
  void broadcast(std::vector<double>&, int) override {}
  void barrier() override {}

 private:
  struct Done final : Pending {
    void wait() override {}
  };
  int size_;
};

}  // namespace retrace::train::testing
