// A file that exactly one process can create, naming its owner. The base of RunLock and of the folder
// coordinator. Made by link() where the file system has hard links, else by exclusive creation; never by
// byte-range locks.
//
// Non-promise: an owner on another host that is frozen for longer than the caller's patience and then goes on
// does not know that it lost the lock until it asks still_ours().
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace retrace {

enum class OwnerState {
  gone,     // of this host and boot, and its process has ended
  alive,    // of this host and boot, and running (or stopped)
  unknown,  // of another host or process namespace, or unreadable
};

// What a lock file says, and how old it was when read.
struct LockContent {
  std::string text;
  int64_t modified_ns = 0;
  bool operator==(const LockContent&) const = default;
};

class LockFile {
 public:
  // None if somebody has it.
  static std::optional<LockFile> try_create(const std::filesystem::path& path);
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile();  // removes the file, if it is still ours and this is the process that made it

  bool still_ours() const;
  void beat();  // changes the content and the time of modification, for observers on other hosts

  static std::optional<LockContent> read(const std::filesystem::path& path);
  static OwnerState owner_state(const std::string& text);
  static std::string owner_text(const std::string& text);  // "process 12 on host a, since ..."
  // Removes a lock that the caller has found stale, iff it still has this content.
  static void break_stale(const std::filesystem::path& path, const LockContent& seen);

 private:
  LockFile(std::filesystem::path path, int fd, std::string text);
  std::filesystem::path path_;
  int fd_ = -1;
  std::string text_;
  uint64_t beats_ = 0;
};

}  // namespace retrace
