// The seam between core/files and the file system: tests see every operation before it happens and after it
// succeeded. Null hooks (the default) cost one branch an operation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

namespace retrace {

namespace fs = std::filesystem;

// Called before each operation ("open", "write", "fsync", "rename", "fsync_folder", "mkdir", "unlink",
// "rmdir") with its path, a rename's being the new name; "unlink" is not called for temp files that an error
// leaves behind. May throw to simulate a fault: fail_with_errno makes the error that the kernel's would be.
using FileOperationHook = std::function<void(const char* operation, const fs::path& path)>;
void set_file_operation_hook(FileOperationHook hook);
// For code that must write by itself, such as lock files: calls the hook.
void announce_file_operation(const char* operation, const fs::path& path);

// An operation that changed the disk: "create", "write" (appends bytes), "truncate" (to size_bytes), "fsync",
// "rename", "fsync_folder", "mkdir", "unlink", "rmdir".
struct FileOperation {
  const char* name;
  const fs::path& path;
  const fs::path* from = nullptr;  // of a rename
  std::string_view bytes = {};     // of a write
  uint64_t size_bytes = 0;         // of a truncation
};
// Called after each success, in the order in which the kernel was asked if one thread writes.
using FileLog = std::function<void(const FileOperation&)>;
void set_file_log(FileLog log);
void note_file_operation(const FileOperation& done);

// What a failed call is as an Error: "cannot DOING PATH: REASON" and what to do about it.
[[noreturn]] void fail_with_errno(const char* doing, const fs::path& path, int number);

}  // namespace retrace
