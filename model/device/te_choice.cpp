#include "model/device/te_choice.h"

#include <cstdlib>

#include <link.h>

#include "core/error.h"
#include "core/files/paths.h"
#include "model/device/cuda_library.h"
#include "model/device/library_table.h"

namespace retrace::model {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFile = "libtransformer_engine.so";
constexpr int kCapability = 9;  // Hopper: what "auto" was written for

TeUse in_use = TeUse::nothing;

// The folder of Python packages of the wheel whose torch/lib/libc10.so this process runs with.
fs::path python_packages() {
  std::string found;
  dl_iterate_phdr(
      [](dl_phdr_info* object, size_t, void* to) {
        const fs::path path = object->dlpi_name;
        if (path.filename() != "libc10.so") return 0;
        *static_cast<std::string*>(to) = path;
        return 1;
      },
      &found);
  std::error_code ignored;
  return found.empty() ? fs::path() : fs::canonical(found, ignored).parent_path().parent_path().parent_path();
}

// Opens the first that opens: its path, or what was wrong with all.
TeChoice open_first(const std::vector<fs::path>& places) {
  TeChoice choice;
  for (const fs::path& place : places) {
    const std::string problem = cuda_library().open_te(place.c_str());
    if (problem.empty()) return {true, place.string(), ""};
    choice.why += (choice.why.empty() ? "" : "; ") + problem;
  }
  return choice;
}

Error refused(const std::string& why, const std::string& hint) {
  return Error(Code::recipe, "Transformer Engine is asked for and cannot be used: " + why, hint,
               "model.fused");
}

}  // namespace

TeUse te_use() {
  return in_use;
}
void set_te_use(TeUse use) {
  in_use = use;
}

std::vector<fs::path> te_places(const std::string& named) {
  if (!named.empty()) return {named};
  if (const char* path = std::getenv(kTeEnvironment); path && *path) return {path};
  std::vector<fs::path> places;
  const fs::path packages = python_packages();
  for (const char* folder : {"transformer_engine/wheel_lib", "transformer_engine"}) {
    std::error_code ignored;
    const fs::path path = packages / folder / kFile;
    if (!packages.empty() && fs::exists(path, ignored)) places.push_back(path);
  }
  places.push_back(kFile);
  return places;
}

TeChoice choose_fused(const std::string& fused, const std::string& library, const std::string& dtype,
                      const std::string& device) {
  set_te_use(TeUse::nothing);
  if (fused == "own") return {};
  if (fused != "auto" && fused != "te")
    throw Error(Code::recipe, fmt::format("unknown model.fused '{}'", fused), "use auto, own or te",
                "model.fused");
  const bool named = fused == "te";
  TeChoice choice;
  if (device != "cuda")
    choice.why = "it works on a GPU, the device is the CPU";
  else if (dtype != "bfloat16")
    choice.why = "it is used in bfloat16 only, model.dtype is " + dtype;
  else if (!named && gpu_in_use().major != kCapability)
    choice.why = fmt::format("auto takes it on compute capability 9.0 only, this GPU has {}.{}",
                             gpu_in_use().major, gpu_in_use().minor);
  else
    choice = open_first(te_places(library.empty() ? "" : resolve_path(library).string()));
  if (choice.used) set_te_use(named ? TeUse::all : TeUse::attention);
  if (named && !choice.used)
    throw refused(choice.why,
                  "`pip install --no-deps transformer-engine-cu13==2.20.2` beside torch, name its library in "
                  "model.te_library, or set model.fused = \"auto\"");
  return choice;
}

}  // namespace retrace::model
