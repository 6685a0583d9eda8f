// Opening files below a folder without ever leaving it: every component by openat with O_NOFOLLOW.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace retrace::synth {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// A folder that the user named; a link in this one name is the user's own and is followed.
Descriptor open_root(const std::string& folder);
// A folder or a regular file below `root_fd`; empty (errno set) if it is missing, a link, or of another kind.
Descriptor folder_beneath(int root_fd, std::string_view path);
Descriptor file_beneath(int root_fd, std::string_view path);
// At most max_bytes + 1 bytes, so that the caller sees when there was more. Empty on a read error.
std::optional<std::string> read_at_most(int file_fd, uint64_t max_bytes);

}  // namespace retrace::synth
