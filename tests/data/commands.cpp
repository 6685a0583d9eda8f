// The verb `tokenizer` and the view of a sample, by what they print.
#include "data/commands.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdio>

#include "core/files/files.h"
#include "data/config.h"
#include "data/show.h"
#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;

// What `action` writes to standard output. No REQUIRE belongs inside: its message would go there too.
std::string printed(const std::function<void()>& action) {
  const TempFolder folder;
  std::fflush(stdout);
  const int saved = dup(STDOUT_FILENO);
  std::FILE* file = std::fopen((folder / "out").c_str(), "wb");
  REQUIRE((saved >= 0 && file != nullptr));
  dup2(fileno(file), STDOUT_FILENO);
  std::exception_ptr thrown;
  try {
    action();
  } catch (...) {
    thrown = std::current_exception();
  }
  std::fflush(stdout);
  dup2(saved, STDOUT_FILENO);
  close(saved);
  std::fclose(file);
  if (thrown) std::rethrow_exception(thrown);
  return read_file(folder / "out");
}

std::string tokenizer_verb(const std::vector<std::string>& words,
                           const std::map<std::string, std::string>& options = {}) {
  Call call;
  call.verb = "tokenizer";
  call.words = words;
  call.options = options;
  int status = -1;
  const std::string text = printed([&] { status = verbs().at(0).run(call, Schema::of<TokenizerConfig>()); });
  REQUIRE(status == 0);
  return text;
}

}  // namespace

TEST_CASE("tokenizer train, encode and decode do a whole round", "[unit]") {
  const TempFolder folder;
  write_file(folder / "corpus/a/code.cpp", sample_code());
  write_file(folder / "corpus/b.txt", "some more words, some more");
  write_file(folder / "corpus/binary.bin", std::string("\0\1\2", 3));
  fs::create_symlink(folder / "corpus/b.txt", folder / "corpus/link");
  const std::string out = (folder / "tok").string(), text_file = (folder / "text").string();
  const std::string said =
      tokenizer_verb({"train", (folder / "corpus").string()}, {{"out", out}, {"vocab-size", "350"}});
  REQUIRE(said.find("350 tokens") != std::string::npos);
  write_file(text_file, "int main() {}\n\xff");
  const std::string ids = tokenizer_verb({"encode", out, text_file});
  REQUIRE(ids.back() == '\n');
  REQUIRE(ids.find_first_not_of("0123456789 \n") == std::string::npos);
  write_file(folder / "ids", ids);
  REQUIRE(tokenizer_verb({"decode", out, (folder / "ids").string()}) == "int main() {}\n\xff");
  write_file(text_file, "");
  REQUIRE(tokenizer_verb({"encode", out, text_file}) == "\n");
  tokenizer_verb({"train", (folder / "corpus").string()},
                 {{"out", out + "2"}, {"vocab-size", "300"}, {"special", "<s>,</s>"}});
  REQUIRE(load_tokenizer(out + "2")->eos() == 299);
}

TEST_CASE("tokenizer says where its input is wrong", "[unit]") {
  const TempFolder folder;
  small_tokenizer(folder / "tok", 300);
  const std::string tok = (folder / "tok").string(), file = (folder / "ids").string();
  for (const auto& [text, where] : std::vector<std::pair<std::string, std::string>>{
           {"1 2\n3 x", ":2:3"}, {"12a", ":1:1"}, {"99999999999", ":1:1"}, {"1.5", ":1:1"}}) {
    write_file(file, text);
    const Error error = error_of([&] { tokenizer_verb({"decode", tok, file}); });
    REQUIRE(error.code() == Code::input);
    REQUIRE(error.where() == file + where);
  }
  write_file(file, "300");
  REQUIRE(error_of([&] { tokenizer_verb({"decode", tok, file}); }).code() == Code::input);
  REQUIRE(error_of([&] { tokenizer_verb({}); }).code() == Code::usage);
  REQUIRE(error_of([&] { tokenizer_verb({"count"}); }).code() == Code::usage);
  REQUIRE(error_of([&] { tokenizer_verb({"encode", tok}); }).code() == Code::usage);
  REQUIRE(error_of([&] { tokenizer_verb({"encode", tok, file + "x"}); }).code() == Code::input);
  REQUIRE(error_of([&] { tokenizer_verb({"train", tok}); }).code() == Code::usage);
  REQUIRE(error_of([&] {
            tokenizer_verb({"train", tok}, {{"out", file + "o"}, {"type", "word"}});
          }).code() == Code::usage);
  REQUIRE(error_of([&] {
            tokenizer_verb({"train", file + "x"}, {{"out", file + "o"}});
          }).code() == Code::input);
}

TEST_CASE("a sample is shown with its spans and what is trained in it", "[unit]") {
  const TempFolder folder;
  const auto tokenizer = small_tokenizer(folder / "tok", 300);
  Sample sample;
  sample.domain = "code";
  for (const std::string& text : {std::string("seen\x1b[31m"), std::string("done")})
    for (TokenId id : tokenizer->encode(text)) {
      sample.input_ids.push_back(id);
      sample.weights.push_back(text == "done" ? 1.0f : 0.0f);
    }
  sample.spans = {{0, static_cast<uint32_t>(sample.input_ids.size())}};
  MdsWriter writer(folder / "set", {});
  writer.add(sample);
  writer.finish();
  for (const fs::path& path : {folder / "set", folder / "set/index.json"}) {
    bool is_set = false;
    const std::string text = printed([&] { is_set = show_shard(path, folder / "tok", 0); });
    REQUIRE(is_set);
    REQUIRE(text.find("1 samples in 1 shards") != std::string::npos);
    REQUIRE(text.find("domain 'code'") != std::string::npos);
    REQUIRE(text.find("[-seen\\x1b[31m-]done") != std::string::npos);
  }
  for (const fs::path& path : {folder / "tok", folder / "absent"}) {
    bool is_set = true;
    REQUIRE(printed([&] { is_set = show_shard(path, "", 0); }).empty());
    REQUIRE(!is_set);
  }
  REQUIRE(error_of([&] { printed([&] { show_shard(folder / "set", "", 1); }); }).code() == Code::input);
}

}  // namespace retrace::data
