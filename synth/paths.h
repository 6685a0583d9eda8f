// Rules for the names that a repository may bring: which are safe to show, store and write on any system.
// Nothing here touches the file system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace retrace::synth {

bool is_utf8(std::string_view bytes);  // strict: no surrogates, no overlong forms

// A path as it may be printed: invalid UTF-8, control bytes and backslashes as \xNN, cut at 300 bytes.
std::string printable_path(std::string_view path);

// Why a path may not enter a snapshot, or "" if it may: "unsafe_path" (absolute, "..", ".", empty component,
// backslash, control byte, bad UTF-8, drive letter), "path_too_long" (component above 255 bytes, path above
// 1024), "too_deep" (more than 64 components), "vcs" (.git and its disguises, .hg, .svn, ...), "hidden".
std::string path_problem(std::string_view path);

// The form under which two paths are the same file on a case-folding or Unicode-normalising system.
std::string folded_path(std::string_view path);

std::vector<std::string_view> path_components(std::string_view path);
std::string_view path_name(std::string_view path);       // after the last '/'
std::string_view path_folder(std::string_view path);     // before it, "" at the top
std::string_view path_extension(std::string_view path);  // with the dot, "" if none; ".gitignore" has none
std::string_view path_stem(std::string_view path);       // name without that extension
std::string lower_ascii(std::string_view text);
std::string join_path(std::string_view folder, std::string_view name);
// Resolves "." and ".." inside the tree; false when it would leave it.
bool normalise_path(std::string_view path, std::string* result);

}  // namespace retrace::synth
