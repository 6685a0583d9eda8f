#include "synth/input/beneath.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "synth/paths.h"

namespace retrace::synth {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor open_root(const std::string& folder) {
  return Descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

Descriptor folder_beneath(int root_fd, std::string_view path) {
  Descriptor at(::openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (path.empty()) return at;
  for (std::string_view component : path_components(path)) {
    if (!at || component.empty() || component == "..") return Descriptor();
    at = Descriptor(
        ::openat(at.get(), std::string(component).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  return at;
}

Descriptor file_beneath(int root_fd, std::string_view path) {
  const Descriptor folder = folder_beneath(root_fd, path_folder(path));
  const std::string_view name = path_name(path);
  if (!folder || name.empty() || name == "..") return Descriptor();
  Descriptor file(
      ::openat(folder.get(), std::string(name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return Descriptor();
  return file;
}

std::optional<std::string> read_at_most(int file_fd, uint64_t max_bytes) {
  std::string bytes;
  char buffer[1 << 16];
  while (bytes.size() <= max_bytes) {
    const ssize_t count = ::read(file_fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    bytes.append(buffer, static_cast<size_t>(count));
  }
  if (bytes.size() > max_bytes) bytes.resize(max_bytes + 1);
  return bytes;
}

}  // namespace retrace::synth
