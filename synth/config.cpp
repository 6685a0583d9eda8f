// The keys of the sections in synth/config.h, declared once.
#include "synth/config.h"

namespace retrace::synth {

auto SynthConfig::fields() {
  using S = SynthConfig;
  return std::tuple{
      field("input", &S::input, "A repository, an archive, a folder of them, or a file that lists them"),
      field("generator", &S::generator, "What fills prose slots; http, local: see [generator]")
          .choices({"template", "http", "local"}),
      field("style", &S::style, "Framing of documents; llama3 and chatml need their control tokens")
          .choices({"plain", "llama3", "chatml"}),
      field("variant", &S::variant, "Rendering that is packed")
          .choices({"raw_repos", "repo2agent", "repo2agent_search"}),
      field("max_file_kib", &S::max_file_kib, "Larger files are left out").unit("KiB").range(1, 65536),
      field("keep_tests", &S::keep_tests, "Keep test files"),
      field("keep_documentation", &S::keep_documentation, "Keep documentation files"),
      field("read_budget_kib", &S::read_budget_kib, "What a sub-agent may read of its dependencies")
          .unit("KiB")
          .range(0, 65536),
      field("write_chunk_kib", &S::write_chunk_kib, "Longer files are written in several Writes")
          .unit("KiB")
          .range(1, 65536)};
}

auto SearchConfig::fields() {
  using S = SearchConfig;
  return std::tuple{
      field("preset", &S::preset,
            "paper: keep iff the code's likelihood rises; guarded: also no-thought baseline, noise margin, "
            "length charge and leak gates; none: first drafts")
          .choices({"paper", "guarded", "none"}),
      field("scorer", &S::scorer, "What scores: local, the weights in this process; http, see [scorer]")
          .choices({"local", "http"}),
      field("candidates", &S::candidates, "Candidates an iteration").range(1, 64),
      field("iterations", &S::iterations, "Iterations a thought").range(1, 64),
      field("sees", &S::sees,
            "What a candidate may use: the outline of the file to come, or the context only")
          .choices({"oracle", "blinded"}),
      field("max_context", &S::max_context, "Longest context of a scoring; the model's own limit holds too")
          .unit("tokens")
          .at_least(64),
      field("target_bytes", &S::target_bytes, "Scored window of the code that follows")
          .unit("bytes")
          .at_least(16),
      field("max_slots", &S::max_slots, "Thoughts searched in a repository, spread evenly; 0 = all")
          .at_least(0),
      field("leak_meter", &S::leak_meter, "Byte model that measures what a thought merely copies")
          .choices({"ppm", "none"}),
      field("judge", &S::judge,
            "What re-measures the search's gains without taking part: none; previous, the loop's comparison "
            "branch; ppm, the byte model; or a Hugging Face folder"),
      field("controls", &S::controls,
            "Also score no thought and other steps' thoughts of the same length, and say what both presets "
            "make of the same candidates"),
      field("length_charge", &S::length_charge, "guarded: gain that each byte of a thought must pay")
          .unit("nats")
          .at_least(0),
      field("max_ngram13", &S::max_ngram13,
            "guarded: largest share of a thought's 13-grams found in the code")
          .range(0, 1),
      field("serve_command", &S::serve_command,
            "http: shell command that serves each round's weights, started before the search and ended after "
            "it; {weights}, {model}, {port}, {host} and {round} are filled in, quoted"),
      field("serve_health", &S::serve_health, "Path that the served model answers with 200 once it is ready"),
      field("serve_timeout_s", &S::serve_timeout_s, "Time for the served model to be ready")
          .unit("s")
          .range(0.1, 86400),
      field("serve_stop_s", &S::serve_stop_s, "Time to end after SIGTERM, before SIGKILL")
          .unit("s")
          .range(0, 3600),
      field("serve_generator", &S::serve_generator,
            "The served model also writes prose (synth.generator = \"http\")")};
}

auto HygieneConfig::fields() {
  using H = HygieneConfig;
  return std::tuple{
      field("near_duplicates", &H::near_duplicates,
            "Repositories that nearly equal an earlier one (MinHash over 5-grams of words)")
          .choices({"drop", "keep"}),
      field("jaccard", &H::jaccard, "From this estimated similarity on they are near-duplicates")
          .range(0.5, 1),
      field("licences", &H::licences,
            "SPDX ids that are allowed, \"unknown\" among them where it is; empty = all, unknown too"),
      field("decontaminate", &H::decontaminate,
            "Leave out files and thoughts that share 12 words in a row with HumanEval or GSM8K, as far as "
            "eval.data_dir holds them"),
      field("duplicate_files", &H::duplicate_files,
            "Source files that stand in an earlier repository too: exact leaves out the later copies, near "
            "also what nearly equals one; keep leaves every repository whole")
          .choices({"keep", "exact", "near"}),
      field("file_jaccard", &H::file_jaccard, "From this estimated similarity on files are near-duplicates")
          .range(0.5, 1),
      field("duplicate_min_words", &H::duplicate_min_words,
            "Shorter source files are no duplicates, whatever they equal")
          .unit("words")
          .range(5, 1000000)};
}

auto GeneratorConfig::fields() {
  using G = GeneratorConfig;
  using E = model::EndpointConfig;
  return std::tuple_cat(
      std::tuple{
          E::endpoints_field(),
          field("weights", &G::weights,
                "local: Hugging Face folder of the model that writes; empty = the weights that score, in a "
                "loop "
                "those of the round"),
          field("chat_template", &G::chat_template,
                "local: how the model was taught to chat; auto: what its tokenizer_config.json describes")
              .choices({"auto", "chatml", "llama3"}),
          field("batch", &G::batch, "local: texts decoded together; changes no text").range(1, 32),
          field("repositories", &G::repositories,
                "Repositories that a rank makes at once where a language model is asked, so that their texts "
                "fill "
                "its batches; changes no text")
              .range(1, 64),
          field("api", &G::api, "chat: /v1/chat/completions; completions: /v1/completions, for base models")
              .choices({"chat", "completions"}),
          E::model_field("The model's name on the server"), E::dtype_field(), E::api_key_env_field(),
          field("prompts", &G::prompts,
                "Folder of prompt files that replace the built-in ones of those names"),
          field("temperature", &G::temperature, "Sampling temperature").range(0, 2),
          field("top_p", &G::top_p, "Nucleus sampling").range(0, 1),
          field("max_tokens", &G::max_tokens, "Longest answer asked for").unit("tokens").range(1, 1000000),
          field("max_prompt_kib", &G::max_prompt_kib, "Longest quotation of the repository in a prompt")
              .unit("KiB")
              .range(1, 4096),
          field("max_chars", &G::max_chars, "A longer answer is refused").unit("bytes").range(80, 1000000),
          field("max_code_lines", &G::max_code_lines, "An answer with a longer fenced code block is refused")
              .range(0, 1000),
          E::attempts_field("Answers asked for one text before it is given up"),
          field("on_failure", &G::on_failure,
                "A text that is given up: template keeps the template's text and counts it; stop ends the "
                "run")
              .choices({"template", "stop"})},
      E::request_fields());
}

auto ScorerConfig::fields() {
  using S = ScorerConfig;
  using E = model::EndpointConfig;
  return std::tuple_cat(
      std::tuple{E::endpoints_field(),
                 field("dialect", &S::dialect,
                       "vllm: /v1/completions with prompt_logprobs; sglang: /generate with logprob_start_len")
                     .choices({"vllm", "sglang"}),
                 E::model_field("The model's name on the server; recorded as the weights that scored"),
                 E::dtype_field(),
                 field("tokenizer", &S::tokenizer, "Tokenizer of that model: a Hugging Face folder or file"),
                 E::api_key_env_field(),
                 E::attempts_field("Answers asked for one score before the server is refused")},
      E::request_fields());
}

}  // namespace retrace::synth

namespace retrace {
template synth::SynthConfig Recipe::get<synth::SynthConfig>() const;
template Section describe<synth::SynthConfig>();
template synth::SearchConfig Recipe::get<synth::SearchConfig>() const;
template Section describe<synth::SearchConfig>();
template synth::HygieneConfig Recipe::get<synth::HygieneConfig>() const;
template Section describe<synth::HygieneConfig>();
template synth::GeneratorConfig Recipe::get<synth::GeneratorConfig>() const;
template Section describe<synth::GeneratorConfig>();
template synth::ScorerConfig Recipe::get<synth::ScorerConfig>() const;
template Section describe<synth::ScorerConfig>();
}  // namespace retrace
