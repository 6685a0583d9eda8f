// What the tests of all rooms share: a folder that goes away, and the error that something throws.
#pragma once

#include <stdlib.h>  // mkdtemp

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <functional>
#include <string>

#include "core/error.h"

namespace retrace::tests {

namespace fs = std::filesystem;

// A fresh folder, removed with all that is in it at the end. No assertion of the test's: any thread and any
// child process may make one.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (fs::temp_directory_path() / "retrace-test-XXXXXX").string();
    ensure(::mkdtemp(pattern.data()) != nullptr, "a temporary folder can be made");
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const fs::path& path() const { return path_; }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

// The Error that `work` throws; fails the test if it throws none.
inline Error error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  return Error(Code::internal, "");
}

}  // namespace retrace::tests
