// Splits rows over ATen's own threads. Promises: every row once, exceptions reach the caller, no second
// thread pool. ATen/Parallel.h is not used because its header runs serially in a program that is compiled
// without OpenMP.
#pragma once

#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace retrace::model {

// Calls body(begin, end) for disjoint ranges that cover [0, rows), at least `grain` rows each (the last may
// be shorter). Ranges depend on the thread count: results must not.
void parallel_rows(int64_t rows, int64_t grain, c10::function_ref<void(int64_t, int64_t)> body);

// Calls body(task) once for each task in [0, tasks); threads take the next one as they come free. Every task
// must write to places of its own.
void parallel_tasks(int64_t tasks, c10::function_ref<void(int64_t)> body);

}  // namespace retrace::model
