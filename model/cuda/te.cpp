// Calls of Transformer Engine's C API. Functions are found by name; their types are those of the wheel's own
// headers, and test_cuda_library.py opens the wheel's library with this code. A call that needs scratch is
// made twice: with an empty workspace it only says how much.
#include "model/cuda/te.h"

#include <dlfcn.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAFunctions.h>
#include <transformer_engine/activation.h>
#include <transformer_engine/fused_attn.h>
#include <transformer_engine/fused_rope.h>
#include <transformer_engine/normalization.h>

#include <filesystem>
#include <stdexcept>

#include "model/cuda/tables.h"

namespace retrace::model::cuda {
namespace {

#define RETRACE_TE_FUNCTIONS(X)               \
  X(nvte_create_tensor)                       \
  X(nvte_destroy_tensor)                      \
  X(nvte_set_tensor_param_v2)                 \
  X(nvte_tensor_shape)                        \
  X(nvte_tensor_type)                         \
  X(nvte_tensor_size_bytes)                   \
  X(nvte_tensor_pack_create)                  \
  X(nvte_tensor_pack_destroy)                 \
  X(nvte_create_fused_attn_fwd_params)        \
  X(nvte_destroy_fused_attn_fwd_params)       \
  X(nvte_set_fused_attn_fwd_params_attribute) \
  X(nvte_fused_attn_fwd_v2)                   \
  X(nvte_create_fused_attn_bwd_params)        \
  X(nvte_destroy_fused_attn_bwd_params)       \
  X(nvte_set_fused_attn_bwd_params_attribute) \
  X(nvte_fused_attn_bwd_v2)                   \
  X(nvte_rmsnorm_fwd)                         \
  X(nvte_fused_rope_forward)                  \
  X(nvte_fused_rope_backward)                 \
  X(nvte_swiglu)                              \
  X(nvte_dswiglu)

struct Functions {
#define RETRACE_TE_MEMBER(name) decltype(&::name) name = nullptr;
  RETRACE_TE_FUNCTIONS(RETRACE_TE_MEMBER)
};
Functions te;
bool opened = false;

// cuDNN's parts, which Transformer Engine is linked against by name, lie beside the cuDNN that torch brought.
void load_cudnn_parts() {
  void* const version = dlsym(RTLD_DEFAULT, "cudnnGetVersion");
  Dl_info where{};
  if (!version || dladdr(version, &where) == 0) return;
  const auto folder = std::filesystem::path(where.dli_fname).parent_path();
  for (const char* part :
       {"graph", "ops", "cnn", "adv", "heuristic", "engines_precompiled", "engines_runtime_compiled"})
    dlopen((folder / (std::string("libcudnn_") + part + ".so.9")).c_str(), RTLD_LAZY | RTLD_GLOBAL);
}

// A description of memory that stays the caller's; empty without data.
class Tensor {
 public:
  Tensor() : tensor_(te.nvte_create_tensor(NVTE_DELAYED_TENSOR_SCALING)) {}
  Tensor(const void* data, NVTEDType type, std::initializer_list<int64_t> sizes) : Tensor() {
    NVTEShape shape{};
    for (int64_t size : sizes) shape.data[shape.ndim++] = static_cast<size_t>(size);
    set(tensor_, data, type, shape);
  }
  ~Tensor() { te.nvte_destroy_tensor(tensor_); }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  operator NVTETensor() const { return tensor_; }

  static void set(NVTETensor tensor, const void* data, NVTEDType type, const NVTEShape& shape) {
    const NVTEBasicTensor basic{const_cast<void*>(data), type, shape};
    te.nvte_set_tensor_param_v2(tensor, kNVTERowwiseData, &basic, sizeof basic);
  }

