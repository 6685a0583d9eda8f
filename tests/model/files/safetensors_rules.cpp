// Every rule of the safetensors format, one broken file each; and bytes flipped at random.
#include <catch2/catch_test_macros.hpp>

#include "core/random.h"
#include "model/files/safetensors.h"
#include "tests/model/files_testing.h"

namespace retrace::model::testing {

namespace {

std::string zeros(size_t count) {
  return std::string(count, '\0');
}

struct Broken {
  const char* rule;
  std::string file;
  const char* message;
};

std::string one(const std::string& entry, size_t data_bytes) {
  return safetensors_bytes("{\"a\":" + entry + "}", zeros(data_bytes));
}

}  // namespace

TEST_CASE("safetensors: each broken rule is refused by name", "[unit]") {
  const std::string good = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const std::vector<Broken> table = {
      {"at least 8 bytes", "1234567", "too few"},
      {"empty file", "", "too few"},
      {"header below the limit", raw(uint64_t{100'000'001}) + zeros(64), "more than 100000000"},
      {"header length wraps", raw(~uint64_t{0}) + zeros(64), "more than 100000000"},
      {"header inside the file", raw(uint64_t{65}) + zeros(64), "cut off"},
      {"starts with a brace", safetensors_bytes(" {}", ""), "'{'"},
      {"empty header", safetensors_bytes("", ""), "'{'"},
      {"JSON", safetensors_bytes("{\"a\":", ""), "bad JSON"},
      {"nothing after the object", safetensors_bytes("{}x", ""), "bad JSON"},
      {"UTF-8", safetensors_bytes("{\"\xff\":1}", ""), "bad JSON"},
      {"no tensor twice", safetensors_bytes("{\"a\":" + good + ",\"a\":" + good + "}", zeros(8)),
       "duplicate"},
      {"no key twice in an entry",
       one(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})", 8), "duplicate"},
      {"depth", safetensors_bytes("{\"a\":" + std::string(200, '[') + std::string(200, ']') + "}", ""),
       "nested"},
      {"metadata is an object", safetensors_bytes(R"({"__metadata__":[]})", ""), "__metadata__"},
      {"metadata holds strings", safetensors_bytes(R"({"__metadata__":{"format":1}})", ""), "no string"},
      {"entry is an object", one("7", 0), "no object"},
      {"no unknown key", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})", 8), "unknown key"},
      {"dtype is there", one(R"({"shape":[2],"data_offsets":[0,8]})", 8), "'dtype' is missing"},
      {"dtype is known", one(R"({"dtype":"F33","shape":[2],"data_offsets":[0,8]})", 8), "unknown dtype"},
      {"shape is there", one(R"({"dtype":"F32","data_offsets":[0,8]})", 8), "'shape'"},
      {"shape is a list", one(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})", 8), "'shape'"},
      {"extents are integers", one(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", 8),
       "'shape' holds"},
      {"extents are not negative", one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", 8),
       "'shape' holds"},
      {"extents fit", one(R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]})", 8),
       "'shape' holds"},
      {"elements do not wrap",
       one(R"({"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,0]})", 0), "too large"},
      {"bytes do not wrap", one(R"({"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]})", 0),
       "too large"},
      {"offsets are there", one(R"({"dtype":"F32","shape":[2]})", 8), "data_offsets"},
      {"offsets are a pair", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})", 8), "no pair"},
      {"offsets are integers", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,"8"]})", 8),
       "'data_offsets' holds"},
      {"offsets are not negative", one(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})", 8),
       "'data_offsets' holds"},
      {"offsets ascend", one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", 8), "outside"},
      {"offsets inside the file", one(good, 7), "outside"},
      {"size equals the shape's", one(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", 8), "needs 12"},
      {"no trailing bytes", one(good, 9), "end at byte 8"},
      {"no data without a tensor", safetensors_bytes("{}", "x"), "end at byte 0"},
      {"starts at 0", one(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})", 12), "a hole"},
      {"no hole",
       safetensors_bytes(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
           zeros(5)),
       "a hole"},
      {"no overlap",
       safetensors_bytes(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
           zeros(3)),
       "an overlap"},
      {"no two names for one place",
       safetensors_bytes(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
           zeros(2)),
       "an overlap"},
  };
  for (const Broken& broken : table) {
    INFO(broken.rule);
    const Error error = error_of([&] { parse_safetensors(broken.file, "weights.safetensors"); });
    INFO(error.what());
    REQUIRE(error.code() == Code::corrupt);
    REQUIRE(says(error, broken.message));
    REQUIRE(says(error, "weights.safetensors"));
  }
}

TEST_CASE("safetensors: what the format allows opens", "[unit]") {
  REQUIRE(parse_safetensors(safetensors_bytes("{}", ""), "f").empty());
  REQUIRE(parse_safetensors(safetensors_bytes("{}      ", ""), "f").empty());
  const std::string header = R"({"__metadata__":{"format":"pt"},
    "scalar":{"dtype":"F32","shape":[],"data_offsets":[2,6]},
    "none":{"dtype":"F32","shape":[0,7],"data_offsets":[2,2]},
    "half":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},
    "brain":{"dtype":"BF16","shape":[1,2],"data_offsets":[6,10]}})";
  const std::string file = safetensors_bytes(
      header, raw(uint16_t{0x3E00}) + raw(2.5f) + raw(uint16_t{0x3FC0}) + raw(uint16_t{0xC000}));
  const auto tensors = parse_safetensors(file, "f");
  REQUIRE(tensors.size() == 4);
  float values[2] = {0, 0};
  read_as_float(tensors.at("scalar"), 0, 1, values, "scalar");
  REQUIRE(values[0] == 2.5f);
  read_as_float(tensors.at("half"), 0, 1, values, "half");
  REQUIRE(values[0] == 1.5f);
  read_as_float(tensors.at("brain"), 0, 2, values, "brain");
  REQUIRE(values[0] == 1.5f);
  REQUIRE(values[1] == -2.0f);
  read_as_float(tensors.at("brain"), 1, 2, values, "brain");
  REQUIRE(values[0] == -2.0f);
  REQUIRE(tensors.at("none").size == 0);
  read_as_float(tensors.at("none"), 0, 0, nullptr, "none");
}

