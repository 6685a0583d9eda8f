// A disk in memory that replays logged operations and forgets, as a power cut would, what was not synced: any
// bytes of a file before its fsync, any entry of a folder before the folder's fsync, each alone or together.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/files/file_seam.h"

namespace retrace::train::testing {

class DiskModel {
 public:
  // `root` stands for an empty folder that is durable. Operations outside of it are ignored.
  explicit DiskModel(std::filesystem::path root) : root_(std::move(root)) { inodes_.push_back({true}); }
  void add(const FileOperation& operation);  // thread-safe by the caller
  size_t size() const { return log_.size(); }

  // Which syncs count: all, or one kind forgotten, to see that the model would notice.
  enum class Syncs { all, no_fsync, no_folder_fsync };

  // Relative path -> content ("/" for a folder) of what a cut after the first `prefix` operations may leave:
  // nothing lost, everything unsynced lost, each unsynced operation lost alone or kept alone, only the first
  // so many kept, and all kept in reversed order.
  using Tree = std::map<std::string, std::string>;
  void each_outcome(size_t prefix, Syncs syncs, const std::function<void(const Tree&)>& visit) const;

 private:
  enum class Kind { data, cut, entry, move, remove, sync, sync_folder };
  struct Logged {
    Kind kind;
    size_t inode = 0;   // data, cut, sync; entry and move: what is named; sync_folder: the folder
    size_t folder = 0;  // entry, move (to), remove
    std::string name = {};
    size_t old_folder = 0;  // move
    std::string old_name = {};
    uint64_t offset = 0;
    std::string bytes = {};
  };
  struct Inode {
    bool folder = false;
    std::map<std::string, size_t> entries = {};  // as a running system sees it
    uint64_t size = 0;
  };
  struct Place {
    size_t folder;
    std::string name;
  };
  Place place_of(const std::filesystem::path& path) const;
  bool inside(const std::filesystem::path& path) const;
  bool synced(size_t index, size_t prefix, Syncs syncs) const;
  Tree replay(const std::vector<size_t>& order) const;

  std::filesystem::path root_;
  std::vector<Inode> inodes_;
  std::vector<Logged> log_;
};

}  // namespace retrace::train::testing
