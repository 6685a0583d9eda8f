// last-words-RANK.json in the run folder: rank, step, phase and reason, when a rank ends by an error or by a
// signal that a process can hear. SIGKILL leaves none; the ranks that notice say it in theirs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace retrace::train {

// From now on this process has a place for them, and torchrun's error file holds step and phase; removes what
// an earlier process of this rank left, and watches for SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT.
void prepare_last_words(const std::filesystem::path& run_folder, int rank);
void set_last_activity(int64_t step, const char* phase);  // `phase` is a literal
// Does nothing before prepare_last_words; the first reason stands. Never throws.
void write_last_words(const std::string& reason) noexcept;

}  // namespace retrace::train
