// Recipe sections [synth], [search], [hygiene], [generator] and [scorer].
#pragma once

#include "core/recipe/recipe.h"
#include "model/endpoint/config.h"

namespace retrace::synth {

struct SynthConfig {
  static constexpr const char* kSection = "synth";
  static constexpr const char* kAbout = "From repositories to trajectories";
  std::string input = "", generator = "template", style = "plain", variant = "repo2agent_search";
  int64_t max_file_kib = 256, read_budget_kib = 16, write_chunk_kib = 8;
  bool keep_tests = true, keep_documentation = true;
  static auto fields();
};

struct SearchConfig {
  static constexpr const char* kSection = "search";
  static constexpr const char* kAbout = "Choosing thoughts by the likelihood of the code that follows";
  std::string preset = "paper", scorer = "local", sees = "oracle", leak_meter = "ppm", judge = "none";
  int64_t candidates = 2, iterations = 3, max_context = 8192, target_bytes = 4096, max_slots = 0;
  double length_charge = 0.002, max_ngram13 = 0.1, serve_timeout_s = 900, serve_stop_s = 20;
  bool controls = false, serve_generator = false;
  std::string serve_command = "", serve_health = "/health";
  static auto fields();
};

// Which repositories and files are worth learning from: it decides what a stage takes, never the bytes that
// it makes of a repository.
struct HygieneConfig {
  static constexpr const char* kSection = "hygiene";
  static constexpr const char* kAbout = "Duplicates, licences and benchmark contamination";
  std::string near_duplicates = "drop";
  double jaccard = 0.7;
  std::vector<std::string> licences = {};
  bool decontaminate = true;
  std::string duplicate_files = "keep";
  double file_jaccard = 0.85;
  int64_t duplicate_min_words = 50;
  static auto fields();
};

struct GeneratorConfig : model::EndpointConfig {
  static constexpr const char* kSection = "generator";
  static constexpr const char* kAbout =
      "The language model that writes prose (synth.generator = \"http\" or \"local\")";
  std::string api = "chat", prompts = "", on_failure = "template", weights = "", chat_template = "auto";
  double temperature = 0.8, top_p = 0.95;
  int64_t max_tokens = 1024, max_prompt_kib = 24, max_chars = 6000, max_code_lines = 3, batch = 16,
          repositories = 4;
  static auto fields();
};

struct ScorerConfig : model::EndpointConfig {
  static constexpr const char* kSection = "scorer";
  static constexpr const char* kAbout = "The language model that scores thoughts (search.scorer = \"http\")";
  std::string dialect = "vllm", tokenizer = "";
  ScorerConfig() {
    attempts = 2;
    max_in_flight = 8;
    max_response_mib = 256;
  }
  static auto fields();
};

}  // namespace retrace::synth

namespace retrace {
extern template synth::SynthConfig Recipe::get<synth::SynthConfig>() const;
extern template Section describe<synth::SynthConfig>();
extern template synth::SearchConfig Recipe::get<synth::SearchConfig>() const;
extern template Section describe<synth::SearchConfig>();
extern template synth::HygieneConfig Recipe::get<synth::HygieneConfig>() const;
extern template Section describe<synth::HygieneConfig>();
extern template synth::GeneratorConfig Recipe::get<synth::GeneratorConfig>() const;
extern template Section describe<synth::GeneratorConfig>();
extern template synth::ScorerConfig Recipe::get<synth::ScorerConfig>() const;
extern template Section describe<synth::ScorerConfig>();
}  // namespace retrace
