// core/json.h: strangers' JSON is refused by name, never a crash; what we write is always valid.
#include "core/json.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>

#include "tests/core/testing.h"

using namespace retrace;
using retrace::testing::error_of;

namespace {

Error refusal(const std::string& text, JsonLimits limits = {}) {
  const Error error = error_of([&] { parse_json(text, "x.json", limits); });
  REQUIRE(error.code() == Code::corrupt);
  REQUIRE(error.where().starts_with("x.json"));
  return error;
}

}  // namespace

TEST_CASE("json: values keep their types and the order of keys", "[unit]") {
  const Json value =
      parse_json(R"({"z": 1, "a": -2, "f": 1.0, "u": 18446744073709551615, "s": "\u00e9\ud83d\ude00",
                                  "n": null, "l": [true, {}, []]})",
                 "x");
  REQUIRE(value.begin().key() == "z");
  REQUIRE(value["z"].is_number_unsigned());
  REQUIRE(value["a"].is_number_integer());
  REQUIRE(value["f"].is_number_float());
  REQUIRE(value["u"].get<uint64_t>() == std::numeric_limits<uint64_t>::max());
  REQUIRE(value["s"].get<std::string>() == "\xC3\xA9\xF0\x9F\x98\x80");
  REQUIRE(value["n"].is_null());
  REQUIRE(value["l"].size() == 3);
  REQUIRE(parse_json(" 3 ", "x") == 3);
  REQUIRE(parse_json("\xEF\xBB\xBF{}", "x").is_object());  // a byte order mark
  // Hugging Face writes this for "no limit".
  REQUIRE(parse_json("1000000000000000019884624838656", "x").is_number_float());
}

TEST_CASE("json: bad syntax is refused with line and byte", "[unit]") {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[1,]",
                           "{\"a\" 1}",
                           "{'a': 1}",
                           "[1] 2",
                           "NaN",
                           "Infinity",
                           "-",
                           "01",
                           "1.",
                           "\"abc",
                           "\"\t\"",
                           "tru",
                           "{\"a\":1,}",
                           "\"\\x\"",
                           "1e999",
                           "[\"\\ud800\"]",
                           "[\"\\udc00\"]",
                           "[\"\\ud800\\u0041\"]",
                           "// comment\n1"})
    refusal(text);
  const Error error = refusal("{\n  \"a\": 1,\n  \"b\": x\n}");
  REQUIRE(error.where() == "x.json:3:8");
  REQUIRE(error.message().find("byte 20") != std::string::npos);
}

TEST_CASE("json: duplicate keys are refused at every size and depth", "[unit]") {
  REQUIRE(refusal(R"({"a": 1, "b": 2, "a": 3})").message().find("duplicate key 'a'") != std::string::npos);
  refusal(R"({"x": {"a": 1, "a": 1}})");
  refusal(R"({"\u0061": 1, "a": 2})");
  REQUIRE_NOTHROW(parse_json(R"({"a": {"a": 1}, "b": {"a": 1}, "c": [{"a": 1}, {"a": 1}]})", "x"));
}

