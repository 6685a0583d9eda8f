// HF tokenizer.json with a byte-level BPE model. What is not understood is refused by name, never ignored: an
// ignored component would give other ids than the tokenizer's own library.
#include <unordered_map>

#include "core/files/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/hf_json.h"
#include "data/tokenizer/tokenizer_files.h"

namespace retrace::data {

namespace {

constexpr int64_t kMaxVocab = 1 << 24;

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(Code::input, "unsupported in tokenizer.json: " + what,
              "byte-level BPE with the pre-tokenizers Sequence, Split, Digits and ByteLevel is supported",
              where);
}

std::string type_of(const Json& component, const std::string& where) {
  return get<std::string>(component, "type", where);
}

bool is_absent(const Json& object, const char* key) {
  auto found = object.find(key);
  return found == object.end() || found->is_null();
}

bool is_blank(const Json& object, const char* key) {
  return is_absent(object, key) || (object.at(key).is_string() && object.at(key).get<std::string>().empty());
}

// What a pre_tokenizer declares, as isolating patterns in order.
struct Cutting {
  std::vector<std::string> patterns;
  bool byte_level = false;
};

void read_split(const Json& split, Cutting& cutting, const std::string& where) {
  const std::string behaviour = get<std::string>(split, "behavior", where);
  if (behaviour != "Isolated") refuse("pre_tokenizer Split with behavior " + behaviour, where);
  if (is_absent(split, "pattern") || !split.at("pattern").is_object() ||
      !split.at("pattern").contains("Regex"))
    refuse("pre_tokenizer Split without a Regex pattern", where);
  cutting.patterns.push_back(get<std::string>(split.at("pattern"), "Regex", where));
}

void read_pre_tokenizer(const Json& component, Cutting& cutting, const std::string& where) {
  const std::string type = type_of(component, where);
  if (cutting.byte_level) refuse("a pre_tokenizer after ByteLevel", where);
  if (type == "Sequence") {
    const Json& parts = component.contains("pretokenizers") ? component.at("pretokenizers") : Json();
    if (!parts.is_array()) refuse("pre_tokenizer Sequence without a list", where);
    for (const Json& part : parts) read_pre_tokenizer(part, cutting, where);
  } else if (type == "Split") {
    read_split(component, cutting, where);
  } else if (type == "Digits") {
    cutting.patterns.push_back(get_or<bool>(component, "individual_digits", false, where) ? kEachDigitPattern
                                                                                          : kDigitRunPattern);
  } else if (type == "ByteLevel") {
    if (get_or<bool>(component, "add_prefix_space", true, where))
      refuse("pre_tokenizer ByteLevel with add_prefix_space (text would not come back)", where);
    if (get_or<bool>(component, "use_regex", true, where)) cutting.patterns.push_back(kGpt2Pattern);
    cutting.byte_level = true;
  } else {
    refuse("pre_tokenizer " + type, where);
  }
}

bool read_normalizer(const Json& component, const std::string& where) {
  const std::string type = type_of(component, where);
  if (type == "NFC") return true;
  if (type == "Sequence" && component.contains("normalizers") && component.at("normalizers").is_array()) {
    bool nfc = false;
    for (const Json& part : component.at("normalizers")) nfc = read_normalizer(part, where) || nfc;
    return nfc;
  }
  refuse("normalizer " + type, where);
}

void check_model(const Json& model, bool vocab_is_list, const std::string& where) {
  const std::string type = get_or<std::string>(model, "type", vocab_is_list ? "Unigram" : "BPE", where);
  if (type != "BPE") refuse("model " + type, where);
  if (!is_absent(model, "dropout") && get<double>(model, "dropout", where) != 0)
    refuse("model with dropout", where);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!is_blank(model, key)) refuse(std::string("model with ") + key, where);
}

std::vector<AddedToken> read_added(const Json& rest, const std::string& where) {
  std::vector<AddedToken> added;
  if (is_absent(rest, "added_tokens")) return added;
  if (!rest.at("added_tokens").is_array()) throw Error(Code::corrupt, "added_tokens is no list", "", where);
  for (const Json& entry : rest.at("added_tokens")) {
    const auto id = get<int64_t>(entry, "id", where);
    AddedToken token{0, get<std::string>(entry, "content", where),
                     get_or<bool>(entry, "special", false, where),
                     get_or<bool>(entry, "normalized", false, where)};
    if (id < 0 || id >= kMaxVocab)
      throw Error(Code::corrupt, fmt::format("added token '{}' has id {}", token.text, id), "", where);
    token.id = static_cast<TokenId>(id);
    for (const char* key : {"single_word", "lstrip", "rstrip"})
      if (!token.special && get_or<bool>(entry, key, false, where))
        refuse(fmt::format("added token '{}' with {}", token.text, key), where);
    added.push_back(std::move(token));
  }
  return added;
}

// A role's token name: text, or an object with `content`.
std::optional<std::string> role_in(const Json& config, const char* key) {
  if (!config.is_object() || !config.contains(key)) return std::nullopt;
  const Json& value = config.at(key);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value.at("content").is_string())
    return value.at("content").get<std::string>();
  return std::string();
}

