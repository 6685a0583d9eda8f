#include "synth/generate/chat_template.h"

#include "core/error.h"
#include "core/files/files.h"
#include "core/json.h"
#include "core/text.h"
#include "data/tokenizer/tokenizer_files.h"
#include "synth/generate/drafting.h"

namespace retrace::synth {

namespace {

using Ids = std::vector<data::TokenId>;

constexpr size_t kMostBytes = size_t{4} << 20;

// A folder may name several; the one that is used without being asked for is "default".
std::string template_in(const std::filesystem::path& folder) {
  const fs::path jinja = folder / "chat_template.jinja", config = folder / data::kTokenizerConfig;
  if (fs::is_regular_file(jinja)) return read_file(jinja, kMostBytes);
  if (!fs::is_regular_file(config)) return "";
  const Json json = parse_json(read_file(config, kMostBytes), config.string());
  if (!json.is_object() || !json.contains("chat_template")) return "";
  const Json& value = json["chat_template"];
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array())
    for (const Json& one : value)
      if (get_or<std::string>(one, "name", "", config.string()) == "default")
        return get<std::string>(one, "template", config.string());
  return "";
}

bool has(const std::string& text, const char* piece) {
  return text.find(piece) != std::string::npos;
}

class Writer {
 public:
  explicit Writer(const data::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  Writer& control(const char* name) {
    const auto id = tokenizer_.special(name);
    if (!id)
      throw Error(Code::input, fmt::format("the tokenizer has no token {}", name),
                  "this model does not chat in that form", "generator.chat_template");
    ids_.push_back(*id);
    return *this;
  }
  Writer& text(const std::string& bytes) {
    const Ids ids = tokenizer_.encode(bytes);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    return *this;
  }
  Ids take() { return std::move(ids_); }

 private:
  const data::Tokenizer& tokenizer_;
  Ids ids_;
};

}  // namespace

ChatTemplate chat_template_of(const std::string& name, const std::filesystem::path& folder) {
  if (name == "chatml") return ChatTemplate::chatml;
  if (name == "llama3") return ChatTemplate::llama3;
  const std::string text = template_in(folder);
  const auto refuse = [&](const std::string& why) {
    return Error(
        Code::recipe, fmt::format("{}: {}", folder.string(), why),
        "chatml and llama3 are known: name one in generator.chat_template if the model was taught it, "
        "or set generator.api = \"completions\"",
        "generator.chat_template");
  };
  if (text.empty()) throw refuse("the folder describes no chat template");
  if (has(text, "<|im_start|>") && has(text, "<|im_end|>")) return ChatTemplate::chatml;
  const bool llama3 = has(text, "<|start_header_id|>") && has(text, "<|eot_id|>");
  if (llama3 && has(text, "Cutting Knowledge Date"))
    throw refuse("the chat template is Llama 3's with dates in it, which would change with the day");
  if (llama3) return ChatTemplate::llama3;
  throw refuse("the chat template is not known");
}

Ids chat_ids(ChatTemplate form, const Prompt& prompt, const data::Tokenizer& tokenizer) {
  Writer out(tokenizer);
  if (form == ChatTemplate::chatml) {
    out.control("<|im_start|>").text("system\n" + prompt.system).control("<|im_end|>").text("\n");
    out.control("<|im_start|>").text("user\n" + prompt.user).control("<|im_end|>").text("\n");
    out.control("<|im_start|>").text("assistant\n");
  } else if (form == ChatTemplate::llama3) {
    const auto turn = [&](const char* role) -> Writer& {
      return out.control("<|start_header_id|>").text(role).control("<|end_header_id|>");
    };
    out.control("<|begin_of_text|>");
    turn("system").text("\n\n" + std::string(trim(prompt.system))).control("<|eot_id|>");
    turn("user").text("\n\n" + std::string(trim(prompt.user))).control("<|eot_id|>");
    turn("assistant").text("\n\n");
  } else {
    Ids ids = tokenizer.encode(plain_prompt(prompt));
    if (tokenizer.bos()) ids.insert(ids.begin(), *tokenizer.bos());
    return ids;
  }
  return out.take();
}

Ids chat_stops(ChatTemplate form, const data::Tokenizer& tokenizer) {
  Ids out;
  if (tokenizer.eos()) out.push_back(*tokenizer.eos());
  if (form == ChatTemplate::none) return out;
  const auto end = tokenizer.special(form == ChatTemplate::chatml ? "<|im_end|>" : "<|eot_id|>");
  if (end) out.push_back(*end);
  return out;
}

}  // namespace retrace::synth
