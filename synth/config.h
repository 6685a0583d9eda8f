// Recipe sections [synth] and [search].
#pragma once

#include "core/fields.h"
#include "synth/endpoint/config.h"

namespace retrace::synth {

struct SynthConfig {
  static constexpr const char* kSection = "synth";
  static constexpr const char* kAbout = "From repositories to trajectories";
  std::string input = "", generator = "template", style = "plain", variant = "repo2agent_search";
  int64_t max_file_kib = 256, read_budget_kib = 16, write_chunk_kib = 8;
  bool keep_tests = true, keep_documentation = true;
  static auto fields() {
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
};

struct SearchConfig {
  static constexpr const char* kSection = "search";
  static constexpr const char* kAbout = "Choosing thoughts by the likelihood of the code that follows";
  std::string preset = "paper", scorer = "local", sees = "oracle", leak_meter = "ppm", judge = "none";
  int64_t candidates = 2, iterations = 3, max_context = 8192, target_bytes = 4096, max_slots = 0;
  double length_charge = 0.002, max_ngram13 = 0.1, serve_timeout_s = 900, serve_stop_s = 20;
  bool controls = false, serve_generator = false;
  std::string serve_command = "", serve_health = "/health";
  static auto fields() {
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
        field(
            "judge", &S::judge,
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
        field(
            "serve_command", &S::serve_command,
            "http: shell command that serves each round's weights, started before the search and ended after "
            "it; {weights}, {model}, {port}, {host} and {round} are filled in, quoted"),
        field("serve_health", &S::serve_health,
              "Path that the served model answers with 200 once it is ready"),
        field("serve_timeout_s", &S::serve_timeout_s, "Time for the served model to be ready")
            .unit("s")
            .range(0.1, 86400),
        field("serve_stop_s", &S::serve_stop_s, "Time to end after SIGTERM, before SIGKILL")
            .unit("s")
            .range(0, 3600),
        field("serve_generator", &S::serve_generator,
              "The served model also writes prose (synth.generator = \"http\")")};
  }
};

}  // namespace retrace::synth
