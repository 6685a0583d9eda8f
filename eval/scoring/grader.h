// Grades model-written Python functions by a trusted check. The candidate's code and the check never share a
// process: a worker in one sandbox serves calls of the function over a socket; a harness in another one runs
// the official check() against a stand-in, rebuilding every answer as a plain built-in value. So the
// candidate cannot see the tests or the verdict, cannot pass by exiting, printing or comparing equal to
// everything, and what it returns is compared by value. Stated limits: arguments that a candidate changes in
// place are not changed on the harness's side, and only built-in plain values (numbers, text, lists, tuples,
// sets, dicts, ranges, iterators over them) come across.
#pragma once

#include <string>

#include "core/sandbox/sandbox.h"

namespace retrace::eval {

struct FunctionProblem {
  std::string prompt;       // trusted source: imports, helpers, the function's head and docstring
  std::string completion;   // what the model wrote
  std::string test;         // trusted source that defines check(candidate)
  std::string entry_point;  // the function's name
};

struct Verdict {
  bool passed = false;
  bool graded = true;  // false: the sandbox failed, not the candidate; the item has no result
  std::string result;  // "passed", "timed out" or "failed: REASON"
};

Verdict grade(const Sandbox& sandbox, const FunctionProblem& problem);

// Unbiased estimate of pass@k from n samples of which c pass: 1 - prod_{i=n-c+1..n} (1 - k/i). Chen et al.
// 2021.
double pass_at_k(int64_t n, int64_t c, int64_t k);

// The two programs (grader_programs.cpp).
extern const char* const kValueCodec;
extern const char* const kWorkerProgram;
extern const char* const kHarnessProgram;

}  // namespace retrace::eval
