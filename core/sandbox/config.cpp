// The keys of the sections in core/sandbox/config.h, declared once.
#include "core/sandbox/config.h"

namespace retrace {

auto SandboxConfig::fields() {
  using S = SandboxConfig;
  return std::tuple{
      field("mode", &S::mode,
            "none runs model-written code with your rights: only where nothing can be harmed")
          .choices({"bwrap", "none"}),
      field("python", &S::python, "Interpreter of model-written Python"),
      field("timeout_s", &S::timeout_s, "Wall clock of one program, once its interpreter is up")
          .unit("s")
          .range(0.1, 86400),
      field("memory_mib", &S::memory_mib, "Address space of a program").unit("MiB").range(64, 1 << 20),
      field("processes", &S::processes, "Processes and threads of a program; 1 = it may not fork")
          .range(1, 10000),
      field("output_kib", &S::output_kib, "A program that prints more is killed")
          .unit("KiB")
          .range(1, 1 << 20),
      field("work_mib", &S::work_mib, "Size of the work folder").unit("MiB").range(1, 1 << 20),
      field("workers", &S::workers, "Programs at a time; 0 = cores").range(0, 1024)};
}

template SandboxConfig Recipe::get<SandboxConfig>() const;
template Section describe<SandboxConfig>();

}  // namespace retrace
