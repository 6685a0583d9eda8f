// Which reader a path needs, told by content.
#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/tokenizer_files.h"

namespace retrace::data {

namespace {

constexpr uint64_t kMaxModelBytes = uint64_t{512} << 20;

std::shared_ptr<const Tokenizer> load_file(const fs::path& path) {
  const std::string where = path.string();
  const std::string bytes = read_file(path, kMaxModelBytes);
  if (bytes.empty()) throw Error(Code::corrupt, "the tokenizer file is empty", "", where);
  const size_t text = bytes.find_first_not_of(" \t\r\n");
  if (text != std::string::npos && bytes[text] == '{') return load_hf_tokenizer(path);
  if (bytes.compare(0, 4, "GGUF") == 0)
    throw Error(Code::input, "this is a GGUF model, not a tokenizer",
                "retrace import FILE.gguf DIR writes both", where);
  if (looks_like_tiktoken(bytes)) return load_tiktoken(bytes, where);
  return load_sentencepiece(bytes, where);
}

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  if (!fs::exists(path))
    throw Error(Code::input, "no such tokenizer file or folder",
                "a tokenizer.json or tokenizer.model is expected", path.string());
  if (!fs::is_directory(path)) return load_file(path);
  const fs::path json = path / kTokenizerJson, model = path / kTokenizerModel;
  if (fs::exists(json)) {
    if (fs::exists(model) && is_sentencepiece_in_json(json)) {
      info("{}: a SentencePiece tokenizer; reading tokenizer.model", path.string());
      return load_file(model);
    }
    return load_file(json);
  }
  if (fs::exists(model)) return load_file(model);
  throw Error(Code::input, "the folder holds no tokenizer.json and no tokenizer.model", "", path.string());
}

}  // namespace retrace::data
