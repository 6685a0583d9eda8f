// metrics.jsonl (the truth: one flat object a line) and a TensorBoard event file beside it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"

namespace retrace {

// Writer of both files in a run folder; one process at a time, any thread. A run that continues calls
// truncate(), so that each step leaves one line.
class Metrics {
 public:
  explicit Metrics(const std::filesystem::path& run_folder);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  // stage: "train", "synth", "eval"; round and step place the point; numbers also go to TensorBoard as
  // stage/name. The TensorBoard step is `global_step`.
  void record(const std::string& stage, int64_t round, int64_t step, int64_t global_step, const Json& values);
  // Non-finite numbers are null in metrics.jsonl. `values` must be flat.
  // Drops the lines of this stage and round from `from_step` on; the event files are then made anew from what
  // is left. A crash in between leaves metrics.jsonl whole.
  void truncate(const std::string& stage, int64_t round, int64_t from_step);
  void flush();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// One scalar event in TensorBoard's format (TFRecord framing with masked crc32c around an Event protobuf).
std::string tensorboard_scalar_record(double wall_time_s, int64_t step, const std::string& tag, float value);
std::string tensorboard_version_record(double wall_time_s);
// One value a line. Error{corrupt} with file:line; an unfinished last line (without newline) is left out.
std::vector<Json> read_jsonl(const std::filesystem::path& path);

}  // namespace retrace
