// Published shapes of Llama models, for plans that are made before any weights are at hand. No torch here.
#pragma once

#include <string>

#include "model/llama_config.h"

namespace retrace::model {

// By folder or repository name, an "-Instruct" or "Meta-" more or less: "Meta-Llama-3-8B-Instruct",
// "Llama-3.2-1B", "SmolLM2-135M". Error{input} naming those that are known.
LlamaConfig known_llama_config(const std::string& name);

}  // namespace retrace::model
