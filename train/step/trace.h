// Where the time of each step went on this rank: totals for the step's metrics, and trace-RANK.jsonl in the
// run folder, one line a phase of a step: {"step", "phase", "start_s" (Unix time of the first piece),
// "duration_s" (all pieces), "count"}. At most two files of kMaxTraceBytes each. A disk that does not take
// the trace stops the trace, not the training.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/files/files.h"

namespace retrace::train {

// forward, head and backward are computing alone; the waits are for the transfers that they need.
enum class Phase { data, forward, head, backward, gather_wait, reduce_wait, decision, optimizer, checkpoint };
inline constexpr int kNumPhases = 9;
const char* phase_name(Phase phase);

inline constexpr uint64_t kMaxTraceBytes = uint64_t{32} << 20;

class Trace {
 public:
  Trace(const std::filesystem::path& run_folder, int rank, uint64_t max_bytes = kMaxTraceBytes);

  void add(Phase phase, Clock::time_point start, double duration_s);
  double total_s(Phase phase) const {
    return pieces_[static_cast<size_t>(phase)].duration_s;
  }  // of this step
  // Computing and reading of this step: what does not depend on the other ranks.
  double busy_s() const;
  void end_step(int64_t step);  // writes the step's lines and begins the next

  // Times the rest of a scope; without a trace nothing.
  class Span {
   public:
    Span(Trace* trace, Phase phase) : trace_(trace), phase_(phase) {}
    ~Span() {
      if (trace_) trace_->add(phase_, start_, elapsed_s(start_));
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    Trace* trace_;
    Phase phase_;
    Clock::time_point start_ = Clock::now();
  };

 private:
  struct Pieces {
    Clock::time_point start;
    double duration_s = 0;
    int64_t count = 0;
  };
  void open();

  std::filesystem::path path_;
  uint64_t max_bytes_, size_bytes_ = 0;
  std::unique_ptr<AppendFile> file_;
  std::array<Pieces, kNumPhases> pieces_;
  Clock::time_point born_ = Clock::now();
  double born_unix_s_ = 0;
};

}  // namespace retrace::train
