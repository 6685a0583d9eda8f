// `retrace tokenizer encode|decode|train`.
#include "data/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "data/config.h"
#include "data/tokenizer/tokenizer.h"

namespace retrace::data {

namespace {

constexpr uint64_t kMaxTrainingFile = uint64_t{64} << 20;

void print_all(const std::string& bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0)
    throw Error(Code::io, "cannot write to standard output");
}

int encode(const Call& call) {
  const auto tokenizer = load_tokenizer(call.word(1, "TOKENIZER"));
  call.word(2, "FILE");
  for (size_t i = 2; i < call.words.size(); ++i) {
    std::string line;
    for (TokenId id : tokenizer->encode(read_file(call.words[i]))) {
      if (!line.empty()) line += ' ';
      const fmt::format_int digits(id);
      line.append(digits.data(), digits.size());
    }
    print_all(line + '\n');
  }
  return 0;
}

std::vector<TokenId> parse_ids(const std::string& text, const std::string& file) {
  std::vector<TokenId> ids;
  size_t line = 1, line_start = 0;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      if (c == '\n') {
        ++line;
        line_start = at + 1;
      }
      ++at;
      continue;
    }
    TokenId id = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), id);
    const auto stop = static_cast<size_t>(end - text.data());
    if (error != std::errc() || (stop < text.size() && !std::isspace(static_cast<unsigned char>(text[stop]))))
      throw Error(Code::input, "expected a token id", "ids are whole numbers separated by blanks",
                  fmt::format("{}:{}:{}", file, line, at - line_start + 1));
    ids.push_back(id);
    at = stop;
  }
  return ids;
}

int decode(const Call& call) {
  const auto tokenizer = load_tokenizer(call.word(1, "TOKENIZER"));
  const std::string& file = call.word(2, "FILE");
  print_all(tokenizer->decode(parse_ids(read_file(file), file)));
  return 0;
}

struct Corpus {
  std::vector<std::string> texts;
  int64_t binary = 0, too_large = 0, links = 0, bytes = 0;
};

void add_file(const fs::path& path, Corpus& corpus) {
  if (fs::file_size(path) > kMaxTrainingFile) {
    ++corpus.too_large;
    return;
  }
  std::string bytes = read_file(path);
  if (bytes.find('\0') != std::string::npos) {
    ++corpus.binary;
  } else if (!bytes.empty()) {
    corpus.bytes += static_cast<int64_t>(bytes.size());
    corpus.texts.push_back(std::move(bytes));
  }
}

void add_folder(const fs::path& folder, Corpus& corpus) {
  for (const std::string& name : list_folder(folder)) {
    const fs::path path = folder / name;
    if (fs::is_symlink(path)) {
      ++corpus.links;
    } else if (fs::is_directory(path)) {
      add_folder(path, corpus);
    } else if (fs::is_regular_file(path)) {
      add_file(path, corpus);
    }
  }
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

int train(const Call& call) {
  const TokenizerConfig defaults;
  if (!call.has("out"))
    throw Error(Code::usage, "tokenizer train needs --out DIR", "retrace tokenizer train FOLDER --out DIR");
  call.word(1, "FOLDER or FILE");
  const std::string type = call.option("type", defaults.type);
  if (type != "bpe" && type != "sentencepiece")
    throw Error(Code::usage, fmt::format("unknown tokenizer type '{}'", type), "types: bpe, sentencepiece");
  Corpus corpus;
  for (size_t i = 1; i < call.words.size(); ++i) {
    const fs::path path = call.words[i];
    if (!fs::exists(path)) throw Error(Code::input, "no such file or folder", "", path.string());
    if (fs::is_directory(path)) {
      add_folder(path, corpus);
    } else {
      add_file(path, corpus);
    }
  }
  info("tokenizer: {} files, {}; left out: {} binary, {} above {}, {} links", corpus.texts.size(),
       format_bytes(static_cast<uint64_t>(corpus.bytes)), corpus.binary, corpus.too_large,
       format_bytes(kMaxTrainingFile), corpus.links);
  const int64_t vocab_size = call.integer("vocab-size", defaults.vocab_size);
  const std::vector<std::string> special =
      call.has("special") ? split_commas(call.option("special", "")) : defaults.special;
  const fs::path out = call.option("out", "");
  if (type == "bpe") {
    train_byte_bpe(corpus.texts, vocab_size, special, out);
  } else {
    train_sentencepiece(corpus.texts, vocab_size, "bpe", special, out);
  }
  const auto tokenizer = load_tokenizer(out);
  print_all(fmt::format("{}: {} tokens, fingerprint {}\n", out.string(), tokenizer->vocab_size(),
                        tokenizer->fingerprint()));
  return 0;
}

int run_tokenizer(const Call& call, const Schema&) {
  const std::string& what = call.word(0, "encode, decode or train");
  if (what == "encode") return encode(call);
  if (what == "decode") return decode(call);
  if (what == "train") return train(call);
  throw Error(Code::usage, fmt::format("unknown sub-command 'tokenizer {}'", what),
              "retrace tokenizer encode|decode TOKENIZER FILE, or train FOLDER... --out DIR");
}

}  // namespace

std::vector<Verb> verbs() {
  return {{"tokenizer",
           "encode TOKENIZER FILE..., decode TOKENIZER FILE, or train FOLDER... --out DIR",
           "Ids of files (a line each), bytes of ids, or a new vocabulary",
           {{"out", "DIR", "train: where the tokenizer goes"},
            {"vocab-size", "N", "train: tokens in all, special ones included (default 4096)"},
            {"type", "bpe|sentencepiece", "train: what kind (default bpe)"},
            {"special", "NAMES", "train: special tokens, separated by commas"}},
           false,
           run_tokenizer}};
}

}  // namespace retrace::data
