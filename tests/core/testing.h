// What the tests of core share: a folder that goes away, captured standard streams, work in a child process.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>

#include "core/error.h"
#include "tests/shared.h"

namespace retrace::testing {

namespace fs = std::filesystem;

using tests::error_of;
using tests::TempFolder;

// Redirects file descriptor 1 or 2 into a file while it lives.
class Captured {
 public:
  explicit Captured(int fd);
  ~Captured();
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  std::string text();

 private:
  TempFolder folder_;
  int fd_, saved_;
};

// Sets an environment variable while it lives; nullptr unsets it.
class WithVariable {
 public:
  WithVariable(const char* name, const char* value);
  ~WithVariable();
  WithVariable(const WithVariable&) = delete;
  WithVariable& operator=(const WithVariable&) = delete;

 private:
  std::string name_, old_;
  bool had_;
};

// Runs `work` in a forked process and returns its text; what it throws comes back as "thrown: CODE: TEXT".
std::string in_child(const std::function<std::string()>& work);
// A forked process that runs `work` and then waits to be killed.
pid_t start_child(const std::function<void()>& work);
void end_child(pid_t pid, int signal);

std::string slurp(const fs::path& path);  // plain read, not through core/files/files.h
void spill(const fs::path& path, const std::string& text);

}  // namespace retrace::testing
