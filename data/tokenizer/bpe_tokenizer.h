// Byte-level BPE as a Tokenizer: added tokens, normalisation, pre-tokenizer, merging, and back.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/pretokenizer.h"
#include "data/tokenizer/tokenizer.h"

namespace retrace::data {

struct AddedToken {
  TokenId id;
  std::string text;
  bool special = true;      // never made from text
  bool normalized = false;  // not special: looked for after normalisation
};

struct BpeTokenizerParts {
  Bpe bpe;
  std::vector<std::string> patterns;  // of the pre-tokenizer
  bool nfc = false;
  std::vector<AddedToken> added;
  std::string bos, eos;   // names, "" = none
  std::string merges_id;  // what decides merging beside the tokens, for the fingerprint
};

// Promise: decode(encode(x)) == x for all bytes, unless the tokenizer normalises (NFC). An added token that
// its file marks as not special is text like any other and is found in text, as its own library finds it.
std::shared_ptr<const Tokenizer> make_bpe_tokenizer(BpeTokenizerParts parts);

// The readers, given the bytes of a file and its name for messages.
std::shared_ptr<const Tokenizer> load_tiktoken(std::string_view bytes, const std::string& where);
std::shared_ptr<const Tokenizer> load_hf_tokenizer(const std::filesystem::path& tokenizer_json);
std::shared_ptr<const Tokenizer> load_sentencepiece(std::string_view bytes, const std::string& where);
bool looks_like_tiktoken(std::string_view bytes);
// True if tokenizer.json is of a kind that load_hf_tokenizer refuses because it is SentencePiece in HF's
// clothes.
bool is_sentencepiece_in_json(const std::filesystem::path& tokenizer_json);

// Usual names of the special roles, most specific first.
const std::vector<std::string>& usual_bos_names();
const std::vector<std::string>& usual_eos_names();
const std::vector<std::string>& usual_pad_names();

}  // namespace retrace::data
