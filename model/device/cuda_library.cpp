#include "model/device/cuda_library.h"

#include <dlfcn.h>

#include <filesystem>

#include "core/build_info.h"
#include "core/error.h"
#include "core/log.h"
#include "model/device/library_table.h"

namespace retrace::model {
namespace {

const CudaLibrary* opened = nullptr;
GpuInfo in_use;
constexpr const char* kNoDriver = "no NVIDIA driver (libcuda.so.1) on this machine";

std::filesystem::path library_path() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / kCudaLibraryName;
}

// Opens the library for good, or says what is missing.
std::string try_open() {
  if (opened) return "";
  // The driver's own library: without it CUDA's would only fail later and less clearly.
  void* const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_GLOBAL);
  if (!driver) return kNoDriver;
  const std::filesystem::path path = library_path();
  if (!std::filesystem::exists(path))
    return path.string() + " does not exist (scripts/build --cuda makes it)";
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!handle) return fmt::format("{} does not load: {}", path.string(), dlerror());
  const auto entry = reinterpret_cast<CudaLibraryEntry*>(dlsym(handle, kCudaLibraryEntry));
  if (!entry) return path.string() + " is not a library of this program";
  const CudaLibrary* const found = entry();
  if (std::string(found->version) != kVersion)
    return fmt::format("{} is of version {}, the program of {}", path.string(), found->version, kVersion);
  try {
    if (found->device_count() == 0) return "the driver finds no GPU";
  } catch (const std::exception& problem) {
    return fmt::format("CUDA does not start: {}", problem.what());
  }
  opened = found;
  return "";
}

}  // namespace

std::string choose_device(const std::string& wanted) {
  if (wanted == "cpu") return "cpu";
  if (wanted != "cuda" && wanted != "auto")
    throw Error(Code::recipe, fmt::format("unknown device '{}'", wanted), "use auto, cpu or cuda");
  const std::string missing = try_open();
  if (missing.empty()) return "cuda";
  if (wanted == "cuda")
    throw Error(Code::recipe, "device cuda is not available: " + missing,
                "use a machine with an NVIDIA driver of 580 or newer, build the library with "
                "`scripts/build --cuda`, or set the device to \"cpu\"");
  // Where there is a driver, a GPU was probably meant to be used.
  if (missing == kNoDriver)
    debug("device auto means cpu: {}", missing);
  else
    warn("device auto means cpu: {}", missing);
  return "cpu";
}

const CudaLibrary& cuda_library() {
  if (!opened) fail(Code::internal, "a tensor on the GPU, but the GPU library was never opened");
  return *opened;
}

int gpu_count() {
  return opened ? opened->device_count() : 0;
}

GpuInfo use_gpu(int index) {
  const int count = cuda_library().device_count();
  if (index < 0 || index >= count)
    throw Error(Code::recipe, fmt::format("GPU {} is asked for, this machine has {}", index, count),
                "start as many ranks on a machine as it has GPUs");
  return in_use = cuda_library().use(index);
}

GpuInfo gpu_in_use() {
  return in_use;
}

GpuMemory gpu_memory() {
  return opened ? opened->memory() : GpuMemory{};
}
void reset_gpu_peak() {
  if (opened) opened->reset_peak();
}
void gpu_synchronize() {
  if (opened) opened->synchronize();
}

}  // namespace retrace::model
