#include "synth/stage/finished.h"

#include "core/files/files.h"

namespace retrace::synth {

Json done_json(const RecordMaker& maker, const std::string& key) {
  return {{"key", key},
          {"scorer", maker.scorer_name()},
          {"weights", maker.weights_name()},
          {"writer", maker.writer_weights()}};
}

std::optional<Json> finished_summary(const fs::path& out, const RecordMaker& maker, const std::string& key) {
  const auto read_json = [&](const char* name) { return parse_json(read_file(out / name), name); };
  if (!fs::exists(out / "done.json")) return std::nullopt;
  const Json done = read_json("done.json");
  if (get<std::string>(done, "key", "done.json") != key) return std::nullopt;
  if (get_or<std::string>(done, "weights", "", "done.json") != maker.weights_name()) return std::nullopt;
  if (maker.searches() && get<std::string>(done, "scorer", "done.json") != maker.scorer_name())
    return std::nullopt;
  const std::string writer = get_or<std::string>(done, "writer", "", "done.json");
  if (!maker.writer_weights().empty() && writer != maker.writer_weights()) return std::nullopt;
  return read_json("summary.json");
}

}  // namespace retrace::synth