 private:
  NVTETensor tensor_;
};

// Memory of the shape and type that a first call has asked for; it stays until the work that is queued on
// this stream has used it, as all memory of torch's allocator does.
at::Tensor fill(NVTETensor wanted) {
  const auto bytes = static_cast<int64_t>(te.nvte_tensor_size_bytes(wanted));
  const at::Tensor memory = at::empty({bytes}, at::TensorOptions(c10::kCUDA).dtype(at::kByte));
  Tensor::set(wanted, memory.data_ptr(), te.nvte_tensor_type(wanted), te.nvte_tensor_shape(wanted));
  return memory;
}

class Pack {
 public:
  Pack() { te.nvte_tensor_pack_create(&pack); }
  ~Pack() { te.nvte_tensor_pack_destroy(&pack); }
  Pack(const Pack&) = delete;
  Pack& operator=(const Pack&) = delete;
  NVTETensorPack pack;
};

template <class Attribute, void (*Functions::*Destroy)(void*),
          void (*Functions::*Set)(void*, Attribute, const void*, size_t)>
class Params {
 public:
  explicit Params(void* params) : params_(params) {}
  ~Params() { (te.*Destroy)(params_); }
  Params(const Params&) = delete;
  Params& operator=(const Params&) = delete;
  operator void*() const { return params_; }
  template <class T>
  void set(Attribute attribute, T value) {
    (te.*Set)(params_, attribute, &value, sizeof value);
  }

