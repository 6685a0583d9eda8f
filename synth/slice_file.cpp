#include "synth/slice_file.h"

#include "core/error.h"
#include "core/files/files.h"
#include "synth/hygiene/duplicate_files.h"
#include "synth/stage/gathering.h"
#include "synth/stage/read_result.h"

namespace retrace::synth {

namespace {

constexpr const char* kFacts[] = {"origin", "kind", "revision", "licence", "date", "files"};

SourceRef source_of(const Json& json, const std::string& where) {
  const auto name = get<std::string>(json, "source", where);
  const auto tree = get<std::string>(json, "tree_hash", where);
  if (!json.contains("lines")) return {name, name, name, -1, 0, tree};
  SourceRef source = source_from_json(get<Json>(json, "lines", where), where);
  source.stamp = tree;
  return source;
}

LedgerRow read_again(const SourceRef& source, const SnapshotOptions& options) {
  SourceReader reader;
  const LedgerRow row = read_result_of(source, reader.take(source, options));
  if (row.tree != source.stamp) throw changed_since_the_cut(source);
  return row;
}

}  // namespace

Snapshot take_slice_entry(SourceReader& reader, const SliceEntry& entry, const SnapshotOptions& options) {
  Snapshot snapshot = reader.take(entry.row.source, options);
  if (snapshot.tree_hash != entry.row.tree) throw changed_since_the_cut(entry.row.source);
  remove_duplicates(&snapshot, duplicates_from_json(entry.row.duplicates, "slices.json"));
  return snapshot;
}

Json to_json(const SliceEntry& entry) {
  const Json& facts = entry.row.read_result;
  Json out = {{"source", entry.row.source.source}, {"name", entry.name}};
  for (const char* name : {"origin", "kind", "revision", "licence", "date"}) out[name] = facts.at(name);
  out["fold"] = entry.fold;
  out["round"] = entry.round;
  out["cluster"] = entry.cluster;
  out["bytes"] = facts.at("size_bytes");
  for (const char* name : {"files", "languages", "dropped_files", "redactions"}) out[name] = facts.at(name);
  out["tree_hash"] = entry.row.tree;
  if (!entry.row.duplicates.is_null()) out["duplicate_files"] = entry.row.duplicates;
  if (entry.row.source.at >= 0) out["lines"] = to_json(entry.row.source);
  return out;
}

bool slices_are_selected(const fs::path& file) {
  return get_or<bool>(parse_json(read_file(file), file.string()), "hygiene", false, file.string());
}

void each_slice_entry(const fs::path& file, const SnapshotOptions& options,
                      const std::function<void(const SliceEntry&)>& use) {
  const std::string where = file.string();
  const Json json = parse_json(read_file(file), where);
  for (const Json& r : get<Json>(json, "repositories", where)) {
    SliceEntry entry;
    entry.name = get<std::string>(r, "name", where);
    entry.fold = get<std::string>(r, "fold", where);
    entry.round = get<int>(r, "round", where);
    entry.cluster = get<int>(r, "cluster", where);
    const SourceRef source = source_of(r, where);
    if (r.contains("origin")) {
      entry.row.source = source;
      entry.row.tree = source.stamp;
      for (const char* name : kFacts) entry.row.read_result[name] = get<Json>(r, name, where);
      entry.row.read_result["size_bytes"] = get<Json>(r, "bytes", where);
      for (const char* name : {"languages", "dropped_files", "redactions"})
        entry.row.read_result[name] = get<Json>(r, name, where);
      if (r.contains("duplicate_files")) entry.row.duplicates = r["duplicate_files"];
    } else {
      entry.row = read_again(source, options);
    }
    entry.row.state = "planned";
    use(entry);
  }
}

}  // namespace retrace::synth
