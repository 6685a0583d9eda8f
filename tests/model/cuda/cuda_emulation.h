// Runs CUDA device code on a CPU, so that the logic of the kernels is tested where there is no GPU. Every
// thread of a block is a fiber; __syncthreads and the shuffles let the others run up to the same point.
// Blocks run one after the other. Promises: a barrier that not all threads reach is a failure, shared memory
// of a block is filled with NaN before it starts. Says nothing about speed, memory ordering or alignment.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

namespace emulation {

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};

constexpr size_t kStackBytes = 64 << 10;
constexpr size_t kMostThreads = 1024;

struct Fiber {
  ucontext_t context;
  bool done = false;
};

struct Block {
  std::vector<Fiber> fibers;
  ucontext_t scheduler;
  size_t current = 0;
  std::vector<double> exchange;
  std::vector<char> dynamic_shared;
  const std::function<void()>* body = nullptr;
};
inline Block* block = nullptr;
inline Dim grid_dim, block_dim, block_idx, thread_idx;

inline void wait() {
  Fiber& fiber = block->fibers[block->current];
  swapcontext(&fiber.context, &block->scheduler);
}

inline void enter() {
  (*block->body)();
  block->fibers[block->current].done = true;
}

inline void run_block(const std::function<void()>& body, unsigned threads, size_t shared_bytes) {
  Block here;
  here.fibers.resize(threads);
  here.exchange.resize(threads);
  here.dynamic_shared.assign(shared_bytes, '\xFF');
  here.body = &body;
  block = &here;
  static const std::unique_ptr<char[]> stacks(new char[kMostThreads * kStackBytes]);
  for (size_t i = 0; i < here.fibers.size(); ++i) {
    Fiber& fiber = here.fibers[i];
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stacks.get() + i * kStackBytes;
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = &here.scheduler;
    makecontext(&fiber.context, enter, 0);
  }
  for (size_t finished = 0; finished < threads;) {
    finished = 0;
    for (here.current = 0; here.current < threads; ++here.current) {
      Fiber& fiber = here.fibers[here.current];
      thread_idx.x = static_cast<unsigned>(here.current);
      if (!fiber.done) swapcontext(&here.scheduler, &fiber.context);
      finished += fiber.done;
    }
    if (finished > 0 && finished < threads) throw std::logic_error("a barrier that not all threads reach");
  }
  block = nullptr;
}

template <class Kernel, class... Args>
void launch(Dim grid, unsigned threads, size_t shared_bytes, Kernel kernel, Args... args) {
  grid_dim = grid;
  block_dim = {threads};
  const std::function<void()> body = [&] { kernel(args...); };
  for (unsigned y = 0; y < grid.y; ++y)
    for (unsigned x = 0; x < grid.x; ++x) {
      block_idx = {x, y};
      run_block(body, threads, shared_bytes);
    }
}

template <class T>
T shuffle_xor(T value, int mask) {
  block->exchange[thread_idx.x] = static_cast<double>(value);
  wait();
  const size_t warp = thread_idx.x / 32 * 32;
  const T other = static_cast<T>(block->exchange[warp + (thread_idx.x % 32 ^ static_cast<unsigned>(mask))]);
  wait();
  return other;
}

}  // namespace emulation

#define __device__
#define __global__
#define __shared__ static
#define threadIdx emulation::thread_idx
#define blockIdx emulation::block_idx
#define blockDim emulation::block_dim
#define gridDim emulation::grid_dim
#define __syncthreads emulation::wait
#define __shfl_xor_sync(mask, value, step) emulation::shuffle_xor(value, step)
#define RETRACE_DYNAMIC_SHARED(type, name) \
  type* const name = reinterpret_cast<type*>(emulation::block->dynamic_shared.data())
