#include "data/tokenizer/hf_writer.h"

#include <algorithm>

#include "core/error.h"
#include "core/files/files.h"
#include "core/json.h"
#include "data/tokenizer/bpe_tokenizer.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/tokenizer_files.h"
#include "data/utf8.h"

namespace retrace::data {

namespace {

std::string role(const std::vector<std::string>& special, const std::vector<std::string>& usual) {
  for (const std::string& name : usual)
    if (std::find(special.begin(), special.end(), name) != special.end()) return name;
  return "";
}

Json added_token(const std::string& name) {
  return {{"content", name}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false},  {"special", true}};
}

Json byte_level(bool trim_offsets) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", trim_offsets},
          {"use_regex", false}};
}

Json post_processor(const std::string& bos, int64_t bos_id) {
  if (bos.empty()) return byte_level(false);
  const Json mark = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  const Json second_mark = {{"SpecialToken", {{"id", bos}, {"type_id", 1}}}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json second_text = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  Json special = Json::object();
  special[bos] = {{"id", bos}, {"ids", Json::array({bos_id})}, {"tokens", Json::array({bos})}};
  const Json frame = {{"type", "TemplateProcessing"},
                      {"single", Json::array({mark, text})},
                      {"pair", Json::array({mark, text, second_mark, second_text})},
                      {"special_tokens", special}};
  return {{"type", "Sequence"}, {"processors", Json::array({byte_level(false), frame})}};
}

// The vocabulary can be large, and Json objects keep insertion order by searching: its text is put together
// here.
std::string model_text(const HfVocabulary& vocabulary) {
  std::string text =
      "{\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null, "
      "\"end_of_word_suffix\": null, \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": "
      "false,\n"
      "\"vocab\": {";
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id)
    text += fmt::format("{}\n{}: {}", id == 0 ? "" : ",", to_text(Json(to_byte_level(vocabulary.tokens[id]))),
                        id);
  text += "\n},\n\"merges\": [";
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const Merge& merge = vocabulary.merges[i];
    const std::string pair = to_byte_level(vocabulary.tokens[static_cast<size_t>(merge.left)]) + " " +
                             to_byte_level(vocabulary.tokens[static_cast<size_t>(merge.right)]);
    text += fmt::format("{}\n{}", i == 0 ? "" : ",", to_text(Json(pair)));
  }
  return text + "\n]}";
}

}  // namespace

void write_hf_tokenizer(const HfVocabulary& vocabulary, const std::filesystem::path& folder) {
  const auto first_special = static_cast<int64_t>(vocabulary.tokens.size());
  const std::string bos = role(vocabulary.special, usual_bos_names()),
                    eos = role(vocabulary.special, usual_eos_names()),
                    pad = role(vocabulary.special, usual_pad_names());
  Json added = Json::array(), decoder = Json::object(), extra = Json::array();
  int64_t bos_id = -1;
  for (size_t i = 0; i < vocabulary.special.size(); ++i) {
    const std::string& name = vocabulary.special[i];
    if (name.empty() || valid_utf8_prefix(name) != name.size() ||
        std::count(vocabulary.special.begin(), vocabulary.special.end(), name) > 1)
      fail(Code::recipe, "special token '{}' is empty, not UTF-8 or named twice", name);
    const int64_t id = first_special + static_cast<int64_t>(i);
    Json entry = {{"id", id}};
    entry.update(added_token(name));
    added.push_back(entry);
    decoder[std::to_string(id)] = added_token(name);
    if (name == bos) bos_id = id;
    if (name != bos && name != eos && name != pad) extra.push_back(name);
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kLlama3Pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json pre = {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level(true)})}};
  std::string text =
      "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n\"added_tokens\": " + to_text(added) +
      ",\n\"normalizer\": null,\n\"pre_tokenizer\": " + to_text(pre) +
      ",\n\"post_processor\": " + to_text(post_processor(bos, bos_id)) +
      ",\n\"decoder\": " + to_text(byte_level(true)) + ",\n\"model\": " + model_text(vocabulary) + "\n}\n";
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"model_input_names", Json::array({"input_ids", "attention_mask"})},
                 {"added_tokens_decoder", decoder}};
  Json roles = Json::object();
  const std::pair<const char*, const std::string*> named[] = {
      {"bos_token", &bos}, {"eos_token", &eos}, {"pad_token", &pad}};
  for (const auto& [key, name] : named) {
    config[key] = name->empty() ? Json(nullptr) : Json(*name);
    if (!name->empty()) roles[key] = *name;
  }
  if (!extra.empty()) {
    config["additional_special_tokens"] = extra;
    roles["additional_special_tokens"] = extra;
  }
  write_file(folder / kSpecialTokensMap, to_text(roles, 2) + "\n");
  write_file(folder / kTokenizerConfig, to_text(config, 2) + "\n");
  write_file(folder / kTokenizerJson, text);
}

}  // namespace retrace::data
