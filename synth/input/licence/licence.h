// Under which licence a repository stands, from SPDX headers, licence files, manifests and the README.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace retrace::synth {

// Collects evidence file by file (also from files that a filter then drops) and judges at the end.
class LicenceEvidence {
 public:
  void observe(std::string_view path, std::string_view text, bool is_source);
  // An SPDX id or expression, or "unknown". Licence files count most; a manifest's expression decides between
  // several of them; then come SPDX headers, and last what the README says.
  std::string verdict() const;

 private:
  std::map<std::string, int> header_ids_;  // SPDX expressions in source files
  int n_sources_ = 0;
  bool or_later_ = false;                                     // a source header allows "any later version"
  std::map<std::string, std::vector<std::string>> file_ids_;  // licence file -> ids in it
  std::map<std::string, std::string> manifest_ids_;
  std::string readme_id_;
};

// The SPDX ids of the licence texts that occur in `text`, by their distinctive sentences; most specific only.
std::vector<std::string> licences_in_text(std::string_view text);

// An SPDX id for the many ways in which manifests name a licence ("MIT License", "Apache 2", "BSD"), or "".
std::string licence_of_name(std::string_view name);

}  // namespace retrace::synth
