// A folder, walked by descriptors (openat): no symbolic link is followed, no name is resolved twice.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"
#include "synth/input/beneath.h"
#include "synth/input/source.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

constexpr int kMaxDepth = 64;

std::vector<std::string> names_in(int folder_fd) {
  std::vector<std::string> names;
  const int copy = ::openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (stream == nullptr) {
    if (copy >= 0) ::close(copy);
    return names;
  }
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

class FolderSource : public Source {
 public:
  explicit FolderSource(std::filesystem::path folder)
      : folder_(std::move(folder)), root_(open_root(folder_.string())) {
    if (!root_)
      throw Error(Code::input, fmt::format("cannot open the folder: {}", std::strerror(errno)), "",
                  folder_.string());
  }

  std::string kind() const override { return "folder"; }

  std::vector<SourceEntry> list(const SourceLimits& limits) override {
    entries_.clear();
    walk(root_.get(), "", 0, limits);
    return entries_;
  }

  void read(const std::vector<bool>& wanted, const SourceLimits& limits, const Receive& receive) override {
    for (size_t i = 0; i < entries_.size(); ++i)
      if (wanted[i]) receive(i, read_one(entries_[i].path, limits.max_file_bytes));
  }

 private:
  void add(const std::string& path, const std::string& problem, const struct stat* info,
           const SourceLimits& limits) {
    if (entries_.size() >= limits.max_entries)
      throw Error(Code::input, fmt::format("more than {} entries", limits.max_entries),
                  "name a smaller folder", folder_.string());
    SourceEntry entry;
    entry.path = path;
    entry.problem = problem;
    if (info != nullptr) {
      entry.size_bytes = static_cast<uint64_t>(std::max<off_t>(info->st_size, 0));
      entry.mode = info->st_mode & 0111 ? 0755 : 0644;
    }
    entries_.push_back(std::move(entry));
  }

  void walk(int folder_fd, const std::string& folder, int depth, const SourceLimits& limits) {
    for (const std::string& name : names_in(folder_fd)) {
      const std::string path = join_path(folder, name);
      struct stat info {};
      if (::fstatat(folder_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        add(path, "unreadable", nullptr, limits);
      } else if (S_ISLNK(info.st_mode)) {
        add(path, "symlink", nullptr, limits);
      } else if (S_ISREG(info.st_mode)) {
        add(path, "", &info, limits);
      } else if (!S_ISDIR(info.st_mode)) {
        add(path, "special_file", nullptr, limits);
      } else if (const std::string problem = path_problem(path); problem == "vcs" || problem == "hidden") {
        add(path, problem, nullptr, limits);
      } else if (depth + 1 >= kMaxDepth) {
        add(path, "too_deep", nullptr, limits);
      } else {
        const Descriptor inner(
            ::openat(folder_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!inner)
          add(path, "unreadable", nullptr, limits);
        else
          walk(inner.get(), path, depth + 1, limits);
      }
    }
  }

  // Walks down again from the root, so that a link put there meanwhile is not followed.
  std::string read_one(const std::string& path, uint64_t max_bytes) const {
    const Descriptor file = file_beneath(root_.get(), path);
    if (!file)
      throw Error(Code::input, "the file cannot be read, or changed while the folder was read",
                  "check its permissions, and that nothing writes into the folder",
                  (folder_ / path).string());
    auto bytes = read_at_most(file.get(), max_bytes);
    if (!bytes)
      throw Error(Code::io, fmt::format("read error: {}", std::strerror(errno)), "",
                  (folder_ / path).string());
    return std::move(*bytes);
  }

  std::filesystem::path folder_;
  Descriptor root_;
  std::vector<SourceEntry> entries_;
};

}  // namespace

std::unique_ptr<Source> open_folder(const std::filesystem::path& folder) {
  return std::make_unique<FolderSource>(folder);
}

}  // namespace retrace::synth
