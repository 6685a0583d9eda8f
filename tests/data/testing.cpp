#include "tests/data/testing.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>

#include "core/files/files.h"
#include "data/config.h"
#include "data/utf8.h"

namespace retrace::data::testing {

std::optional<fs::path> data_file(const std::string& name) {
  const char* given = std::getenv("RETRACE_TEST_DATA");
  const fs::path path =
      (given ? fs::path(given) : fs::path(RETRACE_SOURCE_DIR) / ".." / "shared" / "data") / name;
  return fs::exists(path) ? std::optional(path) : std::nullopt;
}

const std::vector<std::string>& hard_strings() {
  static const std::vector<std::string> strings = {
      "",
      " ",
      "\n",
      "\r\n\r\n",
      "a",
      "   leading and trailing   ",
      "tabs\t\t\tand\x0b\x0c feeds",
      "don't WE'LL I'M he'D they'Ve '\u017fs '\u017f",
      "\u00a0\u180e\u2003x\u3000y \u0085z\u2028\u2029\ufeff",
      "1234567890 12 345 6789 \u0661\u0662\u0663\u0664 \u216b \u00bd \u00b2\u00b3 \u3007\u4e00",
      "na\u00efve cafe\u0301 \u4f60\u597d\uff0c\u4e16\u754c \u0915\u094d\u0937 \u0e01\u0e33",
      "\U0001f469\u200d\U0001f4bb\U0001f1e9\U0001f1ea \U00010348 \U000e0001",
      "<|begin_of_text|><|eot_id|><|end_of_text|><|pad|><|start_header_id|>user<|end_header_id|>",
      "<s></s><unk><0x0A>[INST]\u2581\u2581\u2585",
      std::string(500, ' ') + "x",
      std::string(3, '\n') + std::string(300, '=') + "\n" + std::string(40, '\t') + "}\n\n",
      std::string("nul\0inside\0", 11),
      "\u0120hello\u010a",
      "if (a&&b||!c) { return a->b[i]++ ? \"\\n\" : '\\t'; } // ***\r\n",
  };
  return strings;
}

std::string random_bytes(Random& random, size_t size) {
  std::string out;
  for (size_t i = 0; i < size; ++i) out += static_cast<char>(random.below(256));
  return out;
}

std::string random_unicode(Random& random, size_t code_points) {
  static constexpr char32_t kTops[] = {0x80, 0x80, 0x250, 0x3100, 0xD800, 0x20000};
  std::string out;
  while (code_points > 0) {
    const auto point = static_cast<char32_t>(random.below(kTops[random.below(6)]));
    if (point >= 0xD800 && point < 0xE000) continue;
    append_utf8(point, out);
    --code_points;
  }
  return out;
}

std::string sample_code() {
  std::string text;
  for (const char* name : {"data/tokenizer/bpe.cpp", "data/mds/mds.h", "CMakeLists.txt", "core/error.h"})
    text += read_file(fs::path(RETRACE_SOURCE_DIR) / name);
  return text;
}

Sample random_sample(Random& random, int64_t length, bool fractional) {
  Sample sample;
  sample.domain = random.below(2) ? "code" : "prose \u00e9";
  for (int64_t i = 0; i < length; ++i) {
    sample.input_ids.push_back(static_cast<int32_t>(random.below(uint64_t{1} << 31)));
    const auto draw = random.below(4);
    sample.weights.push_back(draw == 0 ? 0.0f : draw == 1 && fractional ? 0.25f : 1.0f);
  }
  for (uint32_t at = 0; at < length;) {
    const auto size = static_cast<uint32_t>(1 + random.below(static_cast<uint64_t>(length) - at));
    sample.spans.emplace_back(at, at + size);
    sample.weights[at] = 0;
    at += size;
  }
  return sample;
}

bool same(const Sample& a, const Sample& b) {
  return a.input_ids == b.input_ids && a.spans == b.spans && a.weights == b.weights && a.domain == b.domain;
}

std::shared_ptr<const Tokenizer> small_tokenizer(const fs::path& folder, int64_t vocab_size) {
  train_byte_bpe({sample_code()}, vocab_size, TokenizerConfig{}.special, folder);
  return load_tokenizer(folder);
}

}  // namespace retrace::data::testing