TEST_CASE("json: a vocabulary of many keys is read in linear time", "[unit]") {
  std::string text = "{";
  for (int i = 0; i < 150'000; ++i)
    text += (i > 0 ? ",\"k" : "\"k") + std::to_string(i) + "\":" + std::to_string(i);
  const Json value = parse_json(text + "}", "x");
  REQUIRE(value.size() == 150'000);
  refusal(text + ",\"k77\":0}");
}

TEST_CASE("json: depth is limited without recursion", "[unit]") {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  REQUIRE_NOTHROW(parse_json(nested(64), "x"));
  REQUIRE(refusal(nested(65)).message().find("64 levels") != std::string::npos);
  refusal(nested(100'000));
  refusal(std::string(1'000'000, '['));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  refusal(objects);
  JsonLimits deep;
  deep.max_depth = 2;
  refusal("[[[]]]", deep);
}

TEST_CASE("json: size and UTF-8 are checked", "[unit]") {
  JsonLimits small;
  small.max_bytes = 10;
  refusal("[1,2,3,4,5,6]", small);
  for (const char* bytes : {"\"\xff\"", "\"\xc3\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"",
                            "\"\xf5\x80\x80\x80\"", "{\"\x80\": 1}", "\"\xe2\x82\""})
    refusal(bytes);
  REQUIRE(parse_json("\"a\\u0000b\"", "x").get<std::string>() == std::string("a\0b", 3));
}

TEST_CASE("json: what is written can always be read", "[unit]") {
  Json value;
  value["bad"] = "a\xff\xc3(";
  value["nan"] = std::nan("");
  value["inf"] = std::numeric_limits<double>::infinity();
  value["small"] = 1e-5;
  value["third"] = 1.0 / 3;
  const std::string text = to_text(value);
  REQUIRE(text.find('\n') == std::string::npos);
  const Json back = parse_json(text, "x");
  REQUIRE(back["bad"] == "a\xEF\xBF\xBD\xEF\xBF\xBD(");
  REQUIRE(back["nan"].is_null());
  REQUIRE(back["inf"].is_null());
  REQUIRE(back["small"] == 1e-5);
  REQUIRE(back["third"] == 1.0 / 3);
  REQUIRE(to_text(value, 2).find("\n  \"nan\": null") != std::string::npos);
}

TEST_CASE("json: nesting beyond 512 levels is our own error, not a crash", "[unit]") {
  const auto nested = [](int depth) {
    Json value = 1;
    for (int i = 0; i < depth; ++i) value = Json::array({std::move(value)});
    return value;
  };
  REQUIRE(to_text(nested(512)).size() == 1025);
  const Json deep = nested(100'000);
  REQUIRE(error_of([&] { to_text(deep); }).code() == Code::internal);
}

TEST_CASE("json: typed access names the key and the file", "[unit]") {
  const Json object = parse_json(R"({"i": 5, "f": 1.5, "s": "x", "b": true, "n": null, "big": 3000000000,
                                   "huge": 18446744073709551615, "neg": -1, "l": [1, 2], "m": ["a", 1]})",
                                 "x");
  REQUIRE(get<int64_t>(object, "i", "c.json") == 5);
  REQUIRE(get<double>(object, "i", "c.json") == 5.0);
  REQUIRE(get<std::string>(object, "s", "c.json") == "x");
  REQUIRE(get<bool>(object, "b", "c.json"));
  REQUIRE(get<std::vector<int>>(object, "l", "c.json") == std::vector<int>{1, 2});
  REQUIRE(get_or<int>(object, "n", 7, "c.json") == 7);
  REQUIRE(get_or<int>(object, "absent", 7, "c.json") == 7);
  const auto refused = [&](auto work, const char* says) {
    const Error error = error_of(work);
    REQUIRE(error.code() == Code::corrupt);
    REQUIRE(error.where() == "c.json");
    REQUIRE(error.message().find(says) != std::string::npos);
  };
  refused([&] { get<int64_t>(object, "absent", "c.json"); }, "'absent' is missing");
  refused([&] { get<int64_t>(object, "f", "c.json"); }, "not an integer");
  refused([&] { get<int64_t>(object, "s", "c.json"); }, "not an integer");
  refused([&] { get<int>(object, "big", "c.json"); }, "out of range");
  refused([&] { get<int64_t>(object, "huge", "c.json"); }, "out of range");
  refused([&] { get<uint32_t>(object, "neg", "c.json"); }, "out of range");
  refused([&] { get<std::string>(object, "i", "c.json"); }, "wrong type");
  refused([&] { get<bool>(object, "i", "c.json"); }, "wrong type");
  refused([&] { get<std::vector<std::string>>(object, "m", "c.json"); }, "wrong type");
  refused([&] { get<int>(Json(3), "i", "c.json"); }, "expected an object");
  refused([&] { get_or<int>(Json::array(), "i", 1, "c.json"); }, "expected an object");
}
