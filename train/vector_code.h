// RETRACE_VECTOR in front of a loop: compiled for several instruction sets, the best chosen when the program
// is loaded.
#pragma once

// Vector code for the machine at hand; contraction stays off so that all of them round alike.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define RETRACE_VECTOR \
  __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3", "fp-contract=off")))
#else
#define RETRACE_VECTOR
#endif
