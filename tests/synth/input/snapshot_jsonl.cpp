// JSONL corpora: listed and read by position, plain and compressed, forwards and backwards.
#include <zstd.h>

#include <catch2/catch_test_macros.hpp>

#include "core/json.h"
#include "data/packing/text_stream.h"
#include "synth/input/source_list.h"
#include "tests/synth/input/input_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

namespace {

std::string zstd(const std::string& text) {
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), 3));
  return frame;
}

std::string line(const std::string& repository, const std::string& path, const std::string& content,
                 const std::string& licence = "") {
  Json json = {{"repository", repository}, {"path", path}, {"content", content}};
  if (!licence.empty()) json["licence"] = licence;
  return to_text(json) + "\n";
}

std::vector<SourceRef> listed(const fs::path& file) {
  std::vector<SourceRef> out;
  list_sources(file.string(), [&](const SourceRef& source) { out.push_back(source); });
  return out;
}

}  // namespace

TEST_CASE("a JSONL corpus holds repositories, each filtered and redacted like any other", "[unit]") {
  const TempFolder folder;
  const std::string first = line("own/a", "src/a.py", "MAIL = 'jane.roe@corp.example.org'\n", "mit") +
                            line("own/a", "src/../b.py", "x = 1\n") + line("own/a", "c.png", "bytes"),
                    second = line("own/b", "b.go", "package b\n\nfunc B() int { return 1 }\n") + "\n",
                    third = line("own/c", "c.py", "VALUE = 3\n");
  put(folder / "plain.jsonl", first + second + third);
  put(folder / "one.jsonl.zst", zstd(first + second + third));
  put(folder / "frames.jsonl.zst", zstd(first) + zstd(second) + zstd(third));
  std::vector<std::string> trees;
  for (const char* name : {"plain.jsonl", "one.jsonl.zst", "frames.jsonl.zst"}) {
    const auto sources = listed(folder / name);
    REQUIRE(sources.size() == 3);
    REQUIRE(sources[1].source == (folder / name).string() + "#own/b");
    SourceReader reader;
    for (const size_t i : {2U, 0U, 1U, 0U}) {
      const Snapshot snapshot = reader.take(sources[i], {});
      REQUIRE(snapshot.kind == "jsonl");
      REQUIRE(snapshot.origin == std::string("own/") + "abc"[i]);
      if (i != 0) continue;
      REQUIRE(paths_of(snapshot) == std::vector<std::string>{"src/a.py"});
      REQUIRE(snapshot.files[0].content == "MAIL = '<EMAIL>'\n");
      REQUIRE(snapshot.licence == "MIT");
      REQUIRE(reason_of(snapshot, "src/../b.py") == "unsafe_path");
      REQUIRE(reason_of(snapshot, "c.png") == "binary");
      trees.push_back(snapshot.tree_hash);
    }
  }
  REQUIRE(trees == std::vector<std::string>(6, trees[0]));
}

TEST_CASE("a stamp follows a repository's lines, not its place in the file", "[unit]") {
  const TempFolder folder;
  put(folder / "c.jsonl", line("a", "a.py", "A = 1\n") + line("b", "b.py", "B = 1\n"));
  const auto before = listed(folder / "c.jsonl");
  put(folder / "c.jsonl", line("a", "a.py", "A = 12\n") + line("b", "b.py", "B = 1\n"));
  const auto after = listed(folder / "c.jsonl");
  REQUIRE(before[0].stamp != after[0].stamp);
  REQUIRE(before[1].stamp == after[1].stamp);
  REQUIRE(before[1].at != after[1].at);
}

TEST_CASE("a text stream reads any place of a compressed file, and refuses a damaged one", "[unit]") {
  const TempFolder folder;
  std::string text, packed;
  for (int frame = 0; frame < 5; ++frame) {
    std::string part;
    for (int i = 0; i < 40000; ++i) part += std::to_string(frame * 40000 + i) + "\n";
    packed += zstd(part);
    text += part;
  }
  put(folder / "t.zst", packed);
  data::TextStream stream(folder / "t.zst");
  for (const size_t at : {size_t{700000}, size_t{3}, text.size() - 9, size_t{250000}, size_t{250001}})
    REQUIRE(stream.read(at, 9) == text.substr(at, 9));
  REQUIRE(error_of([&] { stream.read(text.size() - 3, 9); }).code() == Code::corrupt);
  put(folder / "cut.zst", packed.substr(0, packed.size() - 20));
  put(folder / "bad.zst", "not zstd at all");
  for (const char* name : {"cut.zst", "bad.zst"}) {
    data::TextStream damaged(folder / name);
    REQUIRE(error_of([&] {
              std::string one;
              uint64_t begin = 0;
              while (damaged.next_line(&one, &begin)) {
              }
            }).code() == Code::corrupt);
  }
}
