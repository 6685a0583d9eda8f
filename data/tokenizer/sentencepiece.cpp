// SentencePiece behind the Tokenizer interface, and training through the library. Its headers stay in this
// file. Not promised: the bytes back where the model normalises (NFKC, squeezed blanks) or the text is not
// UTF-8; the models trained here normalise nothing.
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/log.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/tokenizer_files.h"
#include "data/utf8.h"

namespace retrace::data {

namespace {

class SentencePiece : public Tokenizer {
 public:
  SentencePiece(std::string_view bytes, const std::string& where) {
    const auto status = processor_.LoadFromSerializedProto({bytes.data(), bytes.size()});
    if (!status.ok() || processor_.GetPieceSize() <= 0)
      throw Error(Code::corrupt,
                  "no tokenizer of a known kind (tokenizer.json, tiktoken ranks, SentencePiece)",
                  "the file is damaged or of another kind; fetch it again", where);
    for (int id = 0; id < processor_.GetPieceSize(); ++id)
      if (processor_.IsControl(id)) names_[processor_.IdToPiece(id)] = id;
    fingerprint_ = sha256_hex("sentencepiece " + sha256_hex(bytes));
  }

  std::vector<TokenId> encode(std::string_view bytes) const override {
    std::vector<int> ids;
    const auto status = processor_.Encode({bytes.data(), bytes.size()}, &ids);
    if (!status.ok()) fail(Code::internal, "SentencePiece could not encode: {}", status.message());
    for (int id : ids) ensure(!processor_.IsControl(id), "SentencePiece makes no control token from text");
    return ids;
  }

  // Stretches between control tokens are decoded one by one, as they were encoded.
  std::string decode(const std::vector<TokenId>& ids, bool skip_special) const override {
    std::string out;
    std::vector<int> stretch;
    auto flush = [&] {
      std::string text;
      const auto status = processor_.Decode(stretch, &text);
      if (!status.ok()) fail(Code::internal, "SentencePiece could not decode: {}", status.message());
      out += text;
      stretch.clear();
    };
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < 0 || ids[i] >= processor_.GetPieceSize())
        fail(Code::input, "id {} at place {} is not in the vocabulary of {}", ids[i], i,
             processor_.GetPieceSize());
      if (processor_.IsControl(ids[i])) {
        flush();
        if (!skip_special) out += processor_.IdToPiece(ids[i]);
      } else {
        stretch.push_back(ids[i]);
      }
    }
    flush();
    return out;
  }

  int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  std::optional<TokenId> special(std::string_view name) const override {
    auto found = names_.find(name);
    return found == names_.end() ? std::nullopt : std::optional<TokenId>(found->second);
  }
  std::optional<TokenId> bos() const override { return role(processor_.bos_id()); }
  std::optional<TokenId> eos() const override { return role(processor_.eos_id()); }
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  static std::optional<TokenId> role(int id) { return id < 0 ? std::nullopt : std::optional<TokenId>(id); }

  sentencepiece::SentencePieceProcessor processor_;
  std::map<std::string, TokenId, std::less<>> names_;
  std::string fingerprint_;
};

// The lines of the texts, each with its line feed; invalid UTF-8 is left out, since the library refuses it.
class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(const std::vector<std::string>& texts) : texts_(texts) { Next(); }
  bool done() const override { return done_; }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }
  void Next() override {
    do {
      line_.clear();
      while (text_ < texts_.size() && at_ >= texts_[text_].size()) {
        ++text_;
        at_ = 0;
      }
      if (text_ == texts_.size()) {
        done_ = true;
        return;
      }
      const std::string_view rest = std::string_view(texts_[text_]).substr(at_, kMaxLine);
      const size_t feed = rest.find('\n');
      const std::string_view line = rest.substr(0, feed == std::string_view::npos ? feed : feed + 1);
      const size_t valid = valid_utf8_prefix(line);
      line_ = line.substr(0, valid);
      at_ += valid < line.size() ? valid + invalid_utf8_prefix(line.substr(valid)) : line.size();
    } while (line_.empty());
  }

 private:
  static constexpr size_t kMaxLine = 16384;  // bytes; a longer line is fed in parts
  const std::vector<std::string>& texts_;
  size_t text_ = 0, at_ = 0;
  std::string line_;
  bool done_ = false;
};

std::string take_role(std::vector<std::string>& names, const std::vector<std::string>& usual) {
  for (const std::string& name : usual) {
    auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) continue;
    names.erase(found);
    return name;
  }
  return "";
}

}  // namespace

std::shared_ptr<const Tokenizer> load_sentencepiece(std::string_view bytes, const std::string& where) {
  return std::make_shared<SentencePiece>(bytes, where);
}

void train_sentencepiece(const std::vector<std::string>& texts, int64_t vocab_size, const std::string& type,
                         const std::vector<std::string>& special, const std::filesystem::path& folder) {
  if (type != "bpe" && type != "unigram")
    fail(Code::recipe, "SentencePiece type '{}' is not bpe or unigram", type);
  std::vector<std::string> control = special;
  const std::string bos = take_role(control, usual_bos_names()), eos = take_role(control, usual_eos_names()),
                    pad = take_role(control, usual_pad_names());
  std::string joined;
  for (const std::string& name : control) {
    if (name.find(',') != std::string::npos || name.empty())
      fail(Code::recipe, "SentencePiece cannot hold a special token named '{}'", name);
    joined += (joined.empty() ? "" : ",") + name;
  }
  std::unordered_map<std::string, std::string> options = {
      {"model_type", type},
      {"vocab_size", std::to_string(vocab_size)},
      {"byte_fallback", "true"},
      {"character_coverage", "0.9995"},
      {"normalization_rule_name", "identity"},
      {"add_dummy_prefix", "false"},
      {"remove_extra_whitespaces", "false"},
      {"allow_whitespace_only_pieces", "true"},
      {"split_digits", "true"},
      {"max_sentence_length", "65536"},
      {"hard_vocab_limit", "false"},
      {"num_threads", "1"},
      {"minloglevel", "2"},
      {"unk_id", "0"},
      {"bos_id", bos.empty() ? "-1" : "1"},
  };
  int next = bos.empty() ? 1 : 2;
  options["eos_id"] = eos.empty() ? "-1" : std::to_string(next++);
  options["pad_id"] = pad.empty() ? "-1" : std::to_string(next++);
  if (!bos.empty()) options["bos_piece"] = bos;
  if (!eos.empty()) options["eos_piece"] = eos;
  if (!pad.empty()) options["pad_piece"] = pad;
  if (!joined.empty()) options["control_symbols"] = joined;
  Lines lines(texts);
  if (lines.done()) throw Error(Code::input, "no text to train a tokenizer on", "");
  info("training a SentencePiece vocabulary of {} tokens", vocab_size);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &lines, &model);
  if (!status.ok())
    throw Error(Code::input, fmt::format("SentencePiece training failed: {}", status.message()),
                "a smaller tokenizer.vocab_size or more text may help");
  write_file(folder / kTokenizerModel, model);
}

}  // namespace retrace::data
