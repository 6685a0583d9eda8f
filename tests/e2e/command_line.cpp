// What a user gets for wrong input: one clear error and the right exit status. And that README names what
// exists.
#include <catch2/catch_test_macros.hpp>
#include <regex>

#include "tests/e2e/support.h"

using namespace retrace;
using namespace retrace::e2e;

TEST_CASE("bad input gives one clear error and its exit status", "[e2e]") {
  TempFolder temp;
  const fs::path repos = make_repositories(temp.path(), 8);
  const std::string run = "run.dir=" + (temp.path() / "run").string(),
                    input = "synth.input=" + repos.string();
  fs::create_directories(temp.path() / "empty");
  write_text(temp.path() / "typo.toml", "[optim]\nlearnig_rate = 1e-3\n");
  write_text(temp.path() / "type.toml", "[train]\nsteps = \"many\"\n");
  write_text(temp.path() / "other" / "config.json",
             "{\"architectures\": [\"GPT2LMHeadModel\"], \"model_type\": \"gpt2\"}");
  write_text(temp.path() / "cut" / "config.json",
             "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"vocab_size\": 300, "
             "\"hidden_size\": 16, "
             "\"intermediate_size\": 32, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, "
             "\"num_key_value_heads\": 1, "
             "\"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, "
             "\"hidden_act\": \"silu\"}");
  write_text(temp.path() / "cut" / "model.safetensors", "\x40");
  for (const char* name : {"other", "cut"})
    REQUIRE(retrace::e2e::retrace({"tokenizer", "train", repos.string(), "--out",
                                   (temp.path() / name / "tokenizer").string(), "--vocab-size", "300"})
                .exit_status == 0);
  for (const char* name : {"other", "cut"})
    fs::rename(temp.path() / name / "tokenizer" / "tokenizer.json", temp.path() / name / "tokenizer.json");
  struct Case {
    std::vector<std::string> words;
    int status;
    std::string says;
  };
  const std::vector<Case> cases = {
      {{"frobnicate"}, 2, "frobnicate"},
      {{"run"}, 2, "RECIPE"},
      {{"run", (temp.path() / "no.toml").string()}, 2, "no.toml"},
      {{"run", (temp.path() / "typo.toml").string()}, 2, "typo.toml:2:"},
      {{"run", (temp.path() / "type.toml").string()}, 2, "type.toml:2:"},
      {{"run", micro_recipe(), "optim.lr=fast", run, input}, 2, "optim.lr"},
      {{"run", micro_recipe(), run, "synth.input=" + (temp.path() / "absent").string()}, 3, "absent"},
      {{"run", micro_recipe(), run, "synth.input=" + (temp.path() / "empty").string()}, 3, "empty"},
      {{"run", micro_recipe(), run}, 2, "synth.input"},
      {{"score", (temp.path() / "absent").string(), micro_recipe()}, 3, "absent"},
      {{"score", (temp.path() / "other").string(), micro_recipe()}, 3, "config.json"},
      {{"score", (temp.path() / "cut").string(), micro_recipe()}, 3, ""},
      {{"tokenizer", "encode", micro_recipe(), micro_recipe()}, 3, "micro.toml"},
      {{"show", (temp.path() / "typo.toml").string()}, 3, "typo.toml"},
      {{"import", (temp.path() / "typo.toml").string(), (temp.path() / "x").string()}, 3, "typo.toml"},
  };
  for (const auto& c : cases) {
    const auto result = retrace::e2e::retrace(c.words, 60);
    std::string line;
    for (const auto& w : c.words) line += w + " ";
    INFO(line << "\n" << result.output);
    REQUIRE(result.exit_status == c.status);
    REQUIRE(result.output.find("error") != std::string::npos);
    REQUIRE(result.output.find(c.says) != std::string::npos);
  }
}

TEST_CASE("every verb that README names exists, and every recipe resolves", "[e2e]") {
  const std::string readme = file_text(RETRACE_SOURCE_DIR "/README.md"),
                    help = retrace::e2e::retrace({"--help"}).output;
  const std::regex verb("`retrace ([a-z]+)");
  int seen = 0;
  for (auto it = std::sregex_iterator(readme.begin(), readme.end(), verb); it != std::sregex_iterator();
       ++it, ++seen) {
    INFO((*it)[1].str());
    REQUIRE(help.find((*it)[1].str()) != std::string::npos);
  }
  REQUIRE(seen > 10);
  for (const auto& entry : fs::directory_iterator(RETRACE_SOURCE_DIR "/recipes"))
    if (entry.path().extension() == ".toml") {
      const auto result = retrace::e2e::retrace({"run", entry.path().string(), "--print-config"});
      INFO(entry.path().string() << "\n" << result.output);
      REQUIRE(result.exit_status == 0);
      REQUIRE(result.output.find("[optim]") != std::string::npos);
    }
}

TEST_CASE("every key of the paper's recipe says where its value comes from", "[e2e]") {
  const std::string text = file_text(RETRACE_SOURCE_DIR "/recipes/llama3-8b-64k.toml");
  std::istringstream lines(text);
  std::string line, section;
  int keys = 0;
  while (std::getline(lines, line)) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '[') {
      section = line;
      continue;
    }
    if (line.rfind("name", 0) == 0) continue;
    INFO(section << " " << line);
    REQUIRE(std::regex_search(line, std::regex("# (paper|ProLong|assumed)")));
    ++keys;
  }
  REQUIRE(keys > 40);
}

TEST_CASE("plan tells people the memory of a rank and of its host", "[e2e]") {
  const std::string recipe = RETRACE_SOURCE_DIR "/recipes/llama3-8b-64k.toml";
  const auto plain = retrace::e2e::retrace({"plan", recipe, "--gpus", "8"});
  INFO(plain.output);
  REQUIRE(plain.exit_status == 0);
  REQUIRE(plain.output.find("Memory of a rank") != std::string::npos);
  REQUIRE(plain.output.find("wait on the host") == std::string::npos);
  const auto offload = retrace::e2e::retrace(
      {"plan", recipe, "--gpus", "8", "model.offload=block_inputs", "checkpoint.every=5"});
  INFO(offload.output);
  REQUIRE(offload.exit_status == 0);
  for (const char* text :
       {"block inputs that wait on the host", "15.50 GiB of host memory", "copy that a save writes"})
    REQUIRE(offload.output.find(text) != std::string::npos);
}

TEST_CASE("doctor says what a recipe asks for and what is missing, with where to get it", "[e2e]") {
  const std::string recipe = RETRACE_SOURCE_DIR "/recipes/tiny.toml";
  const auto none = retrace::e2e::retrace({"doctor"});
  INFO(none.output);
  REQUIRE(none.exit_status == 0);
  for (const char* what : {"machine", "GPU", "Transformer Engine", "attention", "sandbox"})
    REQUIRE(none.output.find(what) != std::string::npos);
  const auto lacks =
      retrace::e2e::retrace({"doctor", recipe, "synth.input=/nowhere", "model.path=/no-model",
                             "synth.generator=http", "generator.endpoints=[\"http://127.0.0.1:1\"]"});
  INFO(lacks.output);
  REQUIRE(lacks.exit_status == 4);
  for (const char* text : {"MISSING weights", "/no-model/config.json does not exist", "MISSING repositories",
                           "MISSING generator", "http://127.0.0.1:1", "3 thing(s) are missing"})
    REQUIRE(lacks.output.find(text) != std::string::npos);
}
