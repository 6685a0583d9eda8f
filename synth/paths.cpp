#include "synth/paths.h"

#include <fmt/core.h>
#include <utf8proc.h>

#include <cstdlib>

namespace retrace::synth {

namespace {

constexpr size_t kMaxComponentBytes = 255, kMaxPathBytes = 1024, kMaxComponents = 64;

bool is_vcs_name(std::string_view component) {
  std::string folded = folded_path(component);
  while (!folded.empty() && (folded.back() == ' ' || folded.back() == '.')) folded.pop_back();
  for (const char* name :
       {".git", "git~1", ".hg", ".svn", ".bzr", "cvs", "_darcs", ".jj", ".sl", ".pijul", ".fossil"})
    if (folded == name) return true;
  return false;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const size_t size = bytes.size();
  auto follows = [&](size_t i, unsigned low, unsigned high) {
    return i < size && data[i] >= low && data[i] <= high;
  };
  for (size_t i = 0; i < size;) {
    const unsigned lead = data[i];
    if (lead < 0x80) {
      ++i;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
      if (!follows(i + 1, 0x80, 0xBF)) return false;
      i += 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
      const unsigned low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
      if (!follows(i + 1, low, high) || !follows(i + 2, 0x80, 0xBF)) return false;
      i += 3;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
      const unsigned low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
      if (!follows(i + 1, low, high) || !follows(i + 2, 0x80, 0xBF) || !follows(i + 3, 0x80, 0xBF))
        return false;
      i += 4;
    } else {
      return false;
    }
  }
  return true;
}

std::string printable_path(std::string_view path) {
  constexpr size_t kMaxShown = 300;
  const bool valid = is_utf8(path);
  std::string shown;
  for (size_t i = 0; i < path.size(); ++i) {
    const auto byte = static_cast<unsigned char>(path[i]);
    const bool starts_character = byte < 0x80 || byte >= 0xC0;
    if (shown.size() >= kMaxShown && (starts_character || !valid)) return shown + "...";
    if (byte < 0x20 || byte == 0x7F || byte == '\\' || (byte >= 0x80 && !valid))
      shown += fmt::format("\\x{:02x}", byte);
    else
      shown += path[i];
  }
  return shown;
}

std::vector<std::string_view> path_components(std::string_view path) {
  std::vector<std::string_view> components;
  for (size_t begin = 0;;) {
    const size_t slash = path.find('/', begin);
    components.push_back(path.substr(begin, slash == path.npos ? path.npos : slash - begin));
    if (slash == path.npos) return components;
    begin = slash + 1;
  }
}

std::string path_problem(std::string_view path) {
  if (path.empty() || !is_utf8(path)) return "unsafe_path";
  for (char c : path)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\') return "unsafe_path";
  if (path.size() >= 2 && path[1] == ':') return "unsafe_path";
  const auto components = path_components(path);
  for (std::string_view component : components)
    if (component.empty() || component == "." || component == "..") return "unsafe_path";
  if (path.size() > kMaxPathBytes) return "path_too_long";
  for (std::string_view component : components)
    if (component.size() > kMaxComponentBytes) return "path_too_long";
  if (components.size() > kMaxComponents) return "too_deep";
  for (std::string_view component : components)
    if (is_vcs_name(component)) return "vcs";
  for (std::string_view component : components)
    if (component[0] == '.') return "hidden";
  return "";
}

std::string folded_path(std::string_view path) {
  utf8proc_uint8_t* folded = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT |
                                                      UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
  const utf8proc_ssize_t length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(path.data()),
                                               static_cast<utf8proc_ssize_t>(path.size()), &folded, options);
  if (length < 0) return lower_ascii(path);
  std::string result(reinterpret_cast<const char*>(folded), static_cast<size_t>(length));
  std::free(folded);
  return result;
}

std::string_view path_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

std::string_view path_folder(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

std::string_view path_extension(std::string_view path) {
  const std::string_view name = path_name(path);
  const size_t dot = name.rfind('.');
  return dot == name.npos || dot == 0 ? std::string_view() : name.substr(dot);
}

std::string_view path_stem(std::string_view path) {
  const std::string_view name = path_name(path);
  return name.substr(0, name.size() - path_extension(path).size());
}

std::string lower_ascii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::string join_path(std::string_view folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  return name.empty() ? std::string(folder) : fmt::format("{}/{}", folder, name);
}

bool normalise_path(std::string_view path, std::string* result) {
  std::vector<std::string_view> kept;
  if (!path.empty() && path[0] == '/') return false;
  for (std::string_view component : path_components(path)) {
    if (component.empty() || component == ".") continue;
    if (component != "..") {
      kept.push_back(component);
    } else {
      if (kept.empty()) return false;
      kept.pop_back();
    }
  }
  result->clear();
  for (std::string_view component : kept) *result = join_path(*result, component);
  return true;
}

}  // namespace retrace::synth
