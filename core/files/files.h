// Files and folders: reading with limits, and writing that a crash cannot tear.
// Every write of the program goes through this seam, so that tests can fail the Nth operation.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/files/file_seam.h"

namespace retrace {

// Whole file as bytes. Error{input} if it is missing or a folder, Error{corrupt} above `max_bytes`.
std::string read_file(const fs::path& path, uint64_t max_bytes = uint64_t{1} << 40);

// Temp file in the same folder, write, fsync, rename, fsync of the folder: readers see old or new, never
// half. Creates missing parent folders. Error{io} (status 75) when the disk is full.
void write_file(const fs::path& path, std::string_view bytes);
// The same without fsync: readers see old or new, but a power cut may bring the old one back. For heartbeats
// and queues, not for results.
void publish_file(const fs::path& path, std::string_view bytes);

// Appends whole lines with one write(2) each; when opened, drops a torn last line and says so. A line that
// did not fit on the disk leaves no trace. Thread-safe; one process at a time. Used for *.jsonl.
class AppendFile {
 public:
  enum class Content { lines, bytes };  // bytes: no last line to repair
  explicit AppendFile(const fs::path& path, Content content = Content::lines);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  void line(std::string_view text);   // adds the newline
  void bytes(std::string_view text);  // as it stands, for formats with their own framing
  void sync();                        // fsync

 private:
  void append(std::string_view text);
  fs::path path_;
  int fd_ = -1;
  std::mutex mutex_;
};

// A file written in pieces, then published: nothing is visible under `path` until commit().
class StagedFile {
 public:
  explicit StagedFile(const fs::path& path);
  ~StagedFile();  // without commit(): the temp file is removed
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;
  void write(std::string_view bytes);
  uint64_t size_bytes() const { return size_bytes_; }
  void commit();   // fsync, rename, fsync of the folder
  void publish();  // commit() without the two fsyncs

 private:
  fs::path path_, temp_;
  int fd_ = -1;
  uint64_t size_bytes_ = 0;
};

void make_folders(const fs::path& path);  // and their parents, each made durable
void remove_file(const fs::path& path);   // a missing file is no error
void remove_tree(const fs::path& path);   // a file, or a folder with all in it; missing is no error
void rename_durably(const fs::path& from, const fs::path& to);  // rename + fsync of the parent folder
void sync_folder(const fs::path& path);
// Sorted names of the entries of a folder (files and folders), without "." and "..".
std::vector<std::string> list_folder(const fs::path& path);
// Removes what killed writers left in this folder (not below it). Only for whoever holds the folder alone.
void remove_temp_files(const fs::path& path);

// A read-only memory map of a file. The file must not shrink meanwhile: the kernel answers that with SIGBUS.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace retrace
