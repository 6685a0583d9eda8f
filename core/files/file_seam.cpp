#include "core/files/file_seam.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "core/error.h"

namespace retrace {

namespace {

// A function that tests set and any thread calls.
template <class Function>
class Hook {
 public:
  void set(Function function) {
    std::lock_guard lock(mutex_);
    function_ = std::move(function);
    set_ = static_cast<bool>(function_);
  }
  template <class... Args>
  void call(const Args&... args) {
    if (!set_.load(std::memory_order_relaxed)) return;
    Function copy;
    {
      std::lock_guard lock(mutex_);
      copy = function_;
    }
    if (copy) copy(args...);
  }

 private:
  std::mutex mutex_;
  Function function_;
  std::atomic<bool> set_{false};
};

Hook<FileOperationHook>& before() {
  static Hook<FileOperationHook> hook;
  return hook;
}

Hook<FileLog>& after() {
  static Hook<FileLog> hook;
  return hook;
}

}  // namespace

void set_file_operation_hook(FileOperationHook hook) {
  before().set(std::move(hook));
}

void announce_file_operation(const char* operation, const fs::path& path) {
  before().call(operation, path);
}

void set_file_log(FileLog log) {
  after().set(std::move(log));
}

void note_file_operation(const FileOperation& done) {
  after().call(done);
}

void fail_with_errno(const char* doing, const fs::path& path, int number) {
  const std::string reason = std::strerror(number);
  const std::string message = fmt::format("cannot {} {}: {}", doing, path.string(), reason);
  switch (number) {
    case ENOSPC:
    case EDQUOT:
      throw Error(Code::io, message,
                  "free some disk space and start again; nothing that was complete is lost");
    case EFBIG:
      throw Error(Code::io, message, "the file size limit of this process or file system is reached");
    case EMFILE:
    case ENFILE:
      throw Error(Code::io, message, "raise the limit of open files (ulimit -n)");
    case EACCES:
    case EPERM:
    case EROFS:
      throw Error(Code::input, message, "choose a place that this user may use");
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case EEXIST:
    case ENOTEMPTY:
    case EINVAL:
      throw Error(Code::input, message);
    default:
      throw Error(Code::io, message);
  }
}

}  // namespace retrace
