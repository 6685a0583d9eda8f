// The one tokenizer interface: bytes to ids and back. Text never becomes a special token; those are asked for
// by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retrace::data {

using TokenId = int32_t;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Ids of arbitrary bytes (invalid UTF-8 included), never a special id. decode(encode(x)) == x for
  // byte-level BPE. Error{input} on a byte that the vocabulary lacks (SmolLM2 has no token for 21 of the 256,
  // e.g. 0x1D): whoever packs counts such a document as dropped.
  virtual std::vector<TokenId> encode(std::string_view bytes) const = 0;
  // Bytes of ids; special tokens give their text, or nothing if skip_special. Error{input} on an id out of
  // range.
  virtual std::string decode(const std::vector<TokenId>& ids, bool skip_special = false) const = 0;
  virtual int64_t vocab_size() const = 0;                                   // special tokens included
  virtual std::optional<TokenId> special(std::string_view name) const = 0;  // "<|eot_id|>" -> id
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  // Hash of everything that decides ids; equal tokenizers have equal fingerprints.
  virtual const std::string& fingerprint() const = 0;
};

// A file (Llama-3 tokenizer.model, HF tokenizer.json, SentencePiece .model: told apart by content) or a
// folder that holds one of them (tokenizer.json first). Error{input} or Error{corrupt} with the file's name.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& path);

// Trains a byte-level BPE on texts (GPT-2 style merges, Llama-3 pre-tokeniser), deterministic, ties by
// smaller pair. `special` names become the last ids, in order. Writes tokenizer.json (+
// tokenizer_config.json) into `folder`.
void train_byte_bpe(const std::vector<std::string>& texts, int64_t vocab_size,
                    const std::vector<std::string>& special, const std::filesystem::path& folder);
// Trains a SentencePiece model (type "bpe" or "unigram", byte fallback) and writes folder/tokenizer.model.
void train_sentencepiece(const std::vector<std::string>& texts, int64_t vocab_size, const std::string& type,
                         const std::vector<std::string>& special, const std::filesystem::path& folder);

}  // namespace retrace::data
