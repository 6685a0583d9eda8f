#include <map>

#include "synth/structure_json.h"

namespace retrace::synth {

Json structure_json(const Snapshot& snapshot, const Structure& structure) {
  auto path = [&](int file) { return snapshot.files[static_cast<size_t>(file)].path; };
  Json json = {{"origin", snapshot.origin},
               {"kind", snapshot.kind},
               {"licence", snapshot.licence},
               {"tree_hash", snapshot.tree_hash}};
  json["files"] = Json::array();
  for (int file : structure.order) {
    const SourceFile& source = snapshot.files[static_cast<size_t>(file)];
    const FileStructure& found = structure.files[static_cast<size_t>(file)];
    json["files"].push_back({{"path", source.path},
                             {"language", source.language},
                             {"bytes", source.content.size()},
                             {"parsed", found.parsed},
                             {"errors", found.has_errors},
                             {"symbols", found.symbols.size()}});
  }
  json["edges"] = Json::array();
  for (const Edge& edge : structure.edges)
    json["edges"].push_back({{"from", path(edge.from)},
                             {"to", path(edge.to)},
                             {"hard", edge.hard},
                             {"broken", edge.broken},
                             {"line", edge.line},
                             {"names", edge.names}});
  std::map<std::string, int> dropped, redactions;
  for (const auto& one : snapshot.dropped) ++dropped[one.reason];
  for (const auto& one : snapshot.redactions) ++redactions[one.kind];
  json["dropped"] = dropped;
  json["redactions"] = redactions;
  json["unresolved_imports"] = structure.unresolved_imports;
  json["external_imports"] = structure.external_imports;
  return json;
}

}  // namespace retrace::synth