TEST_CASE("safetensors: a known dtype that is not read is named", "[unit]") {
  const std::string file = one(R"({"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]})", 4);
  const auto tensors = parse_safetensors(file, "f");
  float values[4];
  const Error error = error_of([&] { read_as_float(tensors.at("a"), 0, 4, values, "a"); });
  REQUIRE(error.code() == Code::input);
  REQUIRE(says(error, "F8_E4M3"));
}

TEST_CASE("safetensors: the header that is written has one meaning and a multiple of eight bytes", "[unit]") {
  const std::string header = safetensors_header({{"x", "F32", {2, 3}}, {"y", "BF16", {5}}, {"z", "F32", {}}});
  REQUIRE(header.size() % 8 == 0);
  const std::string file = header + zeros(24 + 10 + 4);
  const auto tensors = parse_safetensors(file, "f");
  REQUIRE(tensors.at("x").shape == std::vector<int64_t>{2, 3});
  REQUIRE(tensors.at("y").bytes.data() - file.data() == static_cast<std::ptrdiff_t>(header.size()) + 24);
  REQUIRE(header.find(R"("format":"pt")") != std::string::npos);
}

TEST_CASE("safetensors: flipped and cut files are refused or read, never worse", "[unit]") {
  const std::string header =
      safetensors_header({{"a", "F32", {2, 3}}, {"b", "BF16", {5}}, {"c", "F16", {1}}});
  const std::string good = header + zeros(24 + 10 + 2);
  Random random(7, 1);
  int refused = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    std::string file = good;
    for (uint64_t flips = 1 + random.below(3); flips > 0; --flips)
      file[random.below(file.size())] = static_cast<char>(random.below(256));
    if (random.below(4) == 0) file.resize(random.below(file.size() + 1));
    try {
      for (const auto& [name, tensor] : parse_safetensors(file, "f")) {
        std::vector<float> values(static_cast<size_t>(tensor.size));
        if (tensor.dtype == "F32" || tensor.dtype == "F16" || tensor.dtype == "BF16")
          read_as_float(tensor, 0, tensor.size, values.data(), name);
      }
    } catch (const Error& error) {
      REQUIRE(error.code() == Code::corrupt);
      ++refused;
    }
  }
  REQUIRE(refused > 10000);
}

}  // namespace retrace::model::testing
