// Splitting by length: nothing is lost or doubled, parts fit, headers repeat without loss.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <set>

#include "synth/record/render.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

int64_t tokens_of(const data::Document& document, const data::Tokenizer& tokenizer) {
  return static_cast<int64_t>(
      data::tokenise(document, tokenizer, data::default_loss_weights(), true, true).ids.size());
}

std::multiset<std::string> trained_bytes(const std::vector<data::Document>& parts, Kind kind) {
  std::multiset<std::string> out;
  for (const auto& part : parts)
    for (const auto& s : part.segments)
      if (s.kind == kind) out.insert(s.bytes);
  return out;
}

}  // namespace

TEST_CASE("what fits stays one document", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  const auto tokenizer = byte_tokenizer();
  const auto whole = render(t, {});
  int64_t dropped = 0;
  const auto parts = render_parts(t, {}, *tokenizer, tokens_of(whole, *tokenizer), &dropped);
  REQUIRE(parts.size() == 1);
  REQUIRE(dropped == 0);
  REQUIRE(text_of(parts[0].segments) == text_of(whole.segments));
  REQUIRE(render_parts(t, {}, *tokenizer, tokens_of(whole, *tokenizer) - 1, &dropped).size() == 2);
}

TEST_CASE("parts fit at every length, and hold every Write once or count it", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  const auto tokenizer = byte_tokenizer();
  for (const char* style : {"plain", "llama3"}) {
    for (int64_t seq_len : {600, 1200, 2000, 4000, 12000, 14000, 18000, 24000}) {
      INFO(style << " " << seq_len);
      int64_t dropped = 0, missing = 0;
      const RenderOptions options{Variant::repo2agent_search, style};
      const auto parts = render_parts(t, options, *tokenizer, seq_len, &dropped);
      std::map<int64_t, std::string> written;
      for (const auto& part : parts) {
        REQUIRE(tokens_of(part, *tokenizer) <= seq_len);
        std::set<int64_t> here;
        for (const auto& s : part.segments)
          if (s.kind == Kind::write) here.insert(s.step);
        for (int64_t step : here) REQUIRE(written[step].empty());
        for (const auto& s : part.segments)
          if (s.kind == Kind::write) written[s.step] += s.bytes + s.control_token;
      }
      const Renderer renderer(t, options);
      for (const Step& step : t.steps) {
        if (step.kind != Kind::write) continue;
        std::string whole;
        for (const auto& s : renderer.steps(step.seq, step.seq + 1))
          if (s.kind == Kind::write) whole += s.bytes + s.control_token;
        if (written.count(step.seq))
          REQUIRE(written[step.seq] == whole);
        else
          ++missing;
      }
      REQUIRE(missing <= dropped);
      if (seq_len >= 4000) REQUIRE(dropped == 0);
    }
  }
}

TEST_CASE("later parts repeat requirements and plan as masked context", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  const auto tokenizer = byte_tokenizer();
  int64_t dropped = 0;
  const int64_t seq_len = tokens_of(render(t, {}), *tokenizer) - 100;
  const auto parts = render_parts(t, {}, *tokenizer, seq_len, &dropped);
  REQUIRE(parts.size() >= 2);
  REQUIRE(dropped == 0);
  const std::string requirements = t.slots[0].chosen;
  for (size_t i = 0; i < parts.size(); ++i) {
    REQUIRE(parts[i].id != parts[(i + 1) % parts.size()].id);
    const std::string text = text_of(parts[i].segments);
    REQUIRE(text.find(requirements) != std::string::npos);
    REQUIRE(text.find("| pkg/base.py |") != std::string::npos);
    if (i == 0) continue;
    for (const auto& s : parts[i].segments) REQUIRE((s.kind != Kind::requirements && s.kind != Kind::plan));
  }
}

TEST_CASE("a long lead becomes a part of its own, and parts name only the files that they need", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  const auto tokenizer = byte_tokenizer();
  int64_t dropped = 0;
  const auto parts = render_parts(t, {}, *tokenizer, 4000, &dropped);
  REQUIRE(dropped == 0);
  REQUIRE(trained_bytes(parts, Kind::requirements).size() == 2);  // text and terminator, once
  REQUIRE(parts.size() >= 3);
  for (const auto& part : parts) {
    std::set<std::string> own;
    for (const auto& s : part.segments)
      if (s.kind == Kind::write && s.bytes.starts_with("Write ")) own.insert(s.bytes);
    if (own.empty()) continue;  // the lead
    const std::string text = text_of(part.segments);
    REQUIRE(text.find(t.slots[0].chosen) != std::string::npos);
    const bool names_big = text.find("| pkg/big.py |") != std::string::npos;
    const bool needs_big = text.find("Write pkg/main.py") != std::string::npos ||
                           text.find("Write pkg/big.py") != std::string::npos;
    REQUIRE(names_big == needs_big);
  }
}

TEST_CASE("pieces of a long sub-agent repeat its brief as masked context", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  const auto tokenizer = byte_tokenizer();
  int64_t dropped = 0;
  size_t with_big = 0, trained_briefs = 0;
  for (const auto& part : render_parts(t, {}, *tokenizer, 4000, &dropped)) {
    const std::string text = text_of(part.segments);
    if (text.find("Write pkg/big.py lines") == std::string::npos) continue;
    ++with_big;
    REQUIRE(text.find("Delegate pkg/big.py\n") != std::string::npos);
    for (const auto& s : part.segments)
      trained_briefs += s.kind == Kind::delegate && s.bytes == "Delegate pkg/big.py\n";
  }
  REQUIRE(with_big >= 3);
  REQUIRE(trained_briefs == 1);
}

TEST_CASE("parts are even: no smaller cap would do with as many parts", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  const auto tokenizer = byte_tokenizer();
  int64_t dropped = 0;
  const int64_t seq_len = tokens_of(render(t, {}), *tokenizer) - 100;
  const auto parts = render_parts(t, {}, *tokenizer, seq_len, &dropped);
  REQUIRE(parts.size() >= 2);
  int64_t largest = 0;
  for (const auto& part : parts) largest = std::max(largest, tokens_of(part, *tokenizer));
  const auto tighter = render_parts(t, {}, *tokenizer, largest - 1, &dropped);
  REQUIRE((tighter.size() > parts.size() || dropped > 0));
}

TEST_CASE("raw_repos is split at files, a long file at its Writes", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  const auto tokenizer = byte_tokenizer();
  int64_t dropped = 0;
  const auto parts = render_parts(t, {Variant::raw_repos, "plain"}, *tokenizer, 1500, &dropped);
  REQUIRE(dropped == 0);
  std::string all;
  for (const auto& part : parts) {
    REQUIRE(tokens_of(part, *tokenizer) <= 1500);
    REQUIRE(part.segments.front().bytes.starts_with("### "));
    for (const auto& s : part.segments)
      if (!s.bytes.starts_with("### ")) all += s.bytes;
  }
  std::string expected;
  for (int file : t.order) expected += t.content(file) + "\n\n";
  REQUIRE(all == expected);
  render_parts(t, {Variant::raw_repos, "plain"}, *tokenizer, 500, &dropped);
  REQUIRE(dropped > 5);  // Writes of a thousand bytes
}
