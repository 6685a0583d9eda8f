// All nine grammars, broken and hostile sources, and the limit on parser steps.
#include <catch2/catch_test_macros.hpp>

#include "synth/structure.h"
#include "synth/structure/analyse.h"
#include "synth/structure/syntax/parse.h"
#include "tests/synth/input/input_testing.h"

using namespace retrace::synth;
using namespace retrace::synth::testing;

TEST_CASE("all nine grammars parse a sample without errors", "[unit]") {
  const std::vector<std::pair<std::string, std::string>> samples = {
      {"python", "match x:\n    case [a, *rest] if a: pass\n"},
      {"javascript", "export const f = async (x) => `a${x?.y ?? 1}`;\n"},
      {"typescript", "export type A<T> = { [K in keyof T]?: T[K] };\nenum E { X }\n"},
      {"tsx", "const a = <div className=\"x\">{items.map((i) => <b key={i}/>)}</div>;\n"},
      {"go", "package a\n\nfunc Map[T any](xs []T) []T { return xs }\n"},
      {"java", "record P(int x) { P { if (x < 0) throw new RuntimeException(); } }\n"},
      {"c", "#define N 3\nstatic int f(int a[static N]) { return a[0]; }\n"},
      {"cpp",
       "template <class T> concept C = requires(T t) { t.x(); };\nauto f = [](auto&& a) { return a; };\n"},
      {"rust", "impl<'a, T: Clone> S<'a, T> { async fn f(&self) -> Result<(), E> { g().await? } }\n"}};
  REQUIRE(samples.size() == grammar_names().size());
  for (const auto& [language, text] : samples) {
    INFO(language);
    const SyntaxTree tree(text, language, 5);
    REQUIRE(tree);
    REQUIRE_FALSE(tree.has_errors());
    REQUIRE(ts_node_named_child_count(tree.root()) > 0);
  }
  REQUIRE(grammar_of("cobol") == nullptr);
  REQUIRE_FALSE(SyntaxTree("x", "", 5));
}

TEST_CASE("a file that a grammar cannot parse is kept, with what could be read", "[unit]") {
  for (const auto& language : grammar_names()) {
    INFO(language);
    const std::string garbage = "))) {{{ \x01 <<<< def class int ) ( 'unclosed\n\"\"\" /* \n";
    const SyntaxTree tree(garbage, language, 5);
    REQUIRE(tree);
    REQUIRE(tree.has_errors());
  }
  const Snapshot snapshot =
      snapshot_of({{"a.py", "def good():\n    pass\n\ndef broken(:\n\nclass Also:\n    pass\n"}});
  const Structure structure = analyse(snapshot);
  REQUIRE(structure.files[0].parsed);
  REQUIRE(structure.files[0].has_errors);
  REQUIRE_FALSE(structure.files[0].symbols.empty());
  REQUIRE(structure.files[0].symbols[0].name == "good");
}

TEST_CASE("hostile nesting does not exhaust the stack", "[unit]") {
  constexpr size_t kDepth = 60000;
  for (const auto& [path, open] :
       std::vector<std::pair<std::string, std::string>>{{"a.py", "("},
                                                        {"a.js", "["},
                                                        {"a.c", "{"},
                                                        {"a.rs", "("},
                                                        {"a.go", "package a\nvar x = "},
                                                        {"a.java", "{"}}) {
    std::string text;
    for (size_t i = 0; i < kDepth; ++i) text += open.back() == ' ' ? (i == 0 ? open : "(") : open;
    const Structure structure = analyse(snapshot_of({{path, text}}));
    REQUIRE(structure.order == std::vector<int>{0});
  }
}

TEST_CASE("the step limit stops a parse, deterministically", "[unit]") {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "x = f(" + std::to_string(i) + ")\n";
  REQUIRE_FALSE(SyntaxTree(text, "python", 0.0));
  REQUIRE(SyntaxTree(text, "python", 5));
  AnalyseOptions options;
  options.parse_timeout_s = 0;
  const Structure structure = analyse(snapshot_of({{"a.py", text}, {"b.py", "import a\n"}}), options);
  REQUIRE_FALSE(structure.files[0].parsed);
  REQUIRE(structure.order.size() == 2);
}
