#include "data/tokenizer/tokenizer_files.h"

#include "core/files/files.h"

namespace retrace::data {

std::vector<std::string> tokenizer_file_names(TokenizerFiles which) {
  std::vector<std::string> names = {kTokenizerJson, kTokenizerConfig, kSpecialTokensMap, kTokenizerModel};
  if (which == TokenizerFiles::all)
    for (const char* name : {"added_tokens.json", "chat_template.jinja", "chat_template.json"})
      names.emplace_back(name);
  return names;
}

std::vector<std::pair<std::string, std::string>> read_tokenizer_files(const fs::path& folder,
                                                                      TokenizerFiles which) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const std::string& name : tokenizer_file_names(which))
    if (fs::is_regular_file(folder / name)) files.emplace_back(name, read_file(folder / name));
  return files;
}

void copy_tokenizer_files(const fs::path& from, const fs::path& to, TokenizerFiles which,
                          const std::vector<std::string>& more) {
  for (const auto& [name, bytes] : read_tokenizer_files(from, which)) write_file(to / name, bytes);
  for (const std::string& name : more)
    if (fs::is_regular_file(from / name)) write_file(to / name, read_file(from / name));
}

bool has_tokenizer(const fs::path& folder) {
  return fs::exists(folder / kTokenizerJson) || fs::exists(folder / kTokenizerModel);
}

}  // namespace retrace::data
