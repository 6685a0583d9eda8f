// The verbs of this room: score, generate, import.
#include "model/commands.h"

#include <cstdio>

#include "core/error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "data/tokenizer/tokenizer.h"
#include "model/device/cuda_library.h"
#include "model/engine/engine.h"
#include "model/engine/scoring.h"
#include "model/files/gguf.h"

namespace retrace::model {

namespace {

const OptionSpec kDtype = {"dtype", "float32|bfloat16", "compute dtype (default float32)"};
const OptionSpec kDevice = {"device", "cpu|cuda|auto", "where to compute (default cpu)"};
const OptionSpec kThreads = {"threads", "N", "compute threads (default: all cores)"};

std::unique_ptr<Engine> engine_of(const Call& call) {
  EngineOptions options;
  options.dtype = call.option("dtype", "float32");
  if (options.dtype != "float32" && options.dtype != "bfloat16")
    throw Error(Code::usage, fmt::format("--dtype is float32 or bfloat16, not '{}'", options.dtype));
  options.device = call.option("device", "cpu");
  if (choose_device(options.device) == "cuda") use_gpu(0);
  const int64_t threads = call.integer("threads", 0);
  if (threads < 0 || threads > 4096) fail(Code::usage, "--threads {} is no number of threads", threads);
  options.threads = static_cast<int>(threads);
  return open_engine(call.word(0, "MODEL"), options);
}

void print(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0)
    fail(Code::io, "standard output cannot be written");
}

int score(const Call& call, const Schema&) {
  call.word(1, "FILE");
  for (size_t i = 1; i < call.words.size(); ++i)
    if (!fs::is_regular_file(call.words[i])) fail(Code::input, "no such file: {}", call.words[i]);
  const int64_t window = call.integer("window", 0);
  if (window < 0) fail(Code::usage, "--window {} is no number of tokens", window);
  const auto tokenizer = data::load_tokenizer(call.word(0, "MODEL"));
  const auto engine = engine_of(call);
  Progress progress("scoring", 0, "tokens");
  for (size_t i = 1; i < call.words.size(); ++i) {
    progress.note(call.words[i]);
    const TextScore result = score_text(*engine, *tokenizer, read_file(call.words[i]), window,
                                        [&](int64_t tokens) { progress.add(static_cast<uint64_t>(tokens)); });
    Json line = {{"file", call.words[i]}};
    line.update(to_json(result, call.has("per-token")));
    print(to_text(line) + "\n");
  }
  return 0;
}

// Where generation ends: the model's own list, or the tokenizer's end of text.
std::vector<int32_t> stop_tokens(const LlamaConfig& config, const data::Tokenizer& tokenizer) {
  std::vector<int32_t> ids(config.eos_token_ids.begin(), config.eos_token_ids.end());
  if (ids.empty() && tokenizer.eos()) ids.push_back(*tokenizer.eos());
  return ids;
}

int generate(const Call& call, const Schema&) {
  if (call.has("prompt") == call.has("prompt-file"))
    throw Error(Code::usage, "one of --prompt and --prompt-file is needed");
  const std::string prompt =
      call.has("prompt") ? call.option("prompt", "") : read_file(call.option("prompt-file", ""));
  const std::string stop = call.option("stop", "");
  GenerateOptions options;
  options.max_tokens = call.integer("max-tokens", options.max_tokens);
  options.temperature = call.number("temperature", options.temperature);
  options.top_p = call.number("top-p", options.top_p);
  options.seed = static_cast<uint64_t>(call.integer("seed", 0));
  if (options.max_tokens < 0 || options.temperature < 0 || !(options.top_p > 0 && options.top_p <= 1))
    throw Error(Code::usage, "--max-tokens and --temperature are at least 0, --top-p lies in (0, 1]");
  const auto tokenizer = data::load_tokenizer(call.word(0, "MODEL"));
  const auto engine = engine_of(call);

  std::vector<int32_t> ids = tokenizer->encode(prompt);
  if (const auto bos = tokenizer->bos()) ids.insert(ids.begin(), *bos);
  if (ids.empty())
    throw Error(Code::input, "the prompt is empty and the tokenizer has no BOS to begin with",
                "give a prompt");
  options.stop_tokens = stop_tokens(engine->config(), *tokenizer);
  Progress progress("generating", static_cast<uint64_t>(options.max_tokens), "tokens");
  options.should_stop = [&](const std::vector<int32_t>& so_far) {
    progress.add(1);
    return !stop.empty() && tokenizer->decode(so_far, true).find(stop) != std::string::npos;
  };
  std::string text = tokenizer->decode(engine->generate(ids, options), true);
  if (!stop.empty()) text = text.substr(0, text.find(stop));
  print(text);
  return 0;
}

int import_file(const Call& call, const Schema&) {
  const fs::path file = call.word(0, "FILE.gguf"), folder = call.word(1, "DIR");
  const std::string dtype = call.option("dtype", "float32");
  if (dtype != "float32" && dtype != "bfloat16")
    throw Error(Code::usage, fmt::format("--dtype is float32 or bfloat16, not '{}'", dtype));
  import_gguf(file, folder, dtype);
  info("{} holds the model", folder.string());
  return 0;
}

}  // namespace

std::vector<Verb> verbs() {
  return {
      {"score",
       "MODEL FILE...",
       "perplexity of files, one JSON line each: tokens, nll (nats), ppl, bits_per_byte, scored_bytes",
       {{"per-token", "", "also ids and their logprobs; null for a token that is not scored"},
        {"window", "N", "tokens that the model reads at once (default: its max_position_embeddings)"},
        kDtype,
        kDevice,
        kThreads},
       false,
       score},
      {"generate",
       "MODEL --prompt TEXT | --prompt-file FILE",
       "print the model's continuation, greedy unless a temperature is given",
       {{"prompt", "TEXT", "text to continue"},
        {"prompt-file", "FILE", "file to continue"},
        {"max-tokens", "N", "at most so many new tokens (default 128)"},
        {"temperature", "T", "0 = greedy (default)"},
        {"top-p", "P", "sample from the smallest set of tokens with probability P (default 1)"},
        {"seed", "N", "of sampling (default 0)"},
        {"stop", "TEXT", "end before this text"},
        kDtype,
        kDevice,
        kThreads},
       false,
       generate},
      {"import",
       "FILE.gguf DIR",
       "make a Hugging Face folder of a GGUF file (llama; " + readable_formats() + ")",
       {{"dtype", "float32|bfloat16",
         "dtype of the weights written (default float32: the file's values exactly)"}},
       false,
       import_file},
  };
}

}  // namespace retrace::model
