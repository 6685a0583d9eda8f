// A corpus as JSONL: one file a line, {"repository", "path", "content"} and optionally "licence"; the files
// of a repository stand together.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "synth/input/source.h"
#include "synth/input/source_list.h"

namespace retrace::synth {

bool is_jsonl_name(const std::filesystem::path& file);  // .jsonl or .jsonl.zst

// Its repositories in order. Error{corrupt} naming file and line if a line is no such object.
void list_jsonl(const std::string& file, const UseSource& use);

// The lines of one repository as a source of files. Above max_jsonl_bytes: Error{input}.
inline constexpr uint64_t kMaxJsonlRepositoryBytes = uint64_t{256} << 20;
class JsonlSource : public Source {
 public:
  JsonlSource(std::string lines, std::string where);
  std::string kind() const override { return "jsonl"; }
  std::vector<SourceEntry> list(const SourceLimits& limits) override;
  void read(const std::vector<bool>& wanted, const SourceLimits& limits, const Receive& receive) override;
  const std::string& licence() const { return licence_; }  // of the first line that names one
  const std::string& repository() const { return repository_; }

 private:
  template <class Use>
  void each_line(Use use) const;
  std::string lines_, where_, licence_, repository_;
};

}  // namespace retrace::synth
