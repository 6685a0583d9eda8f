// Llama-3's tokenizer.model: one line a token, base64 of its bytes, a space, its rank. The pattern and the
// special tokens are not in the file; they are those of Meta's llama3 code (models/llama3 tokenizer).
#include <array>

#include "core/error.h"
#include "data/tokenizer/bpe_tokenizer.h"

namespace retrace::data {

namespace {

constexpr size_t kLlama3Ranks = 128000, kLlama3Special = 256, kMaxRanks = size_t{1} << 22;

std::array<int8_t, 256> base64_values() {
  std::array<int8_t, 256> table;
  table.fill(-1);
  const std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < digits.size(); ++i)
    table[static_cast<unsigned char>(digits[i])] = static_cast<int8_t>(i);
  return table;
}

// Strict: whole quartets, padding only at the end. False if it is not base64.
bool decode_base64(std::string_view text, std::string& out) {
  static const std::array<int8_t, 256> values = base64_values();
  out.clear();
  if (text.empty() || text.size() % 4 != 0) return false;
  size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  for (size_t at = 0; at < text.size(); at += 4) {
    uint32_t word = 0;
    const size_t pad_here = at + 4 == text.size() ? padding : 0;
    for (size_t i = 0; i < 4; ++i) {
      const int value = i >= 4 - pad_here ? 0 : values[static_cast<unsigned char>(text[at + i])];
      if (value < 0) return false;
      word = word << 6 | static_cast<uint32_t>(value);
    }
    for (size_t i = 0; i < 3 - pad_here; ++i) out += static_cast<char>(word >> (16 - 8 * i) & 0xFF);
  }
  return true;
}

struct Line {
  std::string bytes;
  size_t rank = 0;
};

bool parse_line(std::string_view text, Line& line) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos || !decode_base64(text.substr(0, space), line.bytes)) return false;
  const std::string_view digits = text.substr(space + 1);
  if (digits.empty() || digits.size() > 8) return false;
  line.rank = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return false;
    line.rank = line.rank * 10 + static_cast<size_t>(c - '0');
  }
  return true;
}

// The order of Meta's code: ten named ones in front, reserved ones up to 256 in all.
std::vector<std::string> llama3_special_names() {
  std::vector<std::string> names = {"<|begin_of_text|>", "<|end_of_text|>"};
  size_t reserved = 0;
  auto reserve = [&](size_t count) {
    for (size_t i = 0; i < count; ++i)
      names.push_back(fmt::format("<|reserved_special_token_{}|>", reserved++));
  };
  reserve(4);
  names.insert(names.end(), {"<|start_header_id|>", "<|end_header_id|>"});
  reserve(1);
  names.push_back("<|eot_id|>");
  reserve(kLlama3Special - names.size());
  return names;
}

}  // namespace

bool looks_like_tiktoken(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  Line line;
  return end != std::string_view::npos && end < 4096 && parse_line(bytes.substr(0, end), line);
}

std::shared_ptr<const Tokenizer> load_tiktoken(std::string_view bytes, const std::string& where) {
  std::vector<std::string> tokens;
  Line line;
  for (size_t number = 1; !bytes.empty(); ++number) {
    const size_t end = bytes.find('\n');
    std::string_view text = bytes.substr(0, end);
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
    if (text.empty()) continue;
    if (!parse_line(text, line) || line.rank != tokens.size() || tokens.size() >= kMaxRanks)
      throw Error(Code::corrupt, fmt::format("expected a base64 token and rank {}", tokens.size()),
                  "the file is damaged or no tiktoken file; fetch it again",
                  fmt::format("{}:{}", where, number));
    tokens.push_back(line.bytes);
  }
  if (tokens.size() != kLlama3Ranks)
    throw Error(
        Code::input, fmt::format("a tiktoken file with {} ranks", tokens.size()),
        "only Llama-3's (128,000 ranks) is known: other files do not say their pattern and special tokens; "
        "use a tokenizer.json",
        where);
  try {
    std::vector<AddedToken> added;
    const auto first = static_cast<TokenId>(tokens.size());
    for (const std::string& name : llama3_special_names())
      added.push_back({first + static_cast<TokenId>(added.size()), name, true, false});
    return make_bpe_tokenizer({Bpe::from_ranks(std::move(tokens)),
                               {kLlama3Pattern},
                               false,
                               std::move(added),
                               "<|begin_of_text|>",
                               "<|end_of_text|>",
                               "ranks"});
  } catch (Error& error) {
    throw error.in(where);
  }
}

}  // namespace retrace::data
