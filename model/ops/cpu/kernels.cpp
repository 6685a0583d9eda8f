#include "model/ops/cpu/kernels.h"

namespace retrace::model {

namespace {

struct Chosen {
  const char* name;
  const KernelTable<float>* floats;
  const KernelTable<Bf16>* bf16s;
};

Chosen choose() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) return {"avx512", &avx512::kFloat, &avx512::kBf16};
  if (__builtin_cpu_supports("x86-64-v3")) return {"avx2", &avx2::kFloat, &avx2::kBf16};
#endif
  return {"baseline", &baseline::kFloat, &baseline::kBf16};
}

const Chosen& chosen() {
  static const Chosen choice = choose();
  return choice;
}

}  // namespace

template <>
const KernelTable<float>& kernels<float>() {
  return *chosen().floats;
}
template <>
const KernelTable<Bf16>& kernels<Bf16>() {
  return *chosen().bf16s;
}
const char* kernel_set() {
  return chosen().name;
}

}  // namespace retrace::model
