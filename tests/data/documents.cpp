#include "data/document.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <numeric>

#include "data/config.h"
#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;

Document trajectory() {
  return {"doc-1",
          "repo2agent",
          {{"", "<|start_header_id|>", -1, Kind::frame},
           {"assistant", "", -1, Kind::frame},
           {"", "<|end_header_id|>", -1, Kind::frame},
           {"I think:\n", "", 0, Kind::think},
           {"\nread(a.py)", "", 1, Kind::read},
           {"", "<|eot_id|>", 1, Kind::read},
           {"x = 1\n", "", 1, Kind::observe},
           {"", "", 2, Kind::write},
           {"\n}\n", "", 2, Kind::write},
           {"\n<|eot_id|>", "", 2, Kind::write},
           {"done", "", -1, Kind::frame}}};
}

}  // namespace

TEST_CASE("no token straddles a segment, and weights are those of its kind", "[unit]") {
  const TempFolder folder;
  std::vector<std::shared_ptr<const Tokenizer>> tokenizers = {small_tokenizer(folder.path())};
  if (const auto llama = data_file("llama3/tokenizer.model")) tokenizers.push_back(load_tokenizer(*llama));
  for (const auto& tokenizer : tokenizers) {
    const Document document = trajectory();
    const TokenisedDocument out = tokenise(document, *tokenizer, {{"read", 0.5}}, true, true);
    REQUIRE(out.ids.front() == *tokenizer->bos());
    REQUIRE(out.ids.back() == *tokenizer->eos());
    REQUIRE(out.weights.size() == out.ids.size());
    REQUIRE(out.kinds.size() == out.ids.size());
    REQUIRE(out.weights.front() == 0.0f);
    REQUIRE(out.weights.back() == 1.0f);  // ends a write
    size_t at = 1;
    for (const Segment& segment : document.segments) {
      std::vector<TokenId> ids;
      if (segment.control_token.empty()) {
        ids = tokenizer->encode(segment.bytes);
        REQUIRE(tokenizer->decode(ids) == segment.bytes);
      } else {
        ids = {*tokenizer->special(segment.control_token)};
      }
      const float weight = segment.kind == Kind::read    ? 0.5f
                           : segment.kind == Kind::think ? 1.0f
                           : segment.kind == Kind::write ? 1.0f
                                                         : 0.0f;
      for (TokenId id : ids) {
        REQUIRE(out.ids.at(at) == id);
        REQUIRE(out.weights[at] == weight);
        REQUIRE(out.kinds[at] == static_cast<uint8_t>(segment.kind));
        ++at;
      }
    }
    REQUIRE(at + 1 == out.ids.size());
    REQUIRE(std::count(out.ids.begin(), out.ids.end(), *tokenizer->special("<|eot_id|>")) == 1);
    REQUIRE(std::accumulate(out.tokens_by_kind.begin(), out.tokens_by_kind.end(), int64_t{0}) ==
            static_cast<int64_t>(out.ids.size()));
    const TokenisedDocument bare = tokenise(document, *tokenizer, {}, false, false);
    REQUIRE(bare.ids.size() + 2 == out.ids.size());
  }
}

TEST_CASE("the default weights train what was thought and done, not what was seen", "[unit]") {
  const auto weights = default_loss_weights();
  REQUIRE(weights.size() == kNumKinds);
  for (int k = 0; k < kNumKinds; ++k) {
    const Kind kind = static_cast<Kind>(k);
    REQUIRE(kind_of(kind_name(kind)) == kind);
    const bool seen = kind == Kind::observe || kind == Kind::context || kind == Kind::frame;
    REQUIRE(weights.at(kind_name(kind)) == (seen ? 0.0 : 1.0));
  }
  REQUIRE(error_of([] { kind_of("thought"); }).code() == Code::recipe);
}

TEST_CASE("unknown control tokens, kinds and weights are errors", "[unit]") {
  const TempFolder folder;
  const auto tokenizer = small_tokenizer(folder.path(), 300);
  Document document = trajectory();
  for (const std::map<std::string, double>& weights :
       {std::map<std::string, double>{{"thinking", 1}}, {{"think", -1}}, {{"think", std::nan("")}}})
    REQUIRE(error_of([&] { tokenise(document, *tokenizer, weights, true, true); }).code() == Code::recipe);
  document.segments.push_back({"", "<|python_tag|>", -1, Kind::frame});
  const Error error = error_of([&] { tokenise(document, *tokenizer, {}, true, true); });
  REQUIRE(error.code() == Code::input);
  REQUIRE(error.message().find("<|python_tag|>") != std::string::npos);
  REQUIRE(error.where() == "doc-1");
  document.segments = {{"both", "<|eot_id|>", -1, Kind::frame}};
  REQUIRE(error_of([&] { tokenise(document, *tokenizer, {}, true, true); }).code() == Code::internal);
}

}  // namespace retrace::data
