#include "synth/generate/template_project.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "core/text.h"
#include "synth/record/plan_table.h"
#include "synth/record/prose.h"

namespace retrace::synth {

namespace {

constexpr size_t kMaxModules = 8, kMaxNames = 6, kMaxReadme = 280;

// The first sentence of prose in a README: titles, badges, links and markup lines are passed over.
std::string readme_sentence(const Trajectory& t) {
  for (const TreeFile& file : t.tree) {
    const std::string lower = to_lower(file.path);
    if (!lower.starts_with("readme")) continue;
    std::string prose;
    for (std::string_view line : split_lines(t.blobs.at(file.blob))) {
      const std::string_view bare = trim(line);
      const bool markup =
          !bare.empty() && std::string_view("#=-~*!<[:.|`>^+").find(bare[0]) != std::string_view::npos;
      prose += markup || line.starts_with("    ") ? "\n" : std::string(bare) + "\n";
    }
    for (size_t at = 0; at < prose.size();) {
      const size_t end = std::min(prose.size(), prose.find("\n\n", at));
      const std::string_view paragraph = std::string_view(prose).substr(at, end - at);
      at = end + 2;
      const std::string sentence = first_sentence(paragraph, kMaxReadme);
      if (std::count(sentence.begin(), sentence.end(), ' ') >= 4) return sentence;
    }
  }
  return "";
}

std::map<int, size_t> count_users(const Trajectory& t) {
  std::map<int, size_t> users;
  for (const Dependency& d : t.dependencies) ++users[d.to];
  return users;
}

std::vector<int> most_used(const Trajectory& t) {
  std::map<int, size_t> users = count_users(t);
  std::vector<int> files = t.order;
  std::stable_sort(files.begin(), files.end(), [&](int a, int b) { return users[a] > users[b]; });
  return files;
}

// Examples and tests say little of what the project offers.
bool is_aside(const Trajectory& t, int file) {
  const std::string path = to_lower(t.tree[static_cast<size_t>(file)].path);
  return path.find("example") != std::string::npos || path.find("test") != std::string::npos;
}

std::string path_of(const Trajectory& t, int file) {
  return ticked(t.tree[static_cast<size_t>(file)].path);
}

}  // namespace

std::string project_name(const Trajectory& t) {
  std::string name = t.origin;
  for (bool again = true; again;) {
    again = false;
    for (const char* suffix : {".tar", ".gz", ".xz", ".bz2", ".zst", ".tgz", ".zip", ".orig", ".git"})
      if (name.size() > std::string_view(suffix).size() && name.ends_with(suffix)) {
        name.erase(name.size() - std::string_view(suffix).size());
        again = true;
      }
  }
  return ticked(name);
}

Lines requirement_lines(const SlotRequest& request) {
  const Trajectory& t = *request.trajectory;
  Lines out;
  const std::string about = readme_sentence(t);
  if (!about.empty()) out.push_back("In the words of its readme: " + about);
  std::map<std::string, size_t> languages, folders;
  for (const TreeFile& file : t.tree) {
    if (!file.language.empty()) ++languages[file.language];
    const size_t slash = file.path.find('/');
    if (slash != std::string::npos) ++folders[file.path.substr(0, slash)];
  }
  std::vector<std::string> parts;
  for (const auto& [language, count] : languages)
    parts.push_back(fmt::format("{} ({})", language, counted(count, "file", "files")));
  if (!parts.empty()) out.push_back("Languages: " + list_of(parts, parts.size()) + ".");
  parts.clear();
  for (const auto& [folder, count] : folders)
    parts.push_back(fmt::format("{} ({})", ticked(folder + "/"), counted(count, "file", "files")));
  if (!parts.empty()) out.push_back("Top folders: " + list_of(parts, kMaxModules) + ".");
  const std::vector<size_t> place = places_in_order(t);
  Lines modules;
  for (int file : most_used(t)) {
    const PlanLine& line = t.plan[place[static_cast<size_t>(file)]];
    if (line.source != "docstring" || modules.size() >= kMaxModules || is_aside(t, file)) continue;
    modules.push_back("- " + line.purpose);
  }
  if (!modules.empty()) out.push_back("It should offer:");
  out.insert(out.end(), modules.begin(), modules.end());
  return out;
}

Lines plan_lines(const SlotRequest& request) {
  const Trajectory& t = *request.trajectory;
  Lines out;
  std::vector<std::string> alone, hubs, cycles;
  for (int file : t.order)
    if (dependencies_of(t, file, true).empty()) alone.push_back(path_of(t, file));
  std::map<int, size_t> users = count_users(t);
  for (int file : most_used(t))
    if (users[file] >= 2) hubs.push_back(fmt::format("{} (by {})", path_of(t, file), users[file]));
  for (const Dependency& d : t.dependencies)
    if (d.broken)
      cycles.push_back(
          fmt::format("{} is written before {}, though it needs it", path_of(t, d.from), path_of(t, d.to)));
  if (!alone.empty()) out.push_back("Without needs inside the project: " + list_of(alone, kMaxNames) + ".");
  if (!hubs.empty()) out.push_back("Most needed: " + list_of(hubs, kMaxNames) + ".");
  if (!cycles.empty()) out.push_back("Cycles had to be cut: " + list_of(cycles, kMaxNames) + ".");
  if (!t.order.empty())
    out.push_back(fmt::format("The first file is {}, the last {}.", path_of(t, t.order.front()),
                              path_of(t, t.order.back())));
  return out;
}

Lines review_lines(const SlotRequest& request) {
  const Trajectory& t = *request.trajectory;
  Lines out;
  size_t reads = 0, writes = 0, broken = 0;
  for (const Step& step : t.steps) {
    reads += step.kind == Kind::read;
    writes += step.kind == Kind::write;
  }
  for (const Dependency& d : t.dependencies) broken += d.broken;
  out.push_back(fmt::format("It took {} and {}.", counted(writes, "write", "writes"),
                            counted(reads, "read of earlier files", "reads of earlier files")));
  out.push_back(broken == 0
                    ? "No dependency had to be written after its user."
                    : fmt::format("{} written after the file that uses it; those are the places to look "
                                  "at again.",
                                  counted(broken, "dependency was", "dependencies were")));
  return out;
}

}  // namespace retrace::synth
