// Host memory that a GPU copies to and from without a detour: pinned where tensors live on a GPU, ordinary
// where they do not. Promises: copies of a HostStore run beside the computing stream and are ordered with it
// by events, so that values have the same bits as if they had stayed; device memory of a value that was sent
// is free for work queued after sent(). On the CPU the same calls copy at once.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <memory>
#include <optional>
#include <vector>

namespace retrace::model {

// For copies from and to `device`.
at::Tensor host_empty(at::IntArrayRef sizes, at::ScalarType dtype, c10::Device device);
// A copy in host memory, complete on return; a tensor that is there already is returned itself.
at::Tensor to_host(const at::Tensor& tensor);

// Tensors that wait in host memory, by place. Buffers are kept for the next tensor of the same shape.
class HostStore {
 public:
  HostStore(c10::Device device, size_t places);
  void send(size_t place, const at::Tensor& value);  // begins to copy it out
  void sent(size_t place);                           // the value may be let go
  void fetch(size_t place);                          // begins to bring it back
  at::Tensor take(size_t place);                     // on the device again, once, after fetch()

 private:
  struct Place {
    at::Tensor host, device;
    std::optional<c10::Event> done;
  };
  void copy(Place& place, const at::Tensor& from, const at::Tensor& to);
  c10::Device device_;
  std::optional<c10::Stream> copies_;
  std::vector<Place> places_;
};

}  // namespace retrace::model
