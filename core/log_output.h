// What the logger and the progress line share: standard error, one writer at a time, and at most one live
// line at its end. For core/log.cpp and core/progress.cpp only.
#pragma once

#include <mutex>
#include <string>

namespace retrace::log_output {

std::recursive_mutex& mutex();  // held by every caller of the functions below
bool colours();                 // a terminal, and NO_COLOR is empty or unset
void print_line(const std::string& line);
void show_live_line(const std::string& line);  // cut to the width of the terminal; "" removes it

}  // namespace retrace::log_output
