// HF folders written and read back, shards included; indexes of strangers; random weights by range. With
// RETRACE_HF_OUT set, the folders that tests/peers/test_hf_folder.py opens in transformers are written there.
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdlib>

#include "core/files/files.h"
#include "model/files/safetensors.h"
#include "model/float_bits.h"
#include "tests/model/files_testing.h"

namespace retrace::model::testing {

namespace {

bool same_weights(const WeightSource& a, const WeightSource& b, const LlamaConfig& config,
                  bool through_bf16) {
  for (const ParameterSpec& spec : all_parameters(config)) {
    std::vector<float> x = whole(a, spec);
    if (through_bf16)
      for (float& value : x) value = float_of_bf16(bf16_of_float(value));
    if (x != whole(b, spec)) return false;
  }
  return true;
}

// A folder of three shards, and its index, to be broken.
Json sharded(const fs::path& folder, const LlamaConfig& config) {
  HfFolderOptions options;
  options.dtype = "float32";
  options.shard_bytes = 40000;
  write_hf_folder(folder, config, *random_weights(config, 3, 0.02), options);
  return parse_json(read_file(folder / "model.safetensors.index.json"), "index");
}

Error refusal(const fs::path& folder, const LlamaConfig& config, const Json& index) {
  spill(folder / "model.safetensors.index.json", to_text(index));
  return error_of([&] { open_hf_weights(folder, config); });
}

}  // namespace

TEST_CASE("weights: a folder written is the folder read, in one file and in shards", "[unit]") {
  for (const bool tied : {false, true})
    for (const bool bf16 : {false, true}) {
      const LlamaConfig config = small_shape(tied);
      const auto weights = random_weights(config, 11, 0.02);
      HfFolderOptions options;
      options.dtype = bf16 ? "bfloat16" : "float32";
      TempFolder folder;
      write_hf_folder(folder / "one", config, *weights, options);
      options.shard_bytes = 30000;
      write_hf_folder(folder / "many", config, *weights, options);
      REQUIRE(fs::exists(folder / "one/model.safetensors"));
      REQUIRE(fs::exists(folder / "many/model.safetensors.index.json"));
      REQUIRE(list_folder(folder / "many").size() >=
              3 + 2);  // config, generation_config, index and the shards
      REQUIRE_FALSE(fs::exists(folder / "many/model.safetensors"));
      std::string prints[2];
      int i = 0;
      for (const char* name : {"one", "many"}) {
        const LlamaConfig read = read_llama_config(folder / name);
        REQUIRE(to_hf_json(read, "x") == to_hf_json(config, "x"));
        const auto source = open_hf_weights(folder / name, read);
        REQUIRE(same_weights(*weights, *source, config, bf16));
        prints[i++] = source->fingerprint();
      }
      REQUIRE(prints[0] == prints[1]);
    }
}

TEST_CASE("weights: a range is a part of the whole", "[unit]") {
  const LlamaConfig config = small_shape(false);
  TempFolder folder;
  const auto random = random_weights(config, 5, 0.1);
  HfFolderOptions options;
  options.dtype = "bfloat16";
  write_hf_folder(folder / "m", config, *random, options);
  const auto read = open_hf_weights(folder / "m", config);
  for (const WeightSource* source : {random.get(), read.get()})
    for (const ParameterSpec& spec : all_parameters(config)) {
      const std::vector<float> all = whole(*source, spec);
      for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{
               {0, 1}, {1, 2}, {1, spec.size()}, {7, 12}, {spec.size() - 3, spec.size()}, {5, 5}}) {
        std::vector<float> part(static_cast<size_t>(end - begin));
        source->read(spec, begin, end, part.data());
        REQUIRE(std::equal(part.begin(), part.end(), all.begin() + begin));
      }
    }
}

