// The JSON reader, and JSONL on top of it: what parses is written and read again as the same value.
#include "core/json.h"
#include "core/error.h"
#include "synth/input/jsonl.h"
#include "tests/fuzz/fuzz.h"

namespace retrace::fuzz {

std::vector<std::string> seeds() {
  return {R"({"repository": "a/b", "path": "x.py", "content": "def f():\n    return 1\n", "licence": "MIT"})",
          R"([1, -2, 3.5e-7, 18446744073709551615, true, false, null, "é😀", {"a": [], "b": {}}])",
          R"({"choices": [{"index": 0, "text": " there", "logprobs": {"token_logprobs": [null, -0.25]}}]})",
          "{\"repository\": \"r\", \"path\": \"a\", \"content\": \"1\"}\n{\"repository\": \"r\", \"path\": "
          "\"b\", "
          "\"content\": \"2\"}\n"};
}

std::vector<std::string> dictionary() {
  return {"\\ud800",  "\\u0000",     "\"",           "{",        "}",  "[[[[", "]]]]", "1e999", "-", "NaN",
          "\"path\"", "\"content\"", "\xed\xa0\x80", "\xc0\x80", "\\", "\n"};
}

}  // namespace retrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace retrace;
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const Json value = parse_json(text, "input");
    fuzz::must(parse_json(to_text(value), "again") == value, "what is written reads as the same value");
    fuzz::accepted();
  } catch (const Error& error) {
    fuzz::must(error.code() == Code::corrupt, "bad JSON is a corrupt file");
  }
  try {
    synth::JsonlSource source(text, "lines");
    const synth::SourceLimits limits{100, 1 << 20, 1 << 24};
    const auto entries = source.list(limits);
    size_t read = 0;
    source.read(std::vector<bool>(entries.size(), true), limits, [&](size_t i, const std::string& bytes) {
      fuzz::must(i < entries.size() && bytes.size() == entries[i].size_bytes, "an entry has its size");
      ++read;
    });
    fuzz::must(read == entries.size(), "every entry is read");
    if (read > 1) fuzz::accepted();
  } catch (const Error& error) {
    fuzz::must(error.code() == Code::corrupt || error.code() == Code::input, "bad lines are bad input");
  }
  return 0;
}
