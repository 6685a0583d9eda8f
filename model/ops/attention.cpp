#include "model/ops/attention.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/as_strided.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "model/device/te_functions.h"
#include "model/ops/attention_gpu.h"
#include "model/ops/cpu/attention_bf16.h"
#include "model/ops/cpu/parallel.h"
#include "model/ops/cpu/typed.h"

namespace retrace::model {

namespace {

// Views [kv, group, n, e] of packed rows: kv heads stand where ATen's kernel expects the batch, so that every
// query head of a group reads the same keys (stride 0) and none is repeated in memory.
struct SpanViews {
  at::Tensor q, k, v;
};

SpanViews span_views(const at::Tensor& qkv, int64_t start, int64_t count, const HeadShape& shape) {
  const int64_t e = shape.head_dim, kv = shape.kv_heads, group = shape.heads / kv, row = shape.row();
  const int64_t at = qkv.storage_offset() + start * row;
  const auto keys = [&](int64_t head) {
    return qkv.as_strided({kv, group, count, e}, {e, 0, row, 1}, at + head * e);
  };
  return {qkv.as_strided({kv, group, count, e}, {group * e, e, row, 1}, at), keys(shape.heads),
          keys(shape.heads + kv)};
}

at::Tensor out_view(const at::Tensor& out, int64_t start, int64_t count, const HeadShape& shape) {
  const int64_t e = shape.head_dim, group = shape.heads / shape.kv_heads, row = shape.heads * e;
  return out.as_strided({shape.kv_heads, group, count, e}, {group * e, e, row, 1},
                        out.storage_offset() + start * row);
}

at::Tensor lse_view(const at::Tensor& lse_th, int64_t start, int64_t count, const HeadShape& shape) {
  const int64_t group = shape.heads / shape.kv_heads;
  return lse_th.as_strided({shape.kv_heads, group, count}, {group, 1, shape.heads},
                           lse_th.storage_offset() + start * shape.heads);
}

at::Tensor cache_view(const at::Tensor& rows, int64_t count, const HeadShape& shape) {
  const int64_t e = shape.head_dim, kv = shape.kv_heads;
  return rows.as_strided({kv, shape.heads / kv, count, e}, {e, 0, kv * e, 1}, rows.storage_offset());
}

AttentionResult empty_result(const at::Tensor& qkv, const HeadShape& shape) {
  const int64_t tokens = qkv.size(0);
  return {at::empty({tokens, shape.heads * shape.head_dim}, qkv.options()),
          at::empty({tokens, shape.heads}, qkv.options().dtype(at::kFloat))};
}

void attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal, int64_t start,
            const HeadShape& shape, AttentionResult& into) {
  const auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal);
  const int64_t count = q.size(2);
  out_view(into.out, start, count, shape).copy_(out);
  lse_view(into.lse_th, start, count, shape).copy_(lse);
}

AttentionResult aten_forward(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                             const HeadShape& shape) {
  AttentionResult result = empty_result(qkv, shape);
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    const SpanViews span = span_views(qkv, starts[i], starts[i + 1] - starts[i], shape);
    attend(span.q, span.k, span.v, true, starts[i], shape, result);
  }
  return result;
}

std::atomic<bool> bf16_allowed{true};

bool is_bf16_backend(at::ScalarType dtype, int64_t head_dim) {
  return dtype == at::kBFloat16 && bf16_allowed && has_bf16_attention(head_dim);
}

// One head of one document, for the bf16 backend.
struct HeadTask {
  int64_t start, count, head;
  HeadRows rows(const at::Tensor& qkv, const HeadShape& shape) const {
    const int64_t e = shape.head_dim, kv_head = head / (shape.heads / shape.kv_heads);
    const Bf16* const row = pointer<Bf16>(qkv) + start * shape.row();
    const Bf16* const key = row + (shape.heads + kv_head) * e;
    return {row + head * e, key, key + shape.kv_heads * e, shape.row(), count, e};
  }
  int64_t out_offset(const HeadShape& shape) const { return (start * shape.heads + head) * shape.head_dim; }
  int64_t lse_offset(const HeadShape& shape) const { return start * shape.heads + head; }
};

// Longest documents first, so that threads finish together.
[[maybe_unused]] std::vector<HeadTask> head_tasks(const std::vector<int64_t>& starts,
                                                  const HeadShape& shape) {
  std::vector<HeadTask> tasks;
  for (size_t i = 0; i + 1 < starts.size(); ++i)
    for (int64_t head = 0; head < shape.heads; ++head)
      tasks.push_back({starts[i], starts[i + 1] - starts[i], head});
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const HeadTask& a, const HeadTask& b) { return a.count > b.count; });
  return tasks;
}

#if defined(__x86_64__)
AttentionResult bf16_forward(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                             const HeadShape& shape) {
  AttentionResult result = empty_result(qkv, shape);
  const std::vector<HeadTask> tasks = head_tasks(starts, shape);
  parallel_tasks(static_cast<int64_t>(tasks.size()), [&](int64_t index) {
    const HeadTask& task = tasks[static_cast<size_t>(index)];
    avx512bf16::attention_head_forward(
        task.rows(qkv, shape), pointer<Bf16>(result.out) + task.out_offset(shape),
        shape.heads * shape.head_dim, pointer<float>(result.lse_th) + task.lse_offset(shape), shape.heads);
  });
  return result;
}

