// Symbols of each language: kind, qualified name, signature, docstring and span.
#include <catch2/catch_test_macros.hpp>

#include "synth/structure/analyse.h"
#include "synth/structure/symbols/symbols.h"
#include "tests/synth/input/input_testing.h"

using namespace retrace::synth;
using namespace retrace::synth::testing;

namespace {

FileStructure structure_of(const std::string& path, const std::string& text) {
  return analyse(snapshot_of({{path, text}})).files[0];
}

// "kind name | signature | docstring", and the span must hold the name.
std::vector<std::string> listed(const std::string& path, const std::string& text) {
  std::vector<std::string> lines;
  const FileStructure file = structure_of(path, text);
  REQUIRE(file.parsed);
  for (const auto& symbol : file.symbols) {
    REQUIRE(symbol.begin < symbol.end);
    REQUIRE(symbol.end <= text.size());
    const std::string last = symbol.name.substr(symbol.name.rfind('.') + 1);
    REQUIRE(text.substr(symbol.begin, symbol.end - symbol.begin).find(last) != std::string::npos);
    lines.push_back(symbol.kind + " " + symbol.name + " | " + symbol.signature + " | " + symbol.docstring);
  }
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("python symbols", "[unit]") {
  const std::string text =
      "#!/usr/bin/env python\n"
      "\"\"\"Module words.\n\n    Indented.\n    \"\"\"\n"
      "MAX_SIZE = 3\nlower = 4\n\n"
      "@decorator(1)\n"
      "class Parser(Base):\n"
      "    '''Parses.'''\n"
      "    LIMIT = 2\n"
      "    async def next(self,\n             n: int = 1) -> int:  # inline\n"
      "        \"\"\"Next one.\"\"\"\n"
      "        def inner(): pass\n"
      "        return n\n"
      "if True:\n"
      "    # Says why.\n"
      "    def helper(): return 1\n";
  REQUIRE(listed("a.py", text) ==
          Lines{"constant MAX_SIZE | MAX_SIZE = 3 | ", "class Parser | class Parser(Base) | Parses.",
                "method Parser.next | async def next(self, n: int = 1) -> int | Next one.",
                "function helper | def helper() | Says why."});
  REQUIRE(structure_of("a.py", text).docstring == "Module words.\n\nIndented.");
  const auto symbols = structure_of("a.py", text).symbols;
  REQUIRE(text.substr(symbols[1].begin, 10) == "@decorator");
}

TEST_CASE("javascript and typescript symbols", "[unit]") {
  REQUIRE(listed("a.js",
                 "/** Adds.\n * @param {number} a\n */\nexport function add(a, b) { return a + b; }\n"
                 "const sub = (a, b) => a - b;\n"
                 "const MAX_N = 3, other = 4;\n"
                 "class A extends B {\n  // Runs it.\n  run(x) { const inner = () => 1; }\n}\n"
                 "Thing.prototype.go = function (n) {};\n"
                 "(function () { function hidden() {} })();\n") ==
          Lines{"function add | export function add(a, b) | Adds.", "function sub | const sub = (a, b) => | ",
                "constant MAX_N | MAX_N = 3 | ", "class A | class A extends B | ",
                "method A.run | run(x) | Runs it.", "method Thing.go | Thing.prototype.go = function (n) | ",
                "function hidden | function hidden() | "});
  REQUIRE(listed("a.ts",
                 "export interface Shape<T> {\n  area(): number;\n}\n"
                 "export type Id = string | number;\n"
                 "export enum Color { Red }\n"
                 "namespace util { export function f(x: number): void {} }\n"
                 "export default abstract class C { abstract m(): void; }\n") ==
          Lines{"interface Shape | export interface Shape<T> | ", "method Shape.area | area(): number | ",
                "type Id | export type Id = string | number | ", "enum Color | export enum Color | ",
                "module util | namespace util | ", "function util.f | export function f(x: number): void | ",
                "class C | export default abstract class C | ", "method C.m | abstract m(): void | "});
  REQUIRE(listed("a.tsx", "export const App = (p: Props) => <div>{p.x}</div>;\n").size() == 1);
}

TEST_CASE("go symbols", "[unit]") {
  REQUIRE(listed("a.go",
                 "// Package a does things.\npackage a\n\n"
                 "// Limit bounds it.\nconst Limit = 3\n"
                 "// Parser parses.\ntype Parser[T any] struct { x int }\n"
                 "type Reader interface { Read() }\n"
                 "type ID = string\n"
                 "// Next goes on.\nfunc (p *Parser[T]) Next(n int) (int, error) { return 0, nil }\n"
                 "func New() *Parser[int] {\n\treturn nil\n}\n") ==
          Lines{"constant Limit | const Limit = 3 | Limit bounds it.",
                "struct Parser | type Parser[T any] struct | Parser parses.",
                "interface Reader | type Reader interface | ", "type ID | type ID = string | ",
                "method Parser.Next | func (p *Parser[T]) Next(n int) (int, error) | Next goes on.",
                "function New | func New() *Parser[int] | "});
  REQUIRE(structure_of("a.go", "// Package a does things.\npackage a\n").docstring ==
          "Package a does things.");
}

TEST_CASE("java symbols", "[unit]") {
  REQUIRE(listed("A.java",
                 "package x;\n/** A thing.\n * @since 1\n */\npublic class A<T> extends B {\n"
                 "  public static final int MAX = 3;\n  private int y;\n"
                 "  /** Makes one. */\n  public A(int y) { this.y = y; }\n"
                 "  @Override public String toString() { return \"\"; }\n"
                 "  enum Kind { X }\n  interface Inner { void f(); }\n}\n") ==
          Lines{"class A | public class A<T> extends B | A thing.",
                "constant A.MAX | public static final int MAX = 3 | ",
                "method A.A | public A(int y) | Makes one.",
                "method A.toString | @Override public String toString() | ", "enum A.Kind | enum Kind | ",
                "interface A.Inner | interface Inner | ", "method A.Inner.f | void f() | "});
}

TEST_CASE("c and c++ symbols", "[unit]") {
  REQUIRE(
      listed(
          "a.c",
          "/* Copyright 2020 Somebody */\n\n/* Small list. */\n\n#ifndef A_H\n#define A_H\n"
          "#define MAX(a, b) ((a) > (b) ? (a) : (b))\n#define SIZE 3\n"
          "typedef struct node { int x; } node_t;\nenum color { RED };\n"
          "// Adds a node.\nstatic struct node *add(struct node *n, int (*f)(int))\n{\n  int local(void);\n"
          "  return n;\n}\nint declared(void);\nint variable = 3;\n#endif\n") ==
      Lines{"macro MAX | #define MAX(a, b) ((a) > (b) ? (a) : (b)) | ", "macro SIZE | #define SIZE 3 | ",
            "type node_t | typedef struct node | ", "struct node | struct node | ",
            "enum color | enum color | ",
            "function add | static struct node *add(struct node *n, int (*f)(int)) | Adds a node.",
            "function declared | int declared(void) | "});
  REQUIRE(structure_of("a.c", "/* Copyright 2020 Somebody */\n\n/* Small list. */\n\nint x;\n").docstring ==
          "Small list.");
  REQUIRE(listed("a.cpp",
                 "namespace n {\n/// A box.\ntemplate <class T>\nclass Box final : Base {\n public:\n"
                 "  explicit Box(T t) : t_(t) {}\n  ~Box();\n  T get() const;\n  bool operator==(const Box& "
                 "o) const;\n"
                 " private:\n  T t_;\n};\n"
                 "using Id = int;\n}  // namespace n\n"
                 "template <class T>\nT n::Box<T>::get() const { return t_; }\n") ==
          Lines{"class n.Box | template <class T> class Box final : Base | A box.",
                "method n.Box.Box | explicit Box(T t) : t_(t) | ", "method n.Box.~Box | ~Box() | ",
                "method n.Box.get | T get() const | ",
                "method n.Box.operator== | bool operator==(const Box& o) const | ",
                "type n.Id | using Id = int | ",
                "method n.Box<T>.get | template <class T> T n::Box<T>::get() const | "});
}

TEST_CASE("rust symbols", "[unit]") {
  REQUIRE(listed("a.rs",
                 "//! Crate words.\n\n/// A point.\n#[derive(Clone)]\npub struct Point<T> { x: T }\n"
                 "impl<T: Copy> Point<T> {\n    /// Its x.\n    pub fn x(&self) -> T { self.x }\n}\n"
                 "pub trait Shape { fn area(&self) -> f64; }\n"
                 "mod inner { pub const N: usize = 3; }\nmod outer;\n"
                 "macro_rules! m { () => {} }\npub enum E { A }\ntype R = Result<(), E>;\n") ==
          Lines{"struct Point | pub struct Point<T> | A point.",
                "method Point.x | pub fn x(&self) -> T | Its x.", "interface Shape | pub trait Shape | ",
                "method Shape.area | fn area(&self) -> f64 | ", "module inner | mod inner | ",
                "constant inner.N | pub const N: usize = 3 | ", "macro m | macro_rules! m | ",
                "enum E | pub enum E | ", "type R | type R = Result<(), E> | "});
  REQUIRE(structure_of("a.rs", "//! Crate words.\n\nfn f() {}\n").docstring == "Crate words.");
}

TEST_CASE("comments and docstrings lose their marks only", "[unit]") {
  REQUIRE(clean_comment("/**\n * One.\n *\n *   Two.\n */") == "One.\n\n  Two.");
  REQUIRE(clean_comment("// a\n// b * c\n//----\n") == "a\nb * c");
  REQUIRE(clean_comment("### x ###") == "x ###");
  REQUIRE(clean_docstring("r\"\"\"a\\n\n      b\n    c\n    \"\"\"") == "a\\n\n  b\nc");
  REQUIRE(clean_docstring("'x'") == "x");
  REQUIRE(clean_docstring("''").empty());
}