TEST_CASE("weights: random weights are normal, of their seed and name, and norms are one", "[unit]") {
  LlamaConfig config = small_shape(false);
  config.vocab_size = 4000;
  const auto a = random_weights(config, 1, 0.5), b = random_weights(config, 2, 0.5);
  const auto specs = all_parameters(config);
  REQUIRE(whole(*a, specs[0]) == whole(*random_weights(config, 1, 0.5), specs[0]));
  REQUIRE(whole(*a, specs[0]) != whole(*b, specs[0]));
  REQUIRE(whole(*a, specs[2]) != whole(*a, specs[11]));  // q_proj of both blocks
  REQUIRE(a->fingerprint() != b->fingerprint());
  for (const float value : whole(*a, specs[1])) REQUIRE(value == 1);
  double sum = 0, squares = 0, beyond = 0;
  const std::vector<float> values = whole(*a, specs[0]);
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
    beyond += std::abs(value) > 2 * 0.5;
  }
  const auto n = static_cast<double>(values.size());
  REQUIRE(std::abs(sum / n) < 5 * 0.5 / std::sqrt(n));
  REQUIRE(std::abs(squares / n / 0.25 - 1) < 0.02);
  REQUIRE(std::abs(beyond / n - 0.0455) < 0.003);  // two standard deviations
}

TEST_CASE("weights: an index leads nowhere but into its folder", "[unit]") {
  const LlamaConfig config = small_shape(false);
  TempFolder folder;
  const fs::path home = folder / "home";
  const Json good = sharded(home, config);
  REQUIRE_NOTHROW(open_hf_weights(home, config));
  const std::string first = good["weight_map"]["lm_head.weight"];
  fs::copy_file(home / first, folder / first);
  for (const std::string& name : {"../" + first, (folder / first).string(), std::string("./") + first,
                                  std::string(".."), std::string(), "a\\b" + first}) {
    Json index = good;
    index["weight_map"]["lm_head.weight"] = name;
    const Error error = refusal(home, config, index);
    INFO(error.what());
    REQUIRE(error.code() == Code::corrupt);
    REQUIRE(says(error, "no plain file name"));
  }
  Json index = good;
  for (auto& [tensor, file] : index["weight_map"].items())
    if (file == first) file = "link.safetensors";
  fs::create_symlink(folder / first, home / "link.safetensors");
  REQUIRE(says(refusal(home, config, index), "leaves the folder"));
  fs::remove(home / "link.safetensors");
  fs::create_symlink(first, home / "link.safetensors");  // inside: allowed
  spill(home / "model.safetensors.index.json", to_text(index));
  REQUIRE_NOTHROW(open_hf_weights(home, config));
  fs::remove(home / "link.safetensors");
  fs::create_directory(home / "link.safetensors");
  REQUIRE(says(refusal(home, config, index), "is no file"));
  fs::remove(home / "link.safetensors");
  REQUIRE(refusal(home, config, index).code() == Code::input);  // missing
}

TEST_CASE("weights: the hub's cache of links to blobs opens", "[unit]") {
  const LlamaConfig config = small_shape(true);
  TempFolder folder;
  write_hf_folder(folder / "made", config, *random_weights(config, 3, 0.02), {});
  fs::create_directories(folder / "hub/blobs");
  fs::create_directories(folder / "hub/snapshots/abc");
  for (const char* name : {"config.json", "model.safetensors"}) {
    fs::copy_file(folder / "made" / name, folder / "hub/blobs" / name);
    fs::create_symlink(fs::path("../../blobs") / name, folder / "hub/snapshots/abc" / name);
  }
  REQUIRE_NOTHROW(open_hf_weights(folder / "hub/snapshots/abc", config));
}

