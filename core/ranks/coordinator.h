// Agreement between processes: a small store with compare-and-set, waiting, and leases that expire.
// Forms: in-process and shared folder (here), TCPStore (train/ranks/tcp_coordinator.h).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace retrace {

class Coordinator {
 public:
  virtual ~Coordinator() = default;
  virtual std::optional<std::string> get(const std::string& key) = 0;
  virtual void set(const std::string& key, const std::string& value) = 0;
  // Sets `desired` iff the current value equals `expected` (nullopt: the key is absent). True if it did.
  virtual bool compare_and_set(const std::string& key, const std::optional<std::string>& expected,
                               const std::string& desired) = 0;
  // Blocks until the key exists and returns its value. Error{distributed} naming the key after timeout_s.
  virtual std::string wait(const std::string& key, double timeout_s) = 0;
  // Takes or renews a lease for `holder`: true if `holder` holds it for the next ttl_s seconds.
  virtual bool lease(const std::string& key, const std::string& holder, double ttl_s) = 0;
  virtual void release(const std::string& key, const std::string& holder) = 0;
};

std::unique_ptr<Coordinator> make_in_process_coordinator();
// Files in `folder`, safe on shared file systems (exclusive create + rename; no byte-range locks).
std::unique_ptr<Coordinator> make_folder_coordinator(const std::filesystem::path& folder);

}  // namespace retrace
