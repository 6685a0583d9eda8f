#include "model/ops/cpu/parallel.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>

namespace retrace::model {

void parallel_rows(int64_t rows, int64_t grain, c10::function_ref<void(int64_t, int64_t)> body) {
  if (rows <= 0) return;
  const int64_t wanted = (rows + grain - 1) / std::max<int64_t>(grain, 1);
  const int64_t ranges = std::min<int64_t>(at::get_num_threads(), wanted);
  if (ranges <= 1 || at::in_parallel_region()) return body(0, rows);
  // One element a range: TensorIterator::for_each hands the elements to the threads inside libtorch.
  const at::Tensor tickets = at::empty({ranges}, at::kByte);
  const char* const first = static_cast<const char*>(tickets.const_data_ptr());
  auto iterator = at::TensorIteratorConfig()
                      .check_all_same_dtype(false)
                      .resize_outputs(false)
                      .declare_static_shape({ranges})
                      .add_output(tickets)
                      .build();
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t count, int64_t outer) {
        for (int64_t o = 0; o < outer; ++o)
          for (int64_t i = 0; i < count; ++i) {
            const int64_t ticket = data[0] + i * strides[0] + o * strides[1] - first;
            body(rows * ticket / ranges, rows * (ticket + 1) / ranges);
          }
      },
      1);
}

void parallel_tasks(int64_t tasks, c10::function_ref<void(int64_t)> body) {
  std::atomic<int64_t> next{0};
  parallel_rows(tasks, 1, [&](int64_t, int64_t) {
    for (int64_t task = next++; task < tasks; task = next++) body(task);
  });
}

}  // namespace retrace::model
