#include "core/files/paths.h"

#include <cstdlib>

#include "core/error.h"

namespace retrace {
namespace {

std::filesystem::path fetched_folder() {
  auto set = [](const char* name) {
    const char* v = std::getenv(name);
    return std::string(v ? v : "");
  };
  if (const auto own = set("RETRACE_DEPS"); !own.empty()) return own;
  if (const auto cache = set("XDG_CACHE_HOME"); !cache.empty())
    return std::filesystem::path(cache) / "retrace";
  if (const auto home = set("HOME"); !home.empty()) return std::filesystem::path(home) / ".cache" / "retrace";
  throw Error(Code::recipe, "a path starts with deps:, but neither RETRACE_DEPS nor HOME is set",
              "set RETRACE_DEPS");
}

}  // namespace

std::filesystem::path resolve_path(const std::string& path) {
  constexpr const char* kPrefix = "deps:";
  if (path.rfind(kPrefix, 0) != 0) return path;
  return fetched_folder() / path.substr(5);
}

}  // namespace retrace
