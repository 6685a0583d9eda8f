// How a chat model wants a conversation written: the two forms of the Llama models, by name. Templates are
// recognised, never run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "synth/generate/prompts.h"

namespace retrace::synth {

enum class ChatTemplate { none, chatml, llama3 };  // none: a model that does not chat

// "chatml", "llama3", or for "auto" what the folder's tokenizer_config.json or chat_template.jinja describes.
// Error{recipe} where that is neither, or more than the form itself (Llama 3.1 writes dates into it).
ChatTemplate chat_template_of(const std::string& name, const std::filesystem::path& folder);

// The conversation up to where the assistant's answer begins. Text is tokenised between the control tokens
// and can forge none. Error{input} where the tokenizer lacks a control token.
std::vector<data::TokenId> chat_ids(ChatTemplate form, const Prompt& prompt,
                                    const data::Tokenizer& tokenizer);
// The tokens that end an answer.
std::vector<data::TokenId> chat_stops(ChatTemplate form, const data::Tokenizer& tokenizer);

}  // namespace retrace::synth
