// The log of every answer of a generator or scorer, by request: nothing is paid twice, and a run replays from
// it bit for bit. A request is its method, path and body, never the endpoint's address or the key.
//
// One process owns a database. Each repository has a file of its own, written by whoever holds its lease;
// when the stage is published the files are merged into one, which later runs only read.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace retrace::model {

struct Usage {
  int64_t prompt_tokens = 0, completion_tokens = 0;
  Usage& operator+=(const Usage& other);
  int64_t total() const { return prompt_tokens + completion_tokens; }
};

struct StoredAnswer {
  int status = 200;  // of HTTP; 0: no answer that could be kept, `body` says why
  std::string body;
  Usage usage;
};

std::string request_hash(const std::string& method, const std::string& path, const std::string& body);

class Evidence {
 public:
  explicit Evidence(const std::filesystem::path& published);  // read if it is there
  ~Evidence();
  void open(const std::filesystem::path& file);  // a repository's file, made or continued
  void close();

  // The n-th answer (attempt 0, 1, ...) to a request.
  std::optional<StoredAnswer> find(const std::string& hash, int attempt);
  // Notes what a request may cost before it is sent, so that a killed process cannot forget it...
  int64_t will_spend(const std::string& role, const Usage& most);
  // ... and what it did cost: with its answer, or without one.
  void record(const std::string& hash, int attempt, const StoredAnswer& answer, int64_t spending);
  void settle(int64_t spending, const Usage& actual);

  std::string root() const;  // hash over all answers used since open()
  Usage used() const;        // what those cost, whenever that was paid

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What the databases say was spent by "generator" or "scorer"; missing files count nothing.
std::map<std::string, Usage> spent_in(const std::vector<std::filesystem::path>& databases);
// Adds `items` to `published` (which may be absent); readers see old or new. Merging twice changes nothing.
void merge_evidence(const std::filesystem::path& published, const std::vector<std::filesystem::path>& items);

}  // namespace retrace::model
