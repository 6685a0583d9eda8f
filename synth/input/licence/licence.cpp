#include "synth/input/licence/licence.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

bool is_expression_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '+' || c == ' ' || c == '(' || c == ')';
}

std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\"'");
  if (first == text.npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\"',") - first + 1));
}

// "SPDX-License-Identifier: MIT OR Apache-2.0 */" -> "MIT OR Apache-2.0", looked for near the top only.
std::string spdx_header(std::string_view text) {
  constexpr std::string_view kTag = "SPDX-License-Identifier:";
  const size_t at = text.substr(0, 4096).find(kTag);
  if (at == text.npos) return "";
  size_t end = at + kTag.size();
  while (end < text.size() && is_expression_byte(text[end])) ++end;
  std::string expression = trimmed(text.substr(at + kTag.size(), end - at - kTag.size()));
  while (!expression.empty() && (expression.back() == '-' || expression.back() == ' ')) expression.pop_back();
  return expression.size() > 100 ? "" : expression;
}

// An SPDX expression stays as written; anything else goes through the table of names.
std::string id_of_manifest_value(const std::string& value) {
  const bool expression = value.find(" OR ") != value.npos || value.find(" AND ") != value.npos ||
                          value.find(" WITH ") != value.npos;
  if (expression && value.size() <= 100 && std::all_of(value.begin(), value.end(), is_expression_byte))
    return value;
  const std::string lower = lower_ascii(value);
  for (const char* suffix : {"-only", "-or-later"})
    if (lower.find("gpl-") != lower.npos && lower.find(suffix) != lower.npos && value.size() < 24)
      return value;
  if (value.find('/') != value.npos && value.size() <= 60) {
    const std::string left = licence_of_name(value.substr(0, value.find('/')));
    const std::string right = licence_of_name(value.substr(value.find('/') + 1));
    if (!left.empty() && !right.empty()) return left + " OR " + right;
  }
  return value.size() <= 200 ? licence_of_name(value) : "";
}

std::string package_json_licence(std::string_view text) {
  try {
    const Json manifest = parse_json(text, "package.json", {1 << 20, 64});
    if (!manifest.is_object() || !manifest.contains("license")) return "";
    const Json& value = manifest["license"];
    if (value.is_string()) return id_of_manifest_value(value.get<std::string>());
    if (value.is_object() && value.contains("type") && value["type"].is_string())
      return id_of_manifest_value(value["type"].get<std::string>());
  } catch (const Error&) {
    return "";  // a broken manifest of a stranger is no evidence
  }
  return "";
}

// Lines `license = "MIT"`, `license = { text = "MIT" }`, `license='MIT'`, `License: MIT` and trove
// classifiers.
std::string key_value_licence(std::string_view text) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (const size_t at = line.find("License :: "); at != line.npos) {
      const std::string_view last = line.substr(line.rfind(":: ") + 3);
      if (std::string id = licence_of_name(last); !id.empty()) return id;
      continue;
    }
    const size_t key = line.find_first_not_of(" \t");
    if (key == line.npos || line.size() > 300) continue;
    const std::string word = lower_ascii(line.substr(key, 18));
    size_t value = key;
    if (word.substr(0, 18) == "license-expression")
      value += 18;
    else if (word.substr(0, 7) == "license" || word.substr(0, 7) == "licence")
      value += 7;
    else
      continue;
    const size_t sign = line.find_first_not_of(" \t", value);
    if (sign == line.npos || (line[sign] != '=' && line[sign] != ':')) continue;
    std::string_view rest = line.substr(sign + 1);
    if (const size_t brace = rest.find('{'); brace != rest.npos) {
      const size_t named = rest.find("text", brace);
      if (named == rest.npos) continue;
      rest = rest.substr(rest.find('=', named) == rest.npos ? named : rest.find('=', named) + 1);
      rest = rest.substr(0, rest.find('}'));
    }
    if (std::string id = id_of_manifest_value(trimmed(rest)); !id.empty()) return id;
  }
  return "";
}

std::string pom_licence(std::string_view text) {
  const size_t block = text.find("<licenses>");
  if (block == text.npos) return "";
  const size_t name = text.find("<name>", block);
  const size_t end = text.find("</name>", block);
  if (name == text.npos || end == text.npos || end < name) return "";
  return id_of_manifest_value(trimmed(text.substr(name + 6, end - name - 6)));
}

bool is_licence_file(std::string_view path) {
  const std::string lower = lower_ascii(path);
  const std::string_view folder = path_folder(lower), name = path_name(lower);
  if (folder == "licenses") return true;
  if (!folder.empty()) return false;
  for (std::string_view start : {"license", "licence", "copying", "copyright", "unlicense", "mit-license"})
    if (name.substr(0, start.size()) == start) return true;
  return false;
}

std::string with_gpl_suffix(const std::string& id, bool or_later) {
  if (id.find("GPL-") == id.npos || id.find("-only") != id.npos || id.find("-or-later") != id.npos) return id;
  return id + (or_later ? "-or-later" : "-only");
}

}  // namespace

void LicenceEvidence::observe(std::string_view path, std::string_view text, bool is_source) {
  if (is_source) {
    ++n_sources_;
    if (std::string id = spdx_header(text); !id.empty()) ++header_ids_[id];
    or_later_ = or_later_ || text.substr(0, 4096).find("later version") != text.npos;
  }
  const std::string name = lower_ascii(path_name(path));
  if (is_licence_file(path) && !is_source) {
    auto ids = licences_in_text(text);
    if (ids.empty())
      if (std::string id = spdx_header(text); !id.empty()) ids.push_back(id);
    if (!ids.empty()) file_ids_[std::string(path)] = ids;
  }
  if (!path_folder(path).empty()) return;
  std::string id;
  if (name == "package.json") id = package_json_licence(text);
  if (name == "cargo.toml" || name == "pyproject.toml" || name == "setup.py" || name == "setup.cfg" ||
      name == "pkg-info")
    id = key_value_licence(text);
  if (name == "pom.xml") id = pom_licence(text);
  if (!id.empty()) manifest_ids_[name] = id;
  if (name.substr(0, 6) == "readme" && readme_id_.empty()) {
    const auto ids = licences_in_text(text);
    if (!ids.empty()) readme_id_ = ids[0];
  }
}

std::string LicenceEvidence::verdict() const {
  std::set<std::string> from_files;
  for (const auto& [path, ids] : file_ids_) from_files.insert(ids.begin(), ids.end());
  const std::string manifest = manifest_ids_.empty() ? "" : manifest_ids_.begin()->second;
  std::string best_header;
  int n_best = 0;
  for (const auto& [id, count] : header_ids_)
    if (count > n_best) best_header = id, n_best = count;
  if (n_best * 2 > n_sources_) return best_header;
  if (from_files.size() == 1) {
    const std::string& id = *from_files.begin();
    const bool same_family = manifest.substr(0, id.size()) == id;
    return with_gpl_suffix(same_family ? manifest : id, or_later_);
  }
  if (from_files.size() > 1) {
    if (!manifest.empty()) return with_gpl_suffix(manifest, or_later_);
    std::string all;
    for (const auto& id : from_files) all += (all.empty() ? "" : " AND ") + with_gpl_suffix(id, or_later_);
    return all;
  }
  if (!manifest.empty()) return with_gpl_suffix(manifest, or_later_);
  if (!best_header.empty()) return best_header;
  return readme_id_.empty() ? "unknown" : with_gpl_suffix(readme_id_, or_later_);
}

}  // namespace retrace::synth
