#include "synth/stage/read_result.h"

#include "core/base64.h"
#include "core/error.h"
#include "synth/hygiene/duplicate_files.h"
#include "synth/hygiene/minhash.h"

namespace retrace::synth {

LedgerRow try_read(const SourceRef& source, const std::function<Snapshot(const SourceRef&)>& take,
                   const ReadResultOptions& wanted) {
  Snapshot snapshot;
  try {
    snapshot = take(source);
  } catch (const Error& error) {
    if (exit_status(error.code()) != 3) throw;
    LedgerRow row;
    row.source = source;
    row.state = "failed";
    row.reason = error.message();
    return row;
  }
  return read_result_of(source, snapshot, wanted);
}

LedgerRow read_result_of(const SourceRef& source, const Snapshot& snapshot, const ReadResultOptions& wanted) {
  LedgerRow row;
  row.source = source;
  row.state = "planned";
  row.tree = snapshot.tree_hash;
  row.signature = repository_signature(snapshot);
  uint64_t size_bytes = 0;
  for (const SourceFile& file : snapshot.files) size_bytes += file.content.size();
  std::map<std::string, int64_t> dropped, redactions;
  for (const Dropped& d : snapshot.dropped) ++dropped[d.reason];
  for (const Redaction& r : snapshot.redactions) ++redactions[r.kind];
  row.read_result = {{"origin", snapshot.origin},     {"kind", snapshot.kind},
                     {"revision", snapshot.revision}, {"licence", snapshot.licence},
                     {"date", snapshot.date},         {"files", snapshot.files.size()},
                     {"size_bytes", size_bytes},      {"languages", snapshot.bytes_by_language},
                     {"dropped_files", dropped},      {"redactions", redactions}};
  if (wanted.cluster_signature)
    row.read_result["cluster_signature"] = to_base64(pack_signature(minhash_signature(snapshot)));
  const std::vector<FileSignature> files = file_signatures(snapshot, wanted.hygiene);
  if (!files.empty()) row.files = to_json(files);
  return row;
}

std::string read_result_line(const LedgerRow& row) {
  return to_text({{"state", row.state},
                  {"reason", row.reason},
                  {"tree", row.tree},
                  {"facts", row.read_result},
                  {"signature", to_base64(row.signature)},
                  {"files", row.files}});
}

LedgerRow read_result_from_line(const SourceRef& source, const std::string& line, const std::string& where) {
  const Json json = parse_json(line, where);
  LedgerRow row;
  row.source = source;
  row.state = get<std::string>(json, "state", where);
  row.reason = get<std::string>(json, "reason", where);
  row.tree = get<std::string>(json, "tree", where);
  row.read_result = get<Json>(json, "facts", where);
  row.signature = from_base64(get<std::string>(json, "signature", where), where);
  row.files = get<Json>(json, "files", where);
  return row;
}

Json to_json(const SourceRef& source) {
  return {{"place", source.place},
          {"source", source.source},
          {"file", source.file},
          {"at", source.at},
          {"size_bytes", source.size_bytes}};
}

SourceRef source_from_json(const Json& json, const std::string& where) {
  return {get<std::string>(json, "place", where),  get<std::string>(json, "source", where),
          get<std::string>(json, "file", where),   get<int64_t>(json, "at", where),
          get<int64_t>(json, "size_bytes", where), ""};
}

}  // namespace retrace::synth
