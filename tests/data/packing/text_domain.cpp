// Plain text as a domain: from files and from JSONL, packed once, refused clearly.
#include "data/text_domain.h"

#include <zstd.h>

#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;

struct Setting {
  TempFolder temp;
  std::shared_ptr<const Tokenizer> tokenizer;
  DataConfig config;

  Setting() {
    std::vector<std::string> texts = {"the quick brown fox jumps over the lazy dog\n"};
    train_byte_bpe(texts, 300, {"<|begin_of_text|>", "<|end_of_text|>", "<|pad|>"}, temp / "tokenizer");
    tokenizer = load_tokenizer(temp / "tokenizer");
    config.seq_len = 64;
  }
  Json pack(const fs::path& source, const std::string& out) {
    return pack_text_domain(config, {"prose", source, temp / out, tokenizer});
  }
  // All texts in order: what the samples hold without padding and special tokens.
  std::string text_of(const std::string& out) {
    const MdsReader reader(temp / out);
    std::string text;
    for (int64_t i = 0; i < reader.size(); ++i) text += tokenizer->decode(reader.read(i).input_ids, true);
    return text;
  }
};

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  write_file(path, text);
}

}  // namespace

TEST_CASE("a folder of texts becomes samples that hold every text in path order", "[unit]") {
  Setting s;
  put(s.temp / "in/b.txt", "second text\n");
  put(s.temp / "in/a/z.txt", std::string(300, 'x') + "\n");
  put(s.temp / "in/empty.txt", "");
  put(s.temp / "in/latin1.txt", "caf\xE9\n");
  const Json stats = s.pack(s.temp / "in", "out");
  REQUIRE(stats["documents"] == 2);
  REQUIRE(stats["dropped"]["not_utf8_or_empty"] == 2);
  REQUIRE(stats["samples"].get<int64_t>() > 3);
  const std::string text = s.text_of("out");
  REQUIRE(text.find(std::string(300, 'x') + "\n") < text.find("second text\n"));
  REQUIRE(text.find("second text\n") != std::string::npos);
  // Done is done; other texts are packed again.
  const auto written = fs::last_write_time(s.temp / "out/index.json");
  REQUIRE(s.pack(s.temp / "in", "out") == stats);
  REQUIRE(fs::last_write_time(s.temp / "out/index.json") == written);
  put(s.temp / "in/c.txt", "third\n");
  REQUIRE(s.pack(s.temp / "in", "out")["documents"] == 3);
}

TEST_CASE("JSONL of texts gives the samples of the same texts as files, compressed or not", "[unit]") {
  Setting s;
  put(s.temp / "in/1.txt", "one \"quoted\"\n");
  put(s.temp / "in/2.txt", "two\n");
  const std::string lines = "{\"text\": \"one \\\"quoted\\\"\\n\", \"id\": 7}\n\n{\"text\": \"two\\n\"}";
  put(s.temp / "in.jsonl", lines);
  std::string packed(ZSTD_compressBound(lines.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), lines.data(), lines.size(), 3));
  put(s.temp / "in.jsonl.zst", packed);
  s.pack(s.temp / "in", "files");
  s.pack(s.temp / "in.jsonl", "plain");
  s.pack(s.temp / "in.jsonl.zst", "zstd");
  REQUIRE(s.text_of("plain") == s.text_of("files"));
  REQUIRE(s.text_of("zstd") == s.text_of("files"));
  put(s.temp / "in.jsonl.zst", packed.substr(0, packed.size() / 2));
  REQUIRE_THROWS_AS(s.pack(s.temp / "in.jsonl.zst", "zstd"), Error);
}

TEST_CASE("a text domain without texts, or a line without one, is refused with its place", "[unit]") {
  Setting s;
  put(s.temp / "bad.jsonl", "{\"text\": \"fine\"}\n{\"texts\": \"no\"}\n");
  try {
    s.pack(s.temp / "bad.jsonl", "out");
    FAIL("a line without text was packed");
  } catch (const Error& problem) {
    REQUIRE(problem.status() == 3);
    REQUIRE(std::string(problem.what()).find("bad.jsonl:2") != std::string::npos);
  }
  fs::create_directories(s.temp / "nothing");
  REQUIRE_THROWS_AS(s.pack(s.temp / "nothing", "out"), Error);
  REQUIRE_THROWS_AS(s.pack(s.temp / "missing", "out"), Error);
  s.config.text_sources = {"a", "b"};
  s.config.text_names = {"prose", "prose"};
  s.config.text_weights = {1, 1};
  REQUIRE_THROWS_AS(text_domains(s.config), Error);
}

TEST_CASE("any number of threads packs texts to the same bytes", "[unit]") {
  Setting s;
  std::string lines;
  for (int i = 0; i < 3000; ++i)  // about four batches, texts of very different lengths
    lines +=
        fmt::format("{{\"text\": \"{} {}\"}}\n", i, std::string(static_cast<size_t>(i * 7919 % 3000), 'y'));
  write_file(s.temp / "in.jsonl", lines);
  for (const int threads : {1, 2, 5})
    pack_text_domain(s.config, {"prose", s.temp / "in.jsonl", s.temp / fmt::format("out-{}", threads),
                                s.tokenizer, threads});
  const auto names = list_folder(s.temp / "out-1");
  REQUIRE(names.size() > 3);
  for (const std::string& name : names)
    for (const int threads : {2, 5})
      REQUIRE(read_file(s.temp / "out-1" / name) ==
              read_file(s.temp / fmt::format("out-{}", threads) / name));
}

}  // namespace retrace::data