std::string find_role(const std::filesystem::path& folder, const char* key,
                      const std::vector<std::string>& usual, const std::vector<AddedToken>& added) {
  bool said = false;
  for (const char* name : {kTokenizerConfig, kSpecialTokensMap}) {
    const auto path = folder / name;
    if (!std::filesystem::exists(path)) continue;
    said = true;
    if (auto role = role_in(parse_json(read_file(path, uint64_t{64} << 20), path.string()), key))
      return *role;
  }
  if (said) return "";
  for (const std::string& name : usual)
    for (const AddedToken& token : added)
      if (token.text == name) return name;
  return "";
}

struct Vocabulary {
  std::vector<std::string> tokens;                    // bytes by id
  std::unordered_map<std::string_view, TokenId> ids;  // by the file's spelling
};

Vocabulary read_vocab(const HfTokenizerFile& file, const std::string& where) {
  Vocabulary vocabulary;
  vocabulary.ids.reserve(file.vocab.size());
  for (const auto& [text, id] : file.vocab) {
    if (id < 0 || id >= kMaxVocab)
      throw Error(Code::corrupt, fmt::format("token '{}' has id {}", text, id), "", where);
    const auto at = static_cast<size_t>(id);
    if (vocabulary.tokens.size() <= at) vocabulary.tokens.resize(at + 1);
    if (!vocabulary.tokens[at].empty() || !vocabulary.ids.emplace(text, static_cast<TokenId>(id)).second)
      throw Error(Code::corrupt, fmt::format("token '{}' or id {} stands twice in the vocabulary", text, id),
                  "", where);
    // A spelling outside the alphabet (a special token's name) stands for itself.
    vocabulary.tokens[at] = from_byte_level(text).value_or(text);
  }
  if (vocabulary.tokens.empty()) throw Error(Code::corrupt, "the vocabulary is empty", "", where);
  return vocabulary;
}

std::vector<Merge> read_merges(const HfTokenizerFile& file, const Vocabulary& vocabulary,
                               const std::string& where) {
  std::vector<Merge> merges;
  merges.reserve(file.merges.size());
  auto id_of = [&](const std::string& text) {
    auto found = vocabulary.ids.find(text);
    if (found == vocabulary.ids.end())
      throw Error(Code::corrupt,
                  fmt::format("merge {} names '{}', which is not in the vocabulary", merges.size(), text), "",
                  where);
    return found->second;
  };
  for (const auto& [left, right] : file.merges) {
    const TokenId a = id_of(left), b = id_of(right);
    merges.push_back({a, b, id_of(left + right)});
  }
  return merges;
}

std::string hash_of(const std::vector<Merge>& merges, bool whole_pieces) {
  static_assert(sizeof(Merge) == 3 * sizeof(TokenId));
  return sha256_hex({reinterpret_cast<const char*>(merges.data()), merges.size() * sizeof(Merge)}) +
         (whole_pieces ? " whole" : "");
}

}  // namespace

bool is_sentencepiece_in_json(const std::filesystem::path& tokenizer_json) {
  const HfTokenizerFile file = read_hf_tokenizer_file(tokenizer_json);
  if (file.vocab_is_list) return true;
  const Json& rest = file.rest;
  auto says = [&](const char* key, const char* type) {
    return rest.contains(key) && to_text(rest.at(key)).find(type) != std::string::npos;
  };
  return !says("pre_tokenizer", "\"ByteLevel\"") &&
         (says("pre_tokenizer", "\"Metaspace\"") || says("normalizer", "\"Prepend\""));
}

std::shared_ptr<const Tokenizer> load_hf_tokenizer(const std::filesystem::path& path) {
  const std::string where = path.string();
  const HfTokenizerFile file = read_hf_tokenizer_file(path);
  const Json& rest = file.rest;
  if (is_absent(rest, "model")) throw Error(Code::corrupt, "key 'model' is missing", "", where);
  const Json& model = rest.at("model");
  check_model(model, file.vocab_is_list, where);
  Cutting cutting;
  if (is_absent(rest, "pre_tokenizer")) refuse("no pre_tokenizer", where);
  read_pre_tokenizer(rest.at("pre_tokenizer"), cutting, where);
  if (!cutting.byte_level) refuse("a pre_tokenizer without ByteLevel", where);
  const bool nfc = !is_absent(rest, "normalizer") && read_normalizer(rest.at("normalizer"), where);
  const bool whole_pieces = get_or<bool>(model, "ignore_merges", false, where);

  std::vector<AddedToken> added = read_added(rest, where);
  Vocabulary vocabulary = read_vocab(file, where);
  const std::vector<Merge> merges = read_merges(file, vocabulary, where);
  std::vector<bool> blocked(vocabulary.tokens.size(), false);
  for (const AddedToken& token : added)
    if (token.special && static_cast<size_t>(token.id) < blocked.size())
      blocked[static_cast<size_t>(token.id)] = true;
  try {
    const std::string bos = find_role(path.parent_path(), "bos_token", usual_bos_names(), added);
    const std::string eos = find_role(path.parent_path(), "eos_token", usual_eos_names(), added);
    return make_bpe_tokenizer({Bpe::from_merges(std::move(vocabulary.tokens), merges, whole_pieces, blocked),
                               std::move(cutting.patterns), nfc, std::move(added), bos, eos,
                               hash_of(merges, whole_pieces)});
  } catch (Error& error) {
    throw error.in(where);
  }
}

}  // namespace retrace::data