 private:
  void* params_;
};
using ForwardParams = Params<NVTEFusedAttnFwdParamsAttribute, &Functions::nvte_destroy_fused_attn_fwd_params,
                             &Functions::nvte_set_fused_attn_fwd_params_attribute>;
using BackwardParams = Params<NVTEFusedAttnBwdParamsAttribute, &Functions::nvte_destroy_fused_attn_bwd_params,
                              &Functions::nvte_set_fused_attn_bwd_params_attribute>;

// What both directions describe alike.
struct Described {
  explicit Described(const TeAttention& in)
      : q(in.q, kNVTEBFloat16, {in.documents.rows, in.shape.heads, in.shape.head_dim}),
        k(in.k, kNVTEBFloat16, {in.documents.rows, in.shape.kv_heads, in.shape.head_dim}),
        v(in.v, kNVTEBFloat16, {in.documents.rows, in.shape.kv_heads, in.shape.head_dim}),
        starts(in.documents.starts, kNVTEInt32, {in.documents.count + 1}),
        no_dropout(at::zeros({2}, at::TensorOptions(c10::kCUDA).dtype(at::kLong))),
        rng(no_dropout.data_ptr(), kNVTEInt64, {2}) {}
  Tensor q, k, v, starts;
  at::Tensor no_dropout;
  Tensor rng, workspace, none[6];
};

constexpr uint8_t kYes = 1, kNo = 0;

void attention(const TeAttention& in, Bf16* out, float* lse) {
  const Described d(in);
  const int64_t rows = in.documents.rows, heads = in.shape.heads;
  const Tensor o(out, kNVTEBFloat16, {rows, heads, in.shape.head_dim});
  Pack aux;
  ForwardParams p(te.nvte_create_fused_attn_fwd_params());
  const auto longest = static_cast<size_t>(in.documents.longest);
  const auto tensor = [&](NVTEFusedAttnFwdParamsAttribute attribute, const Tensor& t) {
    p.set(attribute, static_cast<NVTETensor>(t));
  };
  tensor(kNVTEFusedAttnFwdParamsQ, d.q);
  tensor(kNVTEFusedAttnFwdParamsK, d.k);
  tensor(kNVTEFusedAttnFwdParamsV, d.v);
  tensor(kNVTEFusedAttnFwdParamsBias, d.none[0]);
  tensor(kNVTEFusedAttnFwdParamsSoftmaxOffset, d.none[1]);
  tensor(kNVTEFusedAttnFwdParamsS, d.none[2]);
  tensor(kNVTEFusedAttnFwdParamsO, o);
  p.set(kNVTEFusedAttnFwdParamsAuxCtxTensors, &aux.pack);
  for (const auto attribute :
       {kNVTEFusedAttnFwdParamsCuSeqlensQ, kNVTEFusedAttnFwdParamsCuSeqlensKV,
        kNVTEFusedAttnFwdParamsCuSeqlensQPadded, kNVTEFusedAttnFwdParamsCuSeqlensKVPadded})
    tensor(attribute, d.starts);
  tensor(kNVTEFusedAttnFwdParamsPageTableK, d.none[3]);
  tensor(kNVTEFusedAttnFwdParamsPageTableV, d.none[4]);
  tensor(kNVTEFusedAttnFwdParamsRngState, d.rng);
  p.set(kNVTEFusedAttnFwdParamsIsTraining, kYes);
  p.set(kNVTEFusedAttnFwdParamsCudaGraph, kNo);
  p.set(kNVTEFusedAttnFwdParamsReturnMaxLogit, kNo);
  p.set(kNVTEFusedAttnFwdParamsAttnMaskType, NVTE_PADDING_CAUSAL_MASK);
  p.set(kNVTEFusedAttnFwdParamsBiasType, NVTE_NO_BIAS);
  p.set(kNVTEFusedAttnFwdParamsWindowSizeLeft, int64_t{-1});
  p.set(kNVTEFusedAttnFwdParamsWindowSizeRight, int64_t{0});
  p.set(kNVTEFusedAttnFwdParamsBottomRightDiagonal, kNo);
  p.set(kNVTEFusedAttnFwdParamsSoftmaxType, NVTE_VANILLA_SOFTMAX);
  p.set(kNVTEFusedAttnFwdParamsDropout, 0.0f);
  p.set(kNVTEFusedAttnFwdParamsAttnScale, in.scale);
  p.set(kNVTEFusedAttnFwdParamsQKVLayout, NVTE_THD_THD_THD);
  p.set(kNVTEFusedAttnFwdParamsOFormat, NVTE_THD);
  p.set(kNVTEFusedAttnFwdParamsQKVScaleInvFormat, NVTE_QKV_Format_NOT_SET);
  p.set(kNVTEFusedAttnFwdParamsMaxSeqlenQ, longest);
  p.set(kNVTEFusedAttnFwdParamsMaxSeqlenKV, longest);
  tensor(kNVTEFusedAttnFwdParamsWorkspace, d.workspace);
  p.set(kNVTEFusedAttnFwdParamsStream, current_stream());
  te.nvte_fused_attn_fwd_v2(p);
  const NVTEShape stats = te.nvte_tensor_shape(aux.pack.tensors[0]);
  if (aux.pack.size != 2 || stats.ndim != 3 || stats.data[0] != static_cast<size_t>(rows) ||
      stats.data[1] != static_cast<size_t>(heads) || stats.data[2] != 1)
    throw std::runtime_error(
        "Transformer Engine's attention returns no packed log-sum-exps here (cuDNN 9.6 does)");
  const at::Tensor memory = fill(d.workspace);
  Tensor::set(aux.pack.tensors[0], lse, kNVTEFloat32, stats);
  Tensor::set(aux.pack.tensors[1], d.no_dropout.data_ptr(), kNVTEInt64, te.nvte_tensor_shape(d.rng));
  te.nvte_fused_attn_fwd_v2(p);
}

void attention_backward(const TeAttention& in, const Bf16* dout, const Bf16* out, const float* lse, Bf16* dq,
                        Bf16* dk, Bf16* dv) {
  const Described d(in);
  const int64_t rows = in.documents.rows, heads = in.shape.heads, kv = in.shape.kv_heads,
                e = in.shape.head_dim;
  const Tensor o(out, kNVTEBFloat16, {rows, heads, e}), d_o(dout, kNVTEBFloat16, {rows, heads, e}),
      d_q(dq, kNVTEBFloat16, {rows, heads, e}), d_k(dk, kNVTEBFloat16, {rows, kv, e}),
      d_v(dv, kNVTEBFloat16, {rows, kv, e}), stats(lse, kNVTEFloat32, {rows, heads, 1});
  Pack aux;
  aux.pack.size = 2;
  Tensor::set(aux.pack.tensors[0], lse, kNVTEFloat32, te.nvte_tensor_shape(stats));
  Tensor::set(aux.pack.tensors[1], d.no_dropout.data_ptr(), kNVTEInt64, te.nvte_tensor_shape(d.rng));
  BackwardParams p(te.nvte_create_fused_attn_bwd_params());
  const auto longest = static_cast<size_t>(in.documents.longest);
  const auto tensor = [&](NVTEFusedAttnBwdParamsAttribute attribute, const Tensor& t) {
    p.set(attribute, static_cast<NVTETensor>(t));
  };
  tensor(kNVTEFusedAttnBwdParamsQ, d.q);
  tensor(kNVTEFusedAttnBwdParamsK, d.k);
  tensor(kNVTEFusedAttnBwdParamsV, d.v);
  tensor(kNVTEFusedAttnBwdParamsO, o);
  tensor(kNVTEFusedAttnBwdParamsDO, d_o);
  tensor(kNVTEFusedAttnBwdParamsS, d.none[0]);
  tensor(kNVTEFusedAttnBwdParamsDP, d.none[1]);
  p.set(kNVTEFusedAttnBwdParamsAuxCtxTensors, static_cast<const NVTETensorPack*>(&aux.pack));
  tensor(kNVTEFusedAttnBwdParamsDQ, d_q);
  tensor(kNVTEFusedAttnBwdParamsDK, d_k);
  tensor(kNVTEFusedAttnBwdParamsDV, d_v);
  tensor(kNVTEFusedAttnBwdParamsDBias, d.none[2]);
  tensor(kNVTEFusedAttnBwdParamsDSoftmaxOffset, d.none[3]);
  for (const auto attribute :
       {kNVTEFusedAttnBwdParamsCuSeqlensQ, kNVTEFusedAttnBwdParamsCuSeqlensKV,
        kNVTEFusedAttnBwdParamsCuSeqlensQPadded, kNVTEFusedAttnBwdParamsCuSeqlensKVPadded})
    tensor(attribute, d.starts);
  p.set(kNVTEFusedAttnBwdParamsDeterministic, kYes);
  p.set(kNVTEFusedAttnBwdParamsCudaGraph, kNo);
  p.set(kNVTEFusedAttnBwdParamsAttnMaskType, NVTE_PADDING_CAUSAL_MASK);
  p.set(kNVTEFusedAttnBwdParamsBiasType, NVTE_NO_BIAS);
  p.set(kNVTEFusedAttnBwdParamsWindowSizeLeft, int64_t{-1});
  p.set(kNVTEFusedAttnBwdParamsWindowSizeRight, int64_t{0});
  p.set(kNVTEFusedAttnBwdParamsBottomRightDiagonal, kNo);
  p.set(kNVTEFusedAttnBwdParamsSoftmaxType, NVTE_VANILLA_SOFTMAX);
  p.set(kNVTEFusedAttnBwdParamsDropout, 0.0f);
  p.set(kNVTEFusedAttnBwdParamsAttnScale, in.scale);
  p.set(kNVTEFusedAttnBwdParamsQKVLayout, NVTE_THD_THD_THD);
  p.set(kNVTEFusedAttnBwdParamsOFormat, NVTE_THD);
  p.set(kNVTEFusedAttnBwdParamsDOFormat, NVTE_THD);
  p.set(kNVTEFusedAttnBwdParamsDQKVLayout, NVTE_THD_THD_THD);
  p.set(kNVTEFusedAttnBwdParamsQKVScaleInvFormat, NVTE_QKV_Format_NOT_SET);
  p.set(kNVTEFusedAttnBwdParamsDOScaleInvFormat, NVTE_QKV_Format_NOT_SET);
  p.set(kNVTEFusedAttnBwdParamsMaxSeqlenQ, longest);
  p.set(kNVTEFusedAttnBwdParamsMaxSeqlenKV, longest);
  tensor(kNVTEFusedAttnBwdParamsWorkspace, d.workspace);
  p.set(kNVTEFusedAttnBwdParamsStream, current_stream());
  te.nvte_fused_attn_bwd_v2(p);
  const at::Tensor memory = fill(d.workspace);
  te.nvte_fused_attn_bwd_v2(p);
}

int multiprocessors() {
  int count = 0;
  if (cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, c10::cuda::current_device()) !=
      cudaSuccess)
    throw std::runtime_error("CUDA does not tell the GPU's number of multiprocessors");
  return count;
}

void rms_norm(const Bf16* x, const Bf16* w, Bf16* y, float* rstd, int64_t rows, int64_t width, float eps) {
  if (rows == 0) return;
  const Tensor in(x, kNVTEBFloat16, {rows, width}), weight(w, kNVTEBFloat16, {width}),
      out(y, kNVTEBFloat16, {rows, width}), scale(rstd, kNVTEFloat32, {rows}), workspace;
  const auto call = [&] {
    te.nvte_rmsnorm_fwd(in, weight, eps, out, scale, workspace, multiprocessors(), false, current_stream());
  };
  call();
  const at::Tensor memory = fill(workspace);
  call();
}

void rope(const Bf16* in, int64_t stride, Bf16* out, const float* angles, int64_t positions,
          const int32_t* first, const TeRuns& runs, int64_t heads, int64_t head_dim, bool back) {
  if (runs.rows == 0) return;
  const auto as_int = [](int64_t value) { return static_cast<int>(value); };
  const Tensor from(in, kNVTEBFloat16, {runs.rows, heads, head_dim}),
      to(out, kNVTEBFloat16, {runs.rows, heads, head_dim}), starts(runs.starts, kNVTEInt32, {runs.count + 1}),
      table(angles, kNVTEFloat32, {positions, 1, 1, head_dim}), begins(first, kNVTEInt32, {runs.count});
  const auto function = back ? te.nvte_fused_rope_backward : te.nvte_fused_rope_forward;
  function(from, starts, table, begins, to, NVTE_THD, /*interleaved=*/false, /*cp_size=*/1, /*cp_rank=*/0,
           as_int(runs.longest), as_int(runs.count), as_int(heads), as_int(head_dim), as_int(head_dim),
           as_int(stride), 0, as_int(head_dim), 1, current_stream());
}

void swiglu(const Bf16* gate_up, Bf16* act, int64_t rows, int64_t width) {
  if (rows == 0) return;
  const Tensor in(gate_up, kNVTEBFloat16, {rows, 2 * width}), out(act, kNVTEBFloat16, {rows, width});
  te.nvte_swiglu(in, out, current_stream());
}

void swiglu_backward(const Bf16* gate_up, const Bf16* dact, Bf16* dgate_up, int64_t rows, int64_t width) {
  if (rows == 0) return;
  const Tensor gradient(dact, kNVTEBFloat16, {rows, width}), in(gate_up, kNVTEBFloat16, {rows, 2 * width}),
      out(dgate_up, kNVTEBFloat16, {rows, 2 * width});
  te.nvte_dswiglu(gradient, in, out, current_stream());
}

}  // namespace

std::string open_te(const char* path) {
  if (opened) return "";
  load_cudnn_parts();
  // Lazily: parts that are not used here want a newer cuBLAS than torch 2.11 brings.
  void* const handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (!handle) return std::string(path) + " does not load: " + dlerror();
  Functions found;
  std::string missing;
#define RETRACE_TE_FIND(name)                                                \
  found.name = reinterpret_cast<decltype(found.name)>(dlsym(handle, #name)); \
  if (!found.name) missing += std::string(missing.empty() ? "" : ", ") + #name;
  RETRACE_TE_FUNCTIONS(RETRACE_TE_FIND)
  if (!missing.empty()) return std::string(path) + " lacks " + missing + "; version 2.20 is needed";
  te = found;
  opened = true;
  return "";
}

const TeFunctions kTeKernels = {attention, attention_backward, rms_norm, rope, swiglu, swiglu_backward};

}  // namespace retrace::model::cuda

// For a test on a machine without a GPU: what is wrong with the library at `path`, or an empty text.
extern "C" __attribute__((visibility("default"))) const char* retrace_open_te(const char* path) {
  static std::string problem;
  problem = retrace::model::cuda::open_te(path);
  return problem.c_str();
}
