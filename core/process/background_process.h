// A program that runs beside this one.
#pragma once

#include <map>
#include <optional>
#include <string>

namespace retrace {

// Run by /bin/sh, with its output in a file. Whatever ends this process, also
// SIGKILL, ends the program's whole process group.
class BackgroundProcess {
 public:
  // Error{input} if there is no shell, Error{io} if `log` cannot be written.
  BackgroundProcess(const std::string& command, const std::string& log,
                    const std::map<std::string, std::string>& environment = {});
  ~BackgroundProcess();  // stop(0)
  BackgroundProcess(const BackgroundProcess&) = delete;
  BackgroundProcess& operator=(const BackgroundProcess&) = delete;
  std::optional<int> ended() const;  // its exit status, once it has ended
  // SIGTERM to the group, SIGKILL to what is left of it when the program has ended or grace_s has passed.
  void stop(double grace_s);

 private:
  int pid_ = 0, lifeline_ = -1;
};

}  // namespace retrace