TEST_CASE("weights: an index and its shards must agree", "[unit]") {
  const LlamaConfig config = small_shape(false);
  TempFolder folder;
  const fs::path home = folder / "home";
  const Json good = sharded(home, config);
  const std::string first = good["weight_map"]["lm_head.weight"], norm = "model.norm.weight";
  REQUIRE(good["weight_map"][norm] != first);

  Json index = good;
  index["weight_map"][norm] = first;
  REQUIRE(says(refusal(home, config, index), "is not in " + first));
  index = good;
  index["weight_map"]["made.up"] = first;
  REQUIRE(says(refusal(home, config, index), "'made.up' is not in"));
  index = good;
  index["weight_map"].erase(norm);
  REQUIRE(says(refusal(home, config, index), "which 'weight_map' lacks"));
  index = good;
  index["metadata"]["total_size"] = 12;
  REQUIRE(says(refusal(home, config, index), "total_size"));
  index = good;
  fs::copy_file(home / first, home / "again.safetensors");
  index["weight_map"]["made.up"] = "again.safetensors";
  REQUIRE(says(refusal(home, config, index), "is in both"));
  REQUIRE(says(refusal(home, config, Json::object()), "weight_map"));
  REQUIRE(says(refusal(home, config, {{"weight_map", {{"x", 1}}}}), "no file name"));
  fs::remove(home / "model.safetensors.index.json");
  REQUIRE(says(error_of([&] { open_hf_weights(home, config); }), "no weights"));
}

TEST_CASE("weights: tensors must be those of the configuration", "[unit]") {
  const LlamaConfig config = small_shape(true);
  TempFolder folder;
  write_hf_folder(folder / "m", config, *random_weights(config, 3, 0.02), {});
  LlamaConfig other = config;
  other.tie_embeddings = false;
  REQUIRE(says(error_of([&] { open_hf_weights(folder / "m", other); }), "'lm_head.weight' is missing"));
  other = config;
  other.intermediate_size = 65;
  const Error error = error_of([&] { open_hf_weights(folder / "m", other); });
  REQUIRE(error.code() == Code::input);
  REQUIRE(says(error, "[64, 32]"));
  REQUIRE(says(error, "[65, 32]"));
  other = config;
  other.num_layers = 1;
  REQUIRE(says(error_of([&] { open_hf_weights(folder / "m", other); }), "no place"));
  const std::string bytes = read_file(folder / "m/model.safetensors");
  spill(folder / "m/model.safetensors", bytes.substr(0, bytes.size() - 1));
  REQUIRE(error_of([&] { open_hf_weights(folder / "m", config); }).code() == Code::corrupt);
}

TEST_CASE("weights: an export replaces an export and nothing else", "[unit]") {
  const LlamaConfig config = small_shape(true);
  TempFolder folder;
  spill(folder / "tokenizer.json", "{\"a tokenizer\": 1}");
  HfFolderOptions options;
  options.tokenizer = folder / "tokenizer.json";
  options.shard_bytes = 20000;
  write_hf_folder(folder / "m", config, *random_weights(config, 1, 0.02), options);
  REQUIRE(read_file(folder / "m/tokenizer.json") == "{\"a tokenizer\": 1}");
  options.tokenizer = folder / "m";  // its own
  options.shard_bytes = uint64_t{1} << 30;
  write_hf_folder((folder / "m").string() + "/", config, *random_weights(config, 2, 0.02), options);
  REQUIRE(list_folder(folder / "m") == std::vector<std::string>{"config.json", "generation_config.json",
                                                                "model.safetensors", "tokenizer.json"});
  REQUIRE(list_folder(folder.path()) == std::vector<std::string>{"m", "tokenizer.json"});
  spill(folder / "m/thesis.txt", "dear");
  const Error error =
      error_of([&] { write_hf_folder(folder / "m", config, *random_weights(config, 3, 0.02), options); });
  REQUIRE(error.code() == Code::input);
  REQUIRE(says(error, "thesis.txt"));
  REQUIRE(read_file(folder / "m/thesis.txt") == "dear");
  options.tokenizer = folder / "nowhere";
  REQUIRE(error_of([&] {
            write_hf_folder(folder / "n", config, *random_weights(config, 3, 0.02), options);
          }).code() == Code::input);
  options = {};
  options.dtype = "float8";
  REQUIRE(error_of([&] {
            write_hf_folder(folder / "n", config, *random_weights(config, 3, 0.02), options);
          }).code() == Code::usage);
  REQUIRE_FALSE(fs::exists(folder / "n"));
}