at::Tensor bf16_backward(const at::Tensor& dout, const at::Tensor& qkv, const AttentionResult& result,
                         const std::vector<int64_t>& starts, const HeadShape& shape,
                         const RopeAngles& angles) {
  const int64_t tokens = qkv.size(0), e = shape.head_dim, group = shape.heads / shape.kv_heads;
  // [dq | dk | dv, head, token, e]
  const at::Tensor gradients = at::empty({3, shape.heads, tokens, e}, qkv.options().dtype(at::kFloat));
  float* const dq = pointer<float>(gradients);
  float* const dk = dq + shape.heads * tokens * e;
  float* const dv = dk + shape.heads * tokens * e;
  const std::vector<HeadTask> tasks = head_tasks(starts, shape);
  parallel_tasks(static_cast<int64_t>(tasks.size()), [&](int64_t index) {
    const HeadTask& task = tasks[static_cast<size_t>(index)];
    const int64_t out = task.out_offset(shape), to = (task.head * tokens + task.start) * e;
    avx512bf16::attention_head_backward(
        task.rows(qkv, shape), pointer<Bf16>(result.out) + out, pointer<Bf16>(dout) + out, shape.heads * e,
        pointer<float>(result.lse_th) + task.lse_offset(shape), shape.heads, dq + to, dk + to, dv + to);
  });
  at::Tensor dqkv = at::empty({tokens, shape.row()}, qkv.options());
  parallel_rows(tokens, 64, [&](int64_t begin, int64_t end) {
    kernels<Bf16>().pack_wide_attention_gradient(
        dq + begin * e, dk + begin * e, dv + begin * e, {group * tokens * e, tokens * e, e},
        pointer<float>(angles.cos_pe), pointer<float>(angles.sin_pe), angles.positions.data() + begin,
        pointer<Bf16>(dqkv) + begin * shape.row(), end - begin, shape);
  });
  return dqkv;
}
#endif

}  // namespace

void check_spans(const std::vector<int64_t>& starts, int64_t tokens) {
  if (starts.size() < 2 || starts.front() != 0 || starts.back() != tokens)
    fail(Code::input, "document spans do not tile the {} tokens of the sequence", tokens);
  for (size_t i = 1; i < starts.size(); ++i)
    if (starts[i] <= starts[i - 1])
      fail(Code::input, "document span {} is empty or goes backwards (from token {} to {})", i - 1,
           starts[i - 1], starts[i]);
}

const char* attention_backend(at::ScalarType dtype, int64_t head_dim, c10::Device device) {
  if (device.is_cuda()) return dtype != at::kBFloat16 ? "math" : te_use() == TeUse::nothing ? "flash" : "te";
  return is_bf16_backend(dtype, head_dim) ? "cpu-bf16" : "cpu";
}

void allow_bf16_attention(bool allowed) {
  bf16_allowed = allowed;
}

AttentionResult attention_forward(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                  const HeadShape& shape) {
  check_spans(starts, qkv.size(0));
  if (qkv.is_cuda()) return gpu_attention_forward(qkv, starts, shape);
#if defined(__x86_64__)
  if (is_bf16_backend(qkv.scalar_type(), shape.head_dim)) return bf16_forward(qkv, starts, shape);
#endif
  return aten_forward(qkv, starts, shape);
}

at::Tensor attention_backward(const at::Tensor& dout, const at::Tensor& qkv, const AttentionResult& result,
                              const std::vector<int64_t>& starts, const HeadShape& shape,
                              const RopeAngles& angles) {
  check_spans(starts, qkv.size(0));
  if (qkv.is_cuda()) return gpu_attention_backward(dout, qkv, result, starts, shape, angles);
#if defined(__x86_64__)
  if (is_bf16_backend(qkv.scalar_type(), shape.head_dim))
    return bf16_backward(dout, qkv, result, starts, shape, angles);
#endif
  at::Tensor dqkv = at::empty({qkv.size(0), shape.row()}, qkv.options());
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    const int64_t start = starts[i], count = starts[i + 1] - start, group = shape.heads / shape.kv_heads;
    const SpanViews span = span_views(qkv, start, count, shape);
    const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        out_view(dout, start, count, shape), span.q, span.k, span.v,
        out_view(result.out, start, count, shape), lse_view(result.lse_th, start, count, shape), 0.0, true);
    // ATen gives [kv, n, group, e] in memory; any other layout is brought into it.
    const auto rows_first = [](const at::Tensor& t) { return t.transpose(1, 2).contiguous(); };
    const at::Tensor dq_rows = rows_first(dq), dk_rows = rows_first(dk), dv_rows = rows_first(dv);
    by_dtype(qkv, [&](auto tag) {
      using T = decltype(tag);
      constexpr int64_t kGrainRows = 64;
      parallel_rows(count, kGrainRows, [&](int64_t begin, int64_t end) {
        const int64_t at = begin * group * shape.head_dim;
        kernels<T>().pack_attention_gradient(
            pointer<T>(dq_rows) + at, pointer<T>(dk_rows) + at, pointer<T>(dv_rows) + at,
            {count * group * shape.head_dim, shape.head_dim, group * shape.head_dim},
            pointer<float>(angles.cos_pe), pointer<float>(angles.sin_pe),
            angles.positions.data() + start + begin, pointer<T>(dqkv) + (start + begin) * shape.row(),
            end - begin, shape);
      });
    });
  }
  return dqkv;
}

