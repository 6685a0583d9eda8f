#include "train/step/trace.h"

#include "core/error.h"
#include "core/log.h"

namespace retrace::train {

const char* phase_name(Phase phase) {
  static constexpr std::array<const char*, kNumPhases> kNames = {"data",     "forward",     "head",
                                                                 "backward", "gather_wait", "reduce_wait",
                                                                 "decision", "optimizer",   "checkpoint"};
  return kNames[static_cast<size_t>(phase)];
}

Trace::Trace(const fs::path& run_folder, int rank, uint64_t max_bytes)
    : path_(run_folder / fmt::format("trace-{}.jsonl", rank)), max_bytes_(max_bytes) {
  born_unix_s_ = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  try {
    open();
  } catch (const Error& error) {
    warn("no trace is written: {}", error.message());
  }
}

void Trace::open() {
  file_ = std::make_unique<AppendFile>(path_);
  std::error_code none;
  size_bytes_ = fs::file_size(path_, none);
}

void Trace::add(Phase phase, Clock::time_point start, double duration_s) {
  Pieces& pieces = pieces_[static_cast<size_t>(phase)];
  if (pieces.count++ == 0) pieces.start = start;
  pieces.duration_s += duration_s;
}

double Trace::busy_s() const {
  return total_s(Phase::data) + total_s(Phase::forward) + total_s(Phase::head) + total_s(Phase::backward);
}

void Trace::end_step(int64_t step) {
  std::string lines;
  for (int p = 0; p < kNumPhases; ++p) {
    const Pieces& pieces = pieces_[static_cast<size_t>(p)];
    if (pieces.count == 0) continue;
    const double start_s = born_unix_s_ + std::chrono::duration<double>(pieces.start - born_).count();
    lines += fmt::format(R"({{"step":{},"phase":"{}","start_s":{:.6f},"duration_s":{:.6f},"count":{}}})",
                         step, phase_name(static_cast<Phase>(p)), start_s, pieces.duration_s, pieces.count);
    lines += '\n';
  }
  pieces_ = {};
  if (!file_ || lines.empty()) return;
  try {
    if (size_bytes_ + lines.size() > max_bytes_) {
      file_.reset();
      fs::rename(path_, path_.string() + ".1");
      open();
    }
    file_->bytes(lines);
    size_bytes_ += lines.size();
  } catch (const std::exception& problem) {
    warn("the trace ends at step {}: {}", step, problem.what());
    file_.reset();
  }
}

}  // namespace retrace::train
