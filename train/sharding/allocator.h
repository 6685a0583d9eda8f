// Host memory that training frees stays with the process: every step asks for the same tensors again, and
// pages that go back to the system must be zeroed and mapped anew. The process keeps its highest use.
#pragma once

namespace retrace::train {

void keep_freed_memory();

}  // namespace retrace::train
