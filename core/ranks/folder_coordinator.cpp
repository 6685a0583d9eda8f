// A coordinator in a shared folder. Each key is a file, replaced by rename; changes of a key take turns by a
// lock file that names its owner. A lock is held for a few system calls; one left by a dead process of this
// host is broken at once, one of another host after kLockPatience_s without change.
//
// Leases are counted by the file system's clock (times of modification), so that hosts need no common clock.
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/poll.h"
#include "core/ranks/coordinator.h"
#include "core/ranks/lock_file.h"

namespace retrace {

namespace {

constexpr double kLockPatience_s = 10, kLockTimeout_s = 120;

// One file name for each key, also where upper and lower case are one: all but a-z, 0-9, '_' and '-' becomes
// %xx, and what is too long for a file name becomes a hash.
std::string file_name_of(const std::string& key) {
  constexpr size_t kLongest = 180;
  std::string name;
  for (char c : key) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (plain)
      name += c;
    else
      name += fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  if (name.empty()) return "%empty";
  return name.size() <= kLongest ? name : "%sha-" + sha256_hex(key);
}

double modified_s(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return 0;
  return static_cast<double>(status.st_mtim.tv_sec) + static_cast<double>(status.st_mtim.tv_nsec) * 1e-9;
}

class FolderCoordinator : public Coordinator {
 public:
  explicit FolderCoordinator(const fs::path& folder) : folder_(folder) { make_folders(folder); }

  std::optional<std::string> get(const std::string& key) override { return read(value_path(key)); }

  void set(const std::string& key, const std::string& value) override {
    const LockFile lock = take_lock(lock_path(key));
    publish(lock, value_path(key), value);
  }

  bool compare_and_set(const std::string& key, const std::optional<std::string>& expected,
                       const std::string& desired) override {
    const LockFile lock = take_lock(lock_path(key));
    if (read(value_path(key)) != expected) return false;
    publish(lock, value_path(key), desired);
    return true;
  }

  std::string wait(const std::string& key, double timeout_s) override {
    if (auto value = poll_until({.timeout_s = timeout_s}, [&] { return get(key); })) return *value;
    fail(Code::distributed, "waited {:.1f} s for the key '{}' in {} in vain", timeout_s, key,
         folder_.string());
  }

  bool lease(const std::string& key, const std::string& holder, double ttl_s) override {
    const LockFile lock = take_lock(lock_path(key));
    const fs::path path = lease_path(key);
    if (const auto text = read(path)) {
      const Json lease = parse_json(*text, path.string());
      const double end_s = modified_s(path) + get_field<double>(lease, "ttl_s", path);
      if (get_field<std::string>(lease, "holder", path) != holder && modified_s(lock_path(key)) < end_s)
        return false;
    }
    Json lease;
    lease["holder"] = holder;
    lease["ttl_s"] = ttl_s;
    publish(lock, path, to_text(lease));
    return true;
  }

  void release(const std::string& key, const std::string& holder) override {
    const LockFile lock = take_lock(lock_path(key));
    const fs::path path = lease_path(key);
    const auto text = read(path);
    if (text && get_field<std::string>(parse_json(*text, path.string()), "holder", path) == holder)
      remove_file(path);
  }

 private:
  template <class T>
  static T get_field(const Json& object, const char* name, const fs::path& path) {
    return retrace::get<T>(object, name, path.string());
  }

  fs::path value_path(const std::string& key) const { return folder_ / (file_name_of(key) + ".value"); }
  fs::path lease_path(const std::string& key) const { return folder_ / (file_name_of(key) + ".lease"); }
  fs::path lock_path(const std::string& key) const { return folder_ / (file_name_of(key) + ".lock"); }

  static std::optional<std::string> read(const fs::path& path) {
    std::error_code error;
    if (!fs::exists(path, error)) return std::nullopt;
    try {
      return read_file(path);
    } catch (const Error& failure) {
      if (!fs::exists(path, error)) return std::nullopt;  // released meanwhile
      throw;
    }
  }

  static void publish(const LockFile& lock, const fs::path& path, const std::string& text) {
    if (!lock.still_ours())
      fail(Code::distributed, "this process was frozen so long that its lock on {} expired", path.string());
    publish_file(path, text);
  }

  static LockFile take_lock(const fs::path& path) {
    const auto start = Clock::now();
    auto unchanged_since = start;
    std::optional<LockContent> last;
    auto taken = poll_until({}, [&]() -> std::optional<LockFile> {
      if (auto lock = LockFile::try_create(path)) return lock;
      const auto content = LockFile::read(path);
      if (content != last) {
        last = content;
        unchanged_since = Clock::now();
      }
      if (content) {
        const OwnerState state = LockFile::owner_state(content->text);
        const bool silent = elapsed_s(unchanged_since) > kLockPatience_s;
        if (state == OwnerState::gone || (state == OwnerState::unknown && silent))
          LockFile::break_stale(path, *content);
        if (elapsed_s(start) > kLockTimeout_s)
          fail(Code::distributed, "{} holds {} for too long", LockFile::owner_text(content->text),
               path.string());
      }
      return std::nullopt;
    });
    return std::move(*taken);
  }

  fs::path folder_;
};

}  // namespace

std::unique_ptr<Coordinator> make_folder_coordinator(const fs::path& folder) {
  return std::make_unique<FolderCoordinator>(folder);
}

}  // namespace retrace
