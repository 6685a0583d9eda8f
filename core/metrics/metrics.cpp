#include "core/metrics/metrics.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>

#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "core/process/process.h"
#include "core/text.h"

namespace retrace {

namespace {

constexpr const char* kPrefix = "events.out.tfevents.";

double unix_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

bool is_place(const std::string& name) {
  return name == "stage" || name == "round" || name == "step" || name == "global_step" || name == "time";
}

std::string scalars_of(const Json& line, const std::string& where) {
  const auto stage = get<std::string>(line, "stage", where);
  const auto global_step = get<int64_t>(line, "global_step", where);
  const auto time_s = get<double>(line, "time", where);
  std::string records;
  for (const auto& [name, value] : line.items()) {
    if (is_place(name) || !value.is_number()) continue;
    records += tensorboard_scalar_record(time_s, global_step, stage + "/" + name,
                                         static_cast<float>(value.get<double>()));
  }
  return records;
}

}  // namespace

struct Metrics::State {
  explicit State(const fs::path& run_folder)
      : folder(run_folder), lines(std::make_unique<AppendFile>(run_folder / "metrics.jsonl")) {}

  // A new file for each process: TensorBoard joins all of a folder.
  fs::path new_events_path() const {
    static std::atomic<int> count{0};
    return folder / fmt::format("{}{:010}.{}.{}.{}", kPrefix, static_cast<int64_t>(unix_time_s()),
                                host_name(), ::getpid(), count.fetch_add(1));
  }

  void add_scalars(const std::string& records) {
    if (records.empty()) return;
    if (!events) {
      events = std::make_unique<AppendFile>(new_events_path(), AppendFile::Content::bytes);
      events->bytes(tensorboard_version_record(unix_time_s()));
    }
    events->bytes(records);
  }

  // One new event file from what metrics.jsonl holds, instead of all old ones.
  void rewrite_events(const std::vector<Json>& kept) {
    events.reset();
    std::vector<std::string> old;
    for (const std::string& name : list_folder(folder))
      if (name.starts_with(kPrefix)) old.push_back(name);
    std::string records = tensorboard_version_record(unix_time_s());
    for (const Json& line : kept) records += scalars_of(line, "metrics.jsonl");
    const fs::path path = new_events_path();
    write_file(path, records);
    for (const std::string& name : old) remove_file(folder / name);
    events = std::make_unique<AppendFile>(path, AppendFile::Content::bytes);
  }

  fs::path folder;
  std::mutex mutex;
  std::unique_ptr<AppendFile> lines, events;  // events: opened by the first number
};

Metrics::Metrics(const fs::path& run_folder) : state_(std::make_unique<State>(run_folder)) {}
Metrics::~Metrics() = default;

void Metrics::record(const std::string& stage, int64_t round, int64_t step, int64_t global_step,
                     const Json& values) {
  ensure(values.is_object(), "metrics are an object");
  Json line;
  line["stage"] = stage;
  line["round"] = round;
  line["step"] = step;
  line["global_step"] = global_step;
  line["time"] = unix_time_s();
  for (const auto& [name, value] : values.items()) {
    ensure(!value.is_structured() && !is_place(name),
           "metrics are flat and keep clear of stage, round and step");
    line[name] = value;
  }
  std::lock_guard lock(state_->mutex);
  state_->lines->line(to_text(line));
  state_->add_scalars(scalars_of(line, "metrics.jsonl"));
}

void Metrics::truncate(const std::string& stage, int64_t round, int64_t from_step) {
  std::lock_guard lock(state_->mutex);
  const fs::path path = state_->folder / "metrics.jsonl";
  std::vector<Json> kept;
  std::string text;
  size_t dropped = 0;
  for (Json& line : read_jsonl(path)) {
    const std::string where = path.string();
    if (get<std::string>(line, "stage", where) == stage && get<int64_t>(line, "round", where) == round &&
        get<int64_t>(line, "step", where) >= from_step) {
      ++dropped;
      continue;
    }
    text += to_text(line) + "\n";
    kept.push_back(std::move(line));
  }
  if (dropped == 0) return;
  state_->lines.reset();
  write_file(path, text);
  state_->lines = std::make_unique<AppendFile>(path);
  state_->rewrite_events(kept);
  debug("{}: dropped {} lines of {} from round {}, step {} on", path.string(), dropped, stage, round,
        from_step);
}

void Metrics::flush() {
  std::lock_guard lock(state_->mutex);
  state_->lines->sync();
  if (state_->events) state_->events->sync();
}

std::vector<Json> read_jsonl(const fs::path& path) {
  const std::string text = read_file(path);
  std::vector<Json> out;
  size_t number = 0;
  for (std::string_view line : split_lines(text)) {
    ++number;
    if (trim(line).empty()) continue;
    const bool torn = text.back() != '\n' && line.data() + line.size() == text.data() + text.size();
    try {
      out.push_back(parse_json(line, fmt::format("{}:{}", path.string(), number)));
    } catch (const Error&) {
      if (!torn) throw;
    }
  }
  return out;
}

}  // namespace retrace
