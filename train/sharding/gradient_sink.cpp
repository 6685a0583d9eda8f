#include "train/sharding/gradient_sink.h"

#include <ATen/ops/zeros.h>

#include "core/error.h"
#include "train/ranks/fp32_sum.h"
#include "train/sharding/adamw.h"

namespace retrace::train {
namespace {

GradientHook& hook() {
  static GradientHook installed;
  return installed;
}

void add(const at::Tensor& values, at::Tensor sum) {
  if (sum.is_cuda()) {
    sum.add_(values);
    return;
  }
  add_into(values.const_data_ptr<float>(), sum.numel(), sum.mutable_data_ptr<float>());
}

}  // namespace

void set_gradient_hook(GradientHook installed) {
  hook() = std::move(installed);
}

GradientSink::GradientSink(Shards& shards, int virtual_ranks)
    : shards_(shards), virtual_ranks_(virtual_ranks) {
  ensure(virtual_ranks == 1 || shards.world() == 1, "virtual ranks need one process");
  const FlatLayout& layout = shards.layout();
  int64_t largest = 0;
  for (int u = 0; u < layout.num_units(); ++u) {
    const int64_t n = shards.elements(u) * shards.world();
    largest = std::max(largest, n);
    if (alone()) {
      views_.push_back(model::views_of(layout.unit(u), shards.unit(u).gradient));
    } else if (whole_units()) {
      accumulated_.push_back(shards.collectives().make_buffer(n, shards.options(at::kFloat)));
      views_.push_back(model::views_of(layout.unit(u), accumulated_.back()));
    }
  }
  if (!alone() && !whole_units())
    for (Slot& slot : slots_)
      slot.buffer = shards.collectives().make_buffer(largest, shards.options(at::kFloat));
}

void GradientSink::begin_step() {
  abandon();
  shards_.zero_gradients();
  for (at::Tensor& t : accumulated_) t.zero_();
}

void GradientSink::begin_pass(int virtual_rank) {
  virtual_rank_ = virtual_rank;
  closed_ = 0;
}

// Slots are used in turn, so that settling one settles what was begun before it.
GradientSink::Slot& GradientSink::take_slot() {
  Slot& slot = slots_[next_slot_++ % 2];
  settle(slot);
  return slot;
}

void GradientSink::settle(Slot& slot) {
  if (slot.pending) slot.pending->wait();
  slot.pending.reset();
  slot.unit = -1;
}

model::Views& GradientSink::open(int u) {
  if (alone() || whole_units()) return views_[static_cast<size_t>(u)];
  Slot& slot = take_slot();
  const at::Tensor whole = slot.buffer.narrow(0, 0, shards_.elements(u) * shards_.world());
  whole.zero_();
  slot.unit = u;
  slot.views = model::views_of(shards_.layout().unit(u), whole);
  return slot.views;
}

GradientSink::Slot& GradientSink::slot_of(int u) {
  for (Slot& slot : slots_)
    if (slot.unit == u && !slot.pending) return slot;
  throw Error(Code::internal, fmt::format("gradient of unit {} was closed but not opened", u));
}

void GradientSink::close(int u) {
  if (alone() || whole_units()) {
    if (hook()) hook()(u, alone() ? shards_.unit(u).gradient : accumulated_[static_cast<size_t>(u)]);
    return;
  }
  Slot& slot = slot_of(u);
  at::Tensor whole = slot.buffer.narrow(0, 0, shards_.elements(u) * shards_.world());
  if (hook()) hook()(u, whole);
  if (shards_.world() > 1) {
    slot.pending = shards_.collectives().start_reduce_scatter(whole, shards_.unit(u).gradient);
    return;
  }
  add_virtual(scratch(partial_, closed_++, u), whole, u);
  slot.unit = -1;
}

at::Tensor& GradientSink::scratch(std::vector<at::Tensor>& list, size_t index, int u) {
  if (list.size() <= index) list.resize(index + 1);
  if (!list[index].defined()) list[index] = at::zeros({shards_.elements(u)}, shards_.options(at::kFloat));
  return list[index];
}

void GradientSink::add_virtual(at::Tensor& partial, const at::Tensor& values, int u) {
  if (virtual_rank_ == 0)
    partial.copy_(values);
  else
    add(values, partial);
  if (virtual_rank_ == virtual_ranks_ - 1) add(partial, shards_.unit(u).gradient);
}

void GradientSink::end_pass() {
  settle(slots_[next_slot_ % 2]);
  settle(slots_[(next_slot_ + 1) % 2]);
}

void GradientSink::end_rank(int virtual_rank) {
  if (!whole_units() || virtual_ranks_ == 1) return;
  virtual_rank_ = virtual_rank;
  for (int u = 0; u < shards_.layout().num_units(); ++u) {
    at::Tensor& local = accumulated_[static_cast<size_t>(u)];
    add_virtual(scratch(partial_, static_cast<size_t>(u), u), local, u);
    local.zero_();
  }
}

void GradientSink::end_step() {
  if (whole_units() && shards_.world() > 1)
    for_units([&](int u) {
      return shards_.collectives().start_reduce_scatter(accumulated_[static_cast<size_t>(u)],
                                                        shards_.unit(u).gradient);
    });
  if (shards_.replicas())
    for_units([&](int u) { return shards_.replicas()->start_all_reduce(shards_.unit(u).gradient); });
}

void GradientSink::for_units(const std::function<std::unique_ptr<Collectives::Pending>(int)>& start) {
  std::unique_ptr<Collectives::Pending> before;
  for (int u = 0; u < shards_.layout().num_units(); ++u) {
    auto pending = start(u);
    if (before) before->wait();
    before = std::move(pending);
  }
  before->wait();
}

void GradientSink::abandon() {
  for (Slot& slot : slots_) {
    slot.pending.reset();
    slot.unit = -1;
  }
}

}  // namespace retrace::train
