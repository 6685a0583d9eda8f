#include "data/tokenizer/hf_json.h"

#include "core/error.h"
#include "core/files/files.h"

namespace retrace::data {

namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{512} << 20;
constexpr size_t kMaxDepth = 64, kMaxEntries = size_t{1} << 24;

class Handler : public nlohmann::json_sax<Json> {
 public:
  Handler(HfTokenizerFile& file, std::string where) : file_(file), where_(std::move(where)) {}

  bool null() override { return value(Json(nullptr)); }
  bool boolean(bool v) override { return value(Json(v)); }
  bool number_integer(number_integer_t v) override { return integer(v); }
  bool number_unsigned(number_unsigned_t v) override {
    if (v > static_cast<uint64_t>(INT64_MAX)) bad("a number is out of range");
    return integer(static_cast<int64_t>(v));
  }
  bool number_float(number_float_t v, const string_t&) override { return value(Json(v)); }
  bool string(string_t& v) override {
    if (big_ == Big::merges) return merge_text(v);
    return value(Json(v));
  }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override {
    if (big_ != Big::none) bad("an object where none belongs");
    if (at("vocab")) {
      enter(Big::vocab);
      return true;
    }
    return push(Json::object());
  }
  bool start_array(size_t) override {
    if (big_ == Big::merges && big_depth_ == 1) {
      ++big_depth_;
      pair_.clear();
      return true;
    }
    if (big_ == Big::list) {
      if (++big_depth_ > kMaxDepth) bad("nested too deeply");
      return true;
    }
    if (big_ != Big::none) bad("a list where none belongs");
    if (at("merges")) {
      enter(Big::merges);
      return true;
    }
    if (at("vocab")) {
      file_.vocab_is_list = true;
      enter(Big::list);
      return true;
    }
    return push(Json::array());
  }
  bool key(string_t& name) override {
    if (big_ == Big::list) bad("an object where none belongs");
    if (big_ == Big::none && stack_.back()->contains(name)) bad(fmt::format("duplicate key '{}'", name));
    key_ = std::move(name);
    return true;
  }
  bool end_object() override { return leave(); }
  bool end_array() override {
    if (big_ == Big::merges && big_depth_ == 2) {
      if (pair_.size() != 2) bad("a merge is not a pair");
      add_merge(std::move(pair_[0]), std::move(pair_[1]));
    }
    return leave();
  }
  bool parse_error(size_t offset, const std::string&, const nlohmann::detail::exception&) override {
    throw Error(Code::corrupt, fmt::format("bad JSON at byte {}", offset), "fetch the file again", where_);
  }

 private:
  enum class Big { none, vocab, merges, list };

  [[noreturn]] void bad(const std::string& what) const { throw Error(Code::corrupt, what, "", where_); }

  bool at(const char* name) const { return stack_.size() == 2 && key_ == name && path_[1] == "model"; }
  void enter(Big big) {
    big_ = big;
    big_depth_ = 1;
  }
  bool integer(int64_t v) {
    if (big_ != Big::vocab) return value(Json(v));
    if (file_.vocab.size() >= kMaxEntries) bad("too many vocabulary entries");
    file_.vocab.emplace_back(std::move(key_), v);
    return true;
  }
  bool value(Json v) {
    if (big_ == Big::list) return true;
    if (big_ == Big::vocab) bad("a vocabulary id is not a whole number");
    if (big_ == Big::merges) bad("a merge is not text");
    if (stack_.empty()) bad("expected an object");
    if (stack_.back()->is_array()) {
      stack_.back()->push_back(std::move(v));
    } else {
      (*stack_.back())[key_] = std::move(v);
    }
    return true;
  }
  bool push(Json container) {
    if (stack_.size() >= kMaxDepth) bad("nested too deeply");
    if (stack_.empty()) {
      file_.rest = std::move(container);
      stack_.push_back(&file_.rest);
    } else if (stack_.back()->is_array()) {
      stack_.back()->push_back(std::move(container));
      stack_.push_back(&stack_.back()->back());
    } else {
      Json& place = (*stack_.back())[key_];
      place = std::move(container);
      stack_.push_back(&place);
    }
    path_.push_back(key_);
    return true;
  }
  bool leave() {
    if (big_ != Big::none) {
      if (--big_depth_ == 0) big_ = Big::none;
      return true;
    }
    stack_.pop_back();
    path_.pop_back();
    return true;
  }
  bool merge_text(std::string& text) {
    if (big_depth_ == 2) {
      if (pair_.size() == 2) bad("a merge is not a pair");
      pair_.push_back(std::move(text));
      return true;
    }
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
      bad(fmt::format("merge '{}' is not a pair", text));
    add_merge(text.substr(0, space), text.substr(space + 1));
    return true;
  }
  void add_merge(std::string left, std::string right) {
    if (file_.merges.size() >= kMaxEntries) bad("too many merges");
    file_.merges.emplace_back(std::move(left), std::move(right));
  }

  HfTokenizerFile& file_;
  std::string where_, key_;
  std::vector<Json*> stack_;       // open containers of `rest`
  std::vector<std::string> path_;  // their keys
  std::vector<std::string> pair_;
  Big big_ = Big::none;
  size_t big_depth_ = 0;
};

}  // namespace

HfTokenizerFile read_hf_tokenizer_file(const std::filesystem::path& path) {
  HfTokenizerFile file;
  const std::string text = read_file(path, kMaxFileBytes);
  Handler handler(file, path.string());
  Json::sax_parse(text, &handler);
  if (!file.rest.is_object()) throw Error(Code::corrupt, "expected an object", "", path.string());
  return file;
}

}  // namespace retrace::data
