#include "synth/input/git_refs.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "synth/input/beneath.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

constexpr uint64_t kMaxRefBytes = 4096, kMaxPackedRefsBytes = uint64_t{64} << 20;
constexpr int kMaxSymbolicDepth = 5;

bool is_hex_id(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<std::string> read_inside(int folder_fd, const std::string& path, uint64_t max_bytes) {
  const Descriptor file = file_beneath(folder_fd, path);
  if (!file) return std::nullopt;
  auto bytes = read_at_most(file.get(), max_bytes);
  if (!bytes || bytes->size() > max_bytes) return std::nullopt;
  while (!bytes->empty() && (bytes->back() == '\n' || bytes->back() == '\r' || bytes->back() == ' '))
    bytes->pop_back();
  return bytes;
}

std::string packed_ref(int folder_fd, const std::string& name) {
  const auto packed = read_inside(folder_fd, "packed-refs", kMaxPackedRefsBytes);
  if (!packed) return "";
  for (size_t begin = 0; begin < packed->size();) {
    const size_t end = std::min(packed->find('\n', begin), packed->size());
    const std::string_view line = std::string_view(*packed).substr(begin, end - begin);
    begin = end + 1;
    if (line.size() > 41 && line[40] == ' ' && line.substr(41) == name)
      return std::string(line.substr(0, 40));
  }
  return "";
}

// Follows "ref: NAME" lines. "" if the ref does not exist.
std::string follow(int folder_fd, std::string name, const std::string& where) {
  for (int depth = 0; depth < kMaxSymbolicDepth; ++depth) {
    if (path_problem(name) == "unsafe_path")
      throw Error(Code::corrupt, "a ref has an unsafe name", "", where);
    const auto text = read_inside(folder_fd, name, kMaxRefBytes);
    const std::string value = text ? *text : packed_ref(folder_fd, name);
    if (value.empty()) return "";
    if (is_hex_id(value, 40)) return value;
    if (is_hex_id(value, 64))
      throw Error(Code::input, "a git repository with SHA-256 object names cannot be read",
                  "give its files as a folder or an archive", where);
    if (value.substr(0, 5) != "ref: ")
      throw Error(Code::corrupt, fmt::format("ref {} holds neither an object id nor a ref", name), "", where);
    name = value.substr(5);
  }
  throw Error(Code::corrupt, "symbolic refs form a circle", "", where);
}

}  // namespace

std::string resolve_ref(int git_folder_fd, const std::string& revision, const std::string& where) {
  if (revision.empty() || revision == "HEAD") return follow(git_folder_fd, "HEAD", where);
  if (path_problem(revision) == "unsafe_path") return "";
  for (const char* folder : {"", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"}) {
    const std::string name = folder + revision;
    if (name.substr(0, 5) != "refs/") continue;
    if (std::string id = follow(git_folder_fd, name, where); !id.empty()) return id;
  }
  return "";
}

}  // namespace retrace::synth