TEST_CASE("weights: a write that fails leaves no folder, or the one that was there", "[unit]") {
  const LlamaConfig config = small_shape(true);
  for (const bool replaces : {false, true}) {
    TempFolder folder;
    for (int nth = 1;; ++nth) {
      fs::remove_all(folder / "m");
      if (replaces) write_hf_folder(folder / "m", config, *random_weights(config, 1, 0.02), {});
      int count = 0;
      set_file_operation_hook([&](const char* operation, const fs::path& path) {
        if (++count == nth) throw Error(Code::io, fmt::format("{} failed", operation), "", path.string());
      });
      bool failed = false;
      try {
        write_hf_folder(folder / "m", config, *random_weights(config, 2, 0.02), {});
      } catch (const Error&) {
        failed = true;
      }
      set_file_operation_hook(nullptr);
      REQUIRE_FALSE(fs::exists(folder / ".m.partial"));
      REQUIRE((fs::exists(folder / "m") || (failed && !replaces)));
      if (fs::exists(folder / "m"))
        REQUIRE_NOTHROW(open_hf_weights(folder / "m", read_llama_config(folder / "m")));
      if (!failed) {
        REQUIRE(nth > 10);
        break;
      }
    }
  }
}

TEST_CASE("weights: an export killed between its two renames is found again", "[unit]") {
  const LlamaConfig config = small_shape(true);
  TempFolder folder;
  write_hf_folder(folder / ".m.old", config, *random_weights(config, 1, 0.02), {});
  set_file_operation_hook([&](const char* operation, const fs::path&) {
    if (std::string(operation) == "write") throw Error(Code::io, "disk full");
  });
  REQUIRE(error_of([&] {
            write_hf_folder(folder / "m", config, *random_weights(config, 2, 0.02), {});
          }).code() == Code::io);
  set_file_operation_hook(nullptr);
  REQUIRE_NOTHROW(open_hf_weights(folder / "m", config));
  REQUIRE(list_folder(folder.path()) == std::vector<std::string>{"m"});
}

TEST_CASE("weights: half-width floats", "[unit]") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = float_of_bf16(static_cast<uint16_t>(bits));
    if (!std::isnan(value)) REQUIRE(bf16_of_float(value) == bits);
    if (std::isnan(value)) REQUIRE(std::isnan(float_of_bf16(bf16_of_float(value))));
    const float half = float_of_f16(static_cast<uint16_t>(bits));
    const int exponent = static_cast<int>(bits >> 10 & 31), fraction = static_cast<int>(bits & 1023);
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31) {
      REQUIRE((fraction == 0 ? std::isinf(half) : std::isnan(half)));
    } else {
      const double expected =
          exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
      REQUIRE(static_cast<double>(half) == sign * expected);
    }
  }
  REQUIRE(bf16_of_float(1.00390625f) == 0x3F80);  // a tie goes to the even neighbour below
  REQUIRE(bf16_of_float(1.01171875f) == 0x3F82);  // and above
  REQUIRE(bf16_of_float(1.00391f) == 0x3F81);
  REQUIRE(bf16_of_float(3.4e38f) == 0x7F80);
}

TEST_CASE("weights: folders for transformers to open", "[unit]") {
  const char* out = std::getenv("RETRACE_HF_OUT");
  TempFolder temporary;
  const fs::path folder = out != nullptr ? fs::path(out) : temporary.path();
  LlamaConfig tied = small_shape(true), scaled = small_shape(false);
  scaled.rope_scaling = "llama3";
  scaled.rope_factor = 8;
  scaled.rope_original_max_position = 64;
  scaled.eos_token_ids = {1, 2};
  HfFolderOptions options;
  options.dtype = "float32";
  write_hf_folder(folder / "tied", tied, *random_weights(tied, 1, 0.1), options);
  options.shard_bytes = 30000;
  write_hf_folder(folder / "scaled-sharded", scaled, *random_weights(scaled, 2, 0.1), options);
  options.dtype = "bfloat16";
  write_hf_folder(folder / "bf16", tied, *random_weights(tied, 3, 0.1), options);
  REQUIRE(fs::exists(folder / "bf16/config.json"));
}

}  // namespace retrace::model::testing
