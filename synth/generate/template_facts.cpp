#include "synth/generate/template_facts.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/text.h"
#include "synth/record/plan_table.h"
#include "synth/record/prose.h"
#include "synth/skeleton/cuts.h"

namespace retrace::synth {

namespace {

constexpr size_t kMaxSignature = 120, kMaxDocstring = 100;

bool all_shown(std::string_view text, const std::vector<std::string_view>& shown) {
  for (const std::string_view word : identifiers_of(text))
    if (!std::binary_search(shown.begin(), shown.end(), word)) return false;
  return true;
}

std::string without_stop(std::string text) {
  while (!text.empty() && (text.back() == '.' || text.back() == ':')) text.pop_back();
  return text;
}

// Symbols of the byte spans that the agent observed before the step.
void gather_readings(const SlotRequest& request, FileFacts& facts) {
  const Trajectory& t = *request.trajectory;
  std::set<std::string> paths;
  std::set<std::pair<int, std::string>> known;
  for (int64_t seq = request.step->seq - 1; seq >= 0; --seq) {
    const Step& step = t.steps[static_cast<size_t>(seq)];
    if (step.agent != request.step->agent) break;
    if (step.kind != Kind::observe) continue;
    const Body& body = step.body;
    if (paths.insert(t.tree[static_cast<size_t>(body.file)].path).second)
      facts.read.push_back(t.tree[static_cast<size_t>(body.file)].path);
    const std::string reading = t.body_text(step);
    const std::vector<std::string_view> shown = identifiers_of(reading);
    for (const Symbol& s : request.structure->files[static_cast<size_t>(body.file)].symbols) {
      if (s.begin < body.begin || s.begin >= body.end || !all_shown(s.signature + " " + s.name, shown))
        continue;
      if (!known.insert({body.file, s.name}).second) continue;
      std::string docstring = first_sentence(s.docstring, kMaxDocstring);
      if (!all_shown(docstring, shown)) docstring.clear();
      facts.seen.push_back({body.file, s.name, s.kind, s.signature, without_stop(std::move(docstring))});
    }
  }
  std::reverse(facts.read.begin(), facts.read.end());
}

}  // namespace

std::string signature_text(const std::string& signature) {
  const std::string clean = shorten(replace_all(fit_for_slot(signature), "`", "'"), kMaxSignature);
  return ticked(replace_all(clean, "\n", " "));
}

FileFacts gather_facts(const SlotRequest& request) {
  const Trajectory& t = *request.trajectory;
  FileFacts facts;
  const std::vector<size_t> place = places_in_order(t);
  const auto file = static_cast<size_t>(request.file);
  facts.path = t.tree[file].path;
  facts.purpose = without_stop(t.plan[place[file]].purpose);
  for (int needed : shown_dependencies(t, request.file)) {
    const auto index = static_cast<size_t>(needed);
    (place[index] < place[file] ? facts.written : facts.pending).push_back(t.tree[index].path);
  }
  for (const Dependency& d : t.dependencies) {
    if (d.to != request.file) continue;
    const std::vector<int> shown = shown_dependencies(t, d.from);
    if (std::find(shown.begin(), shown.end(), request.file) != shown.end())
      facts.users.push_back(t.tree[static_cast<size_t>(d.from)].path);
  }
  if (request.step->kind == Kind::think && !request.before_reading) gather_readings(request, facts);
  return facts;
}

std::vector<std::string> context_facts(const SlotRequest& request, const FileFacts& facts) {
  const Trajectory& t = *request.trajectory;
  std::vector<std::string> out;
  for (const SeenSymbol& s : facts.seen) {
    out.push_back(fmt::format("{} is there already, as {}.", ticked(s.name), signature_text(s.signature)));
    if (!s.docstring.empty())
      out.push_back(fmt::format("Of {} its author says: {}.", ticked(s.name), s.docstring));
  }
  const std::vector<size_t> place = places_in_order(t);
  for (int needed : shown_dependencies(t, request.file)) {
    const auto index = static_cast<size_t>(needed);
    out.push_back(fmt::format("The plan says of {}: {}.", ticked(t.tree[index].path),
                              without_stop(t.plan[place[index]].purpose)));
  }
  for (const std::string& user : facts.users)
    out.push_back(fmt::format("{} will depend on what I write here.", ticked(user)));
  const std::string folder = facts.path.substr(0, facts.path.rfind('/') + 1);
  std::vector<std::string> beside;
  for (const TreeFile& f : t.tree)
    if (f.path != facts.path && f.path.substr(0, f.path.rfind('/') + 1) == folder)
      beside.push_back(ticked(f.path));
  if (!beside.empty()) out.push_back("In the same folder: " + list_of(beside, 4) + ".");
  return out;
}

std::vector<std::string> outline_facts(const SlotRequest& request) {
  const FileStructure& structure = request.structure->files[static_cast<size_t>(request.file)];
  std::vector<std::string> out;
  std::map<std::string, std::vector<std::string>> by_kind;
  for (const Symbol& s : structure.symbols) by_kind[s.kind].push_back(ticked(s.name));
  for (const auto& [kind, names] : by_kind)
    out.push_back(fmt::format("It needs {} of the kind {}: {}.", names.size(), kind, list_of(names, 6)));
  for (const Symbol& s : structure.symbols) {
    out.push_back(fmt::format("I will define {} as {}.", ticked(s.name), signature_text(s.signature)));
  }
  std::vector<std::string> imports;
  for (const std::string& name : structure.imports) imports.push_back(ticked(name));
  if (!imports.empty()) out.push_back("It uses " + list_of(imports, 6) + ".");
  return out;
}

}  // namespace retrace::synth
