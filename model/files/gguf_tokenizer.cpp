// The byte-level BPE vocabulary of a GGUF file as the tokenizer files of a HF folder.
#include <unordered_map>

#include "core/error.h"
#include "core/text.h"
#include "data/tokenizer/pretokenizer.h"
#include "data/tokenizer/tokenizer_files.h"
#include "model/files/gguf.h"

namespace retrace::model {

namespace {

enum class TokenType : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4 };

struct Vocabulary {
  std::vector<std::string_view> tokens;
  std::vector<int64_t> types;
  std::unordered_map<std::string_view, size_t> ids;
};

[[noreturn]] void refuse(const GgufFile& file, Code code, const std::string& message,
                         const std::string& hint = "") {
  throw Error(code, message, hint, file.where());
}

Vocabulary read_vocabulary(const GgufFile& file) {
  Vocabulary vocabulary;
  vocabulary.tokens = file.texts("tokenizer.ggml.tokens");
  if (file.find("tokenizer.ggml.token_type") != nullptr) {
    vocabulary.types = file.integers("tokenizer.ggml.token_type");
    if (vocabulary.types.size() != vocabulary.tokens.size())
      refuse(file, Code::corrupt,
             fmt::format("{} tokens, but {} token types", vocabulary.tokens.size(), vocabulary.types.size()));
  } else {
    vocabulary.types.assign(vocabulary.tokens.size(), static_cast<int64_t>(TokenType::normal));
  }
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string_view token = vocabulary.tokens[id];
    if (token.empty() || !is_valid_utf8(token))
      refuse(file, Code::corrupt, fmt::format("token {} is empty or not UTF-8", id));
    if (!vocabulary.ids.emplace(token, id).second)
      refuse(file, Code::corrupt, fmt::format("token '{}' is there twice", token));
  }
  return vocabulary;
}

Json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json sequence(const char* key, std::vector<Json> parts) {
  return {{"type", "Sequence"}, {key, std::move(parts)}};
}

// What `tokenizer.ggml.pre` stands for.
struct Family {
  Json pre_tokenizer;
  bool ignore_merges = false, adds_bos = false;
};

Family family_of(const GgufFile& file) {
  const std::string name = file.text_or("tokenizer.ggml.pre", "default");
  if (name == "smollm")
    return {
        sequence("pretokenizers", {Json{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)})};
  if (name == "gpt-2") return {byte_level(true)};
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") {
    const Json split = {{"type", "Split"},
                        {"pattern", {{"Regex", data::kLlama3Pattern}}},
                        {"behavior", "Isolated"},
                        {"invert", false}};
    return {sequence("pretokenizers", {split, byte_level(false)}), true, true};
  }
  refuse(file, Code::input, fmt::format("'tokenizer.ggml.pre' = \"{}\" is not supported", name),
         "smollm, gpt-2 and llama-bpe are");
}

// {"type": "TemplateProcessing"}: BOS in front of each text.
Json bos_in_front(const std::string& bos, int64_t id) {
  const auto special = [&](int type_id) {
    return Json{{"SpecialToken", {{"id", bos}, {"type_id", type_id}}}};
  };
  const auto text = [](const char* name, int type_id) {
    return Json{{"Sequence", {{"id", name}, {"type_id", type_id}}}};
  };
  Json tokens = Json::object();
  tokens[bos] = {{"id", bos}, {"ids", Json::array({id})}, {"tokens", Json::array({bos})}};
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({special(0), text("A", 0)})},
          {"pair", Json::array({special(0), text("A", 0), special(1), text("B", 1)})},
          {"special_tokens", tokens}};
}

Json added_token(const std::string& content, bool special) {
  return {{"content", content}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false},    {"normalized", false},  {"special", special}};
}

