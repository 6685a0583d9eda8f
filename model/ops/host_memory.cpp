#include "model/ops/host_memory.h"

#include <ATen/ops/empty.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "core/error.h"

namespace retrace::model {

namespace {

c10::impl::VirtualGuardImpl streams_of(c10::Device device) {
  return c10::impl::VirtualGuardImpl(device.type());
}

}  // namespace

at::Tensor host_empty(at::IntArrayRef sizes, at::ScalarType dtype, c10::Device device) {
  return at::empty(sizes, at::TensorOptions(dtype).pinned_memory(device.is_cuda()));
}

at::Tensor to_host(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  at::Tensor host = host_empty(tensor.sizes(), tensor.scalar_type(), tensor.device());
  host.copy_(tensor, /*non_blocking=*/true);
  streams_of(tensor.device()).getStream(tensor.device()).synchronize();
  return host;
}

HostStore::HostStore(c10::Device device, size_t places) : device_(device), places_(places) {
  if (device.is_cuda()) copies_ = streams_of(device).getStreamFromGlobalPool(device);
}

// Behind all work queued so far; `done` marks its end.
void HostStore::copy(Place& place, const at::Tensor& from, const at::Tensor& to) {
  if (!copies_) {
    to.copy_(from);
    return;
  }
  c10::Event ready(device_.type());
  ready.record(streams_of(device_).getStream(device_));
  ready.block(*copies_);
  {
    const c10::StreamGuard guard(*copies_);
    to.copy_(from, /*non_blocking=*/true);
  }
  place.done.emplace(device_.type());
  place.done->record(*copies_);
}

void HostStore::send(size_t place, const at::Tensor& value) {
  Place& p = places_.at(place);
  if (!p.host.defined() || p.host.sizes() != value.sizes() || p.host.scalar_type() != value.scalar_type())
    p.host = host_empty(value.sizes(), value.scalar_type(), device_);
  copy(p, value, p.host);
}

void HostStore::sent(size_t place) {
  Place& p = places_.at(place);
  if (p.done) p.done->block(streams_of(device_).getStream(device_));
}

void HostStore::fetch(size_t place) {
  Place& p = places_.at(place);
  ensure(p.host.defined(), "what comes back was sent before");
  p.device = at::empty(p.host.sizes(), p.host.options().device(device_).pinned_memory(false));
  copy(p, p.host, p.device);
}

at::Tensor HostStore::take(size_t place) {
  sent(place);
  ensure(places_.at(place).device.defined(), "what is taken was fetched before");
  return std::exchange(places_.at(place).device, {});
}

}  // namespace retrace::model
