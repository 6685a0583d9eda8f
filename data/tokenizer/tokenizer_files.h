// The files of a tokenizer on disk, for whoever copies one beside a model.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace retrace::data {

inline constexpr const char* kTokenizerJson = "tokenizer.json";
inline constexpr const char* kTokenizerModel = "tokenizer.model";  // tiktoken ranks or SentencePiece
inline constexpr const char* kTokenizerConfig = "tokenizer_config.json";
inline constexpr const char* kSpecialTokensMap = "special_tokens_map.json";

// core: the four above; all: also what the Hub keeps for added tokens and chat templates.
enum class TokenizerFiles { core, all };

std::vector<std::string> tokenizer_file_names(TokenizerFiles which);
// (name, bytes) of those that the folder has.
std::vector<std::pair<std::string, std::string>> read_tokenizer_files(const std::filesystem::path& folder,
                                                                      TokenizerFiles which);
// Writes those that `from` has into `to`, and files with the names `more`.
void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to,
                          TokenizerFiles which, const std::vector<std::string>& more = {});
// Whether the folder has one that load_tokenizer() reads ids from.
bool has_tokenizer(const std::filesystem::path& folder);

}  // namespace retrace::data