// Text, because a Json object with a hundred thousand keys searches them all at each insertion.
std::string model_text(const GgufFile& file, const Vocabulary& vocabulary, bool ignore_merges) {
  std::string text = fmt::format(
      "{{\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null, "
      "\"end_of_word_suffix\": null, \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": {},\n"
      "\"vocab\": {{",
      ignore_merges);
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    text += fmt::format("{}\n{}: {}", id == 0 ? "" : ",", to_text(Json(vocabulary.tokens[id])), id);
  text += "\n},\n\"merges\": [";
  const std::vector<std::string_view>& merges = file.texts("tokenizer.ggml.merges");
  for (size_t i = 0; i < merges.size(); ++i) {
    const size_t space = merges[i].find(' ');
    const std::string_view left = merges[i].substr(0, space),
                           right = space == std::string_view::npos ? "" : merges[i].substr(space + 1);
    const std::string joined = std::string(left) + std::string(right);
    if (left.empty() || right.empty() || vocabulary.ids.count(left) == 0 ||
        vocabulary.ids.count(right) == 0 || vocabulary.ids.count(joined) == 0)
      refuse(file, Code::corrupt,
             fmt::format("merge {} ('{}') does not join two tokens to a third", i, utf8_lossy(merges[i])));
    text += fmt::format("{}\n{}", i == 0 ? "" : ",", to_text(Json(merges[i])));
  }
  return text + "\n]}";
}

// The token that `tokenizer.ggml.NAME_token_id` names, or nothing.
std::string role(const GgufFile& file, const Vocabulary& vocabulary, const char* name) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  const int64_t id = file.integer_or(key, -1);
  if (id < -1 || id >= static_cast<int64_t>(vocabulary.tokens.size()))
    refuse(file, Code::corrupt, fmt::format("'{}' = {} is no token", key, id));
  return id < 0 ? "" : std::string(vocabulary.tokens[static_cast<size_t>(id)]);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> tokenizer_files_of(const GgufFile& file) {
  const std::string model = file.text("tokenizer.ggml.model");
  if (model != "gpt2")
    refuse(file, Code::input, fmt::format("'tokenizer.ggml.model' = \"{}\" is not supported", model),
           "byte-level BPE (gpt2) is; take the tokenizer from the model's HF folder");
  const Vocabulary vocabulary = read_vocabulary(file);
  const Family family = family_of(file);
  if (file.flag_or("tokenizer.ggml.add_eos_token", false))
    refuse(file, Code::input, "a tokenizer that appends EOS to each text ('add_eos_token') is not supported");

  Json added = Json::array(), decoder = Json::object();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const auto type = static_cast<TokenType>(vocabulary.types[id]);
    const bool special = type == TokenType::control || type == TokenType::unknown;
    if (!special && type != TokenType::user_defined) continue;
    const Json token = added_token(std::string(vocabulary.tokens[id]), special);
    Json entry = {{"id", id}};
    entry.update(token);
    added.push_back(entry);
    decoder[std::to_string(id)] = token;
  }

  // Where no BOS goes in front of a text, the folder names none: who reads bos_token would put it there.
  const bool adds_bos = file.flag_or("tokenizer.ggml.add_bos_token", family.adds_bos);
  const std::string bos = adds_bos ? role(file, vocabulary, "bos") : "";
  Json post = byte_level(true);
  if (!bos.empty())
    post = sequence("processors",
                    {byte_level(true), bos_in_front(bos, file.integer("tokenizer.ggml.bos_token_id"))});
  const std::string tokenizer = fmt::format(
      "{{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n\"added_tokens\": "
      "{},\n\"normalizer\": null,\n"
      "\"pre_tokenizer\": {},\n\"post_processor\": {},\n\"decoder\": {},\n\"model\": {}\n}}\n",
      to_text(added), to_text(family.pre_tokenizer), to_text(post), to_text(byte_level(true)),
      model_text(file, vocabulary, family.ignore_merges));

  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"model_input_names", Json::array({"input_ids", "attention_mask"})},
                 {"model_max_length", file.integer("llama.context_length")},
                 {"added_tokens_decoder", decoder}};
  Json roles = Json::object();
  const std::pair<const char*, std::string> named[] = {{"bos_token", bos},
                                                       {"eos_token", role(file, vocabulary, "eos")},
                                                       {"unk_token", role(file, vocabulary, "unknown")},
                                                       {"pad_token", role(file, vocabulary, "padding")}};
  for (const auto& [key, token] : named)
    if (!token.empty()) config[key] = roles[key] = token;
  if (file.find("tokenizer.chat_template") != nullptr)
    config["chat_template"] = file.text("tokenizer.chat_template");
  return {{data::kTokenizerJson, tokenizer},
          {data::kTokenizerConfig, to_text(config, 2) + "\n"},
          {data::kSpecialTokensMap, to_text(roles, 2) + "\n"}};
}

}  // namespace retrace::model
