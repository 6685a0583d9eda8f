#include "tests/core/testing.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace retrace::testing {

Captured::Captured(int fd) : fd_(fd), saved_(::dup(fd)) {
  if (fd == STDOUT_FILENO) ::fflush(stdout);
  const int file = ::open((folder_ / "captured").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  REQUIRE(file >= 0);
  REQUIRE(::dup2(file, fd) == fd);
  ::close(file);
}

Captured::~Captured() {
  if (fd_ == STDOUT_FILENO) ::fflush(stdout);
  ::dup2(saved_, fd_);
  ::close(saved_);
}

std::string Captured::text() {
  if (fd_ == STDOUT_FILENO) ::fflush(stdout);
  return slurp(folder_ / "captured");
}

WithVariable::WithVariable(const char* name, const char* value) : name_(name), had_(false) {
  if (const char* old = std::getenv(name)) {
    had_ = true;
    old_ = old;
  }
  if (value == nullptr)
    ::unsetenv(name);
  else
    ::setenv(name, value, 1);
}

WithVariable::~WithVariable() {
  if (had_)
    ::setenv(name_.c_str(), old_.c_str(), 1);
  else
    ::unsetenv(name_.c_str());
}

std::string in_child(const std::function<std::string()>& work) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    std::string text;
    try {
      text = work();
    } catch (const Error& error) {
      text = std::string("thrown: ") + code_name(error.code()) + ": " + error.what();
    } catch (const std::exception& error) {
      text = std::string("thrown: other: ") + error.what();
    }
    const ssize_t written = ::write(ends[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  char piece[4096];
  for (ssize_t got; (got = ::read(ends[0], piece, sizeof piece)) > 0;)
    text.append(piece, static_cast<size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) text += "killed by signal " + std::to_string(WTERMSIG(status));
  return text;
}

pid_t start_child(const std::function<void()>& work) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    try {
      work();
      const char ready = 'r';
      if (::write(ends[1], &ready, 1) == 1)
        while (true) ::pause();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(1);
  }
  ::close(ends[1]);
  char ready = 0;
  const ssize_t got = ::read(ends[0], &ready, 1);
  ::close(ends[0]);
  REQUIRE(got == 1);
  return child;
}

void end_child(pid_t pid, int signal) {
  ::kill(pid, signal);
  ::waitpid(pid, nullptr, 0);
}

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void spill(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  REQUIRE(file.good());
}

}  // namespace retrace::testing
