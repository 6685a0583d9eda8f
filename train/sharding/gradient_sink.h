// Where backward puts gradients, and how they become the ranks' sums. zero3, zero2 and hsdp reduce each
// unit's fp32 gradient as soon as its backward ends (two slots); zero1-accumulate once a step; one process
// adds in place. hsdp adds up the copies at the end of the step. With virtual ranks one process adds up
// exactly as that many ranks do.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "train/sharding/shards.h"

namespace retrace::train {

class GradientSink {
 public:
  GradientSink(Shards& shards, int virtual_ranks);

  void begin_step();
  void begin_pass(int virtual_rank);  // one micro-batch of one (virtual) rank
  // Views to which a unit's backward adds; at most two are open at a time.
  model::Views& open(int u);
  void close(int u);
  void end_pass();
  void end_rank(
      int virtual_rank);  // zero1-accumulate: this virtual rank's micro-batches of the step are done
  void end_step();        // the sums stand in the shards' gradients
  // Forgets transfers of a step that is left.
  void abandon();

 private:
  struct Slot {
    at::Tensor buffer;
    model::Views views;
    int unit = -1;
    std::unique_ptr<Collectives::Pending> pending;
  };
  bool whole_units() const { return shards_.sharding() == Sharding::zero1_accumulate; }
  bool alone() const { return shards_.world() == 1 && virtual_ranks_ == 1; }
  Slot& take_slot();
  Slot& slot_of(int u);
  void settle(Slot& slot);
  // Begins a transfer for every unit in turn, two of them under way.
  void for_units(const std::function<std::unique_ptr<Collectives::Pending>(int unit)>& start);
  void add_virtual(at::Tensor& partial, const at::Tensor& values, int u);
  at::Tensor& scratch(std::vector<at::Tensor>& list, size_t index, int u);

  Shards& shards_;
  int virtual_ranks_, virtual_rank_ = 0;
  std::array<Slot, 2> slots_;
  size_t next_slot_ = 0, closed_ = 0;
  std::vector<model::Views> views_;                // of what is accumulated in place
  std::vector<at::Tensor> accumulated_, partial_;  // zero1-accumulate; virtual ranks
};

// Test seam: called with every unit's gradient before it is summed over ranks. Null = nothing.
using GradientHook = std::function<void(int unit, at::Tensor& gradient)>;
void set_gradient_hook(GradientHook hook);

}  // namespace retrace::train