at::Tensor attention_after_prefix(const at::Tensor& qkv, const std::vector<int64_t>& starts,
                                  const HeadShape& shape, const KeyValueCache& cache, int64_t prefix) {
  if (prefix == 0) return attention_forward(qkv, starts, shape).out;
  if (qkv.is_cuda()) return gpu_attention_after_prefix(qkv, starts, shape, cache, prefix);
  AttentionResult own = aten_forward(qkv, starts, shape);
  AttentionResult before = empty_result(qkv, shape);
  const at::Tensor keys = cache_view(cache.keys, prefix, shape),
                   values = cache_view(cache.values, prefix, shape);
  // All queries see the whole prefix, so one call serves every span.
  attend(span_views(qkv, 0, qkv.size(0), shape).q, keys, values, false, 0, shape, before);
  by_dtype(qkv, [&](auto tag) {
    using T = decltype(tag);
    constexpr int64_t kGrainRows = 64;
    const int64_t width = shape.heads * shape.head_dim;
    parallel_rows(qkv.size(0), kGrainRows, [&](int64_t begin, int64_t end) {
      kernels<T>().merge_attention(
          pointer<T>(own.out) + begin * width, pointer<float>(own.lse_th) + begin * shape.heads,
          pointer<T>(before.out) + begin * width, pointer<float>(before.lse_th) + begin * shape.heads,
          end - begin, shape.heads, shape.head_dim);
    });
  });
  return own.out;
}

at::Tensor attention_of_rows(const at::Tensor& qkv, const HeadShape& shape,
                             const std::vector<KeyValueCache>& caches, const std::vector<int64_t>& lengths) {
  const int64_t rows = qkv.size(0);
  ensure(static_cast<int64_t>(caches.size()) == rows && lengths.size() == caches.size(),
         "a decoded row has a cache and a length");
  for (size_t r = 0; r < caches.size(); ++r)
    ensure(lengths[r] < caches[r].keys.size(0), "the key-value cache has room for the token");
  AttentionResult result = empty_result(qkv, shape);
  if (qkv.is_cuda()) {
    for (int64_t r = 0; r < rows; ++r) {
      const at::Tensor row = qkv.narrow(0, r, 1);
      KeyValueCache cache = caches[static_cast<size_t>(r)];
      const int64_t before = lengths[static_cast<size_t>(r)];
      result.out.narrow(0, r, 1).copy_(attention_after_prefix(row, {0, 1}, shape, cache, before));
      append_to_cache(row, shape, cache, before);
    }
    return result.out;
  }
  const int64_t e = shape.head_dim, group = shape.heads / shape.kv_heads, stride = shape.kv_heads * e;
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(e)));
  by_dtype(qkv, [&](auto tag) {
    using T = decltype(tag);
    parallel_tasks(rows * shape.kv_heads, [&](int64_t task) {
      const int64_t r = task / shape.kv_heads, head = task % shape.kv_heads;
      const KeyValueCache& cache = caches[static_cast<size_t>(r)];
      const int64_t before = lengths[static_cast<size_t>(r)];
      const T* const row = pointer<T>(qkv) + r * shape.row();
      const T* const key = row + (shape.heads + head) * e;
      T* const keys = pointer<T>(cache.keys) + head * e;
      T* const values = pointer<T>(cache.values) + head * e;
      std::copy_n(key, e, keys + before * stride);
      std::copy_n(key + stride, e, values + before * stride);
      std::vector<float> scores(static_cast<size_t>(before) + 1);
      kernels<T>().attend_row(row + head * group * e, keys, values, before + 1, stride, group, e, scale,
                              scores.data(), pointer<T>(result.out) + (r * shape.heads + head * group) * e);
    });
  });
  return result.out;
}

void append_to_cache(const at::Tensor& qkv, const HeadShape& shape, const KeyValueCache& cache,
                     int64_t prefix) {
  const int64_t width = shape.kv_heads * shape.head_dim, queries = shape.heads * shape.head_dim;
  ensure(prefix + qkv.size(0) <= cache.keys.size(0), "the key-value cache has room for the tokens");
  cache.keys.narrow(0, prefix, qkv.size(0)).copy_(qkv.narrow(1, queries, width));
  cache.values.narrow(0, prefix, qkv.size(0)).copy_(qkv.narrow(1, queries + width, width));
}

}  // namespace retrace::model
