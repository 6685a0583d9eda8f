// Imports of the other languages.
#include <catch2/catch_test_macros.hpp>

#include "tests/synth/structure/imports_testing.h"

using namespace retrace::synth;
using namespace retrace::synth::testing;
using Lines = std::vector<std::string>;

TEST_CASE("c: quotes, include folders, suffixes and stems", "[unit]") {
  REQUIRE(edges_of({{"include/lib/api.h", "#include <stddef.h>\n"},
                    {"src/api.c", "#include \"lib/api.h\"\n#include \"util.h\"\n#include <stdio.h>\n"},
                    {"src/util.h", "#pragma once\n"},
                    {"src/util.c", "#include \"../src/util.h\"\n#include \"missing.h\"\n"},
                    {"src/lone.c", "int x;\n"},
                    {"include/lone.h", "extern int x;\n"},
                    {"tools/t.c", "#include <lib/api.h>\n#include \"deep/inner.h\"\n"},
                    {"a/deep/inner.h", "#pragma once\n"}}) ==
          Lines{"src/api.c -> include/lib/api.h", "src/api.c -> src/util.h", "src/lone.c ~> include/lone.h",
                "src/util.c -> src/util.h", "tools/t.c -> a/deep/inner.h", "tools/t.c -> include/lib/api.h"});
}

TEST_CASE("c: ambiguity goes to the nearest ancestor or stays open", "[unit]") {
  const Files files = {{"x/one/conf/c.h", ""},
                       {"y/one/conf/c.h", ""},
                       {"x/m.c", "#include \"conf/c.h\"\n"},
                       {"z/m2.c", "#include \"conf/c.h\"\n#include MACRO\n#include <string.h>\n"},
                       {"lib/string.h", ""}};
  REQUIRE(edges_of(files) == Lines{"x/m.c -> x/one/conf/c.h"});
  const Structure structure = structure_of(files);
  REQUIRE(structure.unresolved_imports == 2);
  REQUIRE(structure.external_imports == 1);
}

TEST_CASE("c: a header that configuring makes is read from its template", "[unit]") {
  REQUIRE(edges_of({{"src/a.c", "#include \"config.h\"\n#include \"b.h\"\n"},
                    {"src/config.h.in", "#undef HAVE_X\n"},
                    {"win32/config.h", "#define X 1\n"},
                    {"win32/b.h", "#include \"config.h\"\n"}}) ==
          Lines{"src/a.c -> win32/b.h", "src/a.c ~> src/config.h.in", "win32/b.h -> win32/config.h"});
}

TEST_CASE("javascript and typescript: extensions left out, folders, workspaces, types", "[unit]") {
  REQUIRE(edges_of({{"src/a.ts",
                     "import { b } from './b';\nimport type { T } from './types';\nimport x from 'react';\n"},
                    {"src/b.ts", "export * from './dir';\nimport './made.js';\n"},
                    {"src/types.d.ts", "export type T = 1;\n"},
                    {"src/dir/index.ts", "export const c = require('../made');\n"},
                    {"src/made.ts", "function f() { return require('./a'); }\nconst m = import('./b');\n"},
                    {"packages/core/package.json", "{\"name\": \"@me/core\", \"main\": \"lib/main.js\"}"},
                    {"packages/core/lib/main.js", "module.exports = 1;\n"},
                    {"packages/app/app.js", "import core from '@me/core';\nimport '../../nowhere';\n"}}) ==
          Lines{"packages/app/app.js -> packages/core/lib/main.js", "src/a.ts -> src/b.ts",
                "src/a.ts ~> src/types.d.ts", "src/b.ts -> src/dir/index.ts", "src/b.ts -> src/made.ts",
                "src/dir/index.ts -> src/made.ts", "src/made.ts ~> src/a.ts", "src/made.ts ~> src/b.ts"});
}

TEST_CASE("javascript: path aliases, exports, imports and built files", "[unit]") {
  REQUIRE(edges_of({{"tsconfig.base.json",
                     "{ // shared\n \"compilerOptions\": {\"baseUrl\": \"./lib\", \"paths\": {\"@/*\": "
                     "[\"app/*\", \"gen/*\"],}, },\n}"},
                    {"tsconfig.json", "{\"extends\": \"./tsconfig.base\" /* base */}"},
                    {"main.ts",
                     "import a from '@/a';\nimport b from '@/b';\nimport c from 'plain';\nimport l from "
                     "'left-pad';\n"},
                    {"lib/app/a.ts", "export default 1;\n"},
                    {"lib/gen/b.ts", "export default 2;\n"},
                    {"lib/plain.ts", "export default 3;\n"},
                    {"packages/p/package.json",
                     "{\"name\": \"p\", \"exports\": {\".\": {\"import\": \"./dist/index.mjs\", \"require\": "
                     "\"./cjs.cjs\"}, "
                     "\"./x/*\": \"./src/deep/*.ts\"}, \"imports\": {\"#own\": \"./src/own.ts\"}}"},
                    {"packages/p/tsconfig.json",
                     "{\"compilerOptions\": {\"outDir\": \"dist\", \"rootDir\": \"src\"}}"},
                    {"packages/p/cjs.cjs", "require('./dist/own.js');\n"},
                    {"packages/p/src/index.mts", "import '#own';\n"},
                    {"packages/p/src/own.ts", "export {};\n"},
                    {"packages/p/src/deep/d.ts", "export {};\n"},
                    {"use.mjs", "import 'p';\nimport 'p/x/d';\n"},
                    {"use.cjs", "require('p');\n"}}) ==
          Lines{"main.ts -> lib/app/a.ts", "main.ts -> lib/gen/b.ts", "main.ts -> lib/plain.ts",
                "packages/p/cjs.cjs -> packages/p/src/own.ts",
                "packages/p/src/index.mts -> packages/p/src/own.ts", "use.cjs -> packages/p/cjs.cjs",
                "use.mjs -> packages/p/src/deep/d.ts", "use.mjs -> packages/p/src/index.mts"});
}

TEST_CASE("go: module paths, and uses inside a package", "[unit]") {
  REQUIRE(
      edges_of(
          {{"go.mod", "module example.com/m // the module\n\ngo 1.20\n"},
           {"main.go",
            "package main\n\nimport (\n\t\"fmt\"\n\tu \"example.com/m/util\"\n)\n\nfunc main() { u.F() }\n"},
           {"util/f.go", "package util\n\nfunc F() { helper() }\n"},
           {"util/h.go", "package util\n\nfunc helper() {}\n"},
           {"util/f_test.go", "package util\n\nfunc TestF() { F() }\n"}}) ==
      Lines{"main.go -> util/f.go", "main.go -> util/h.go", "util/f.go ~> util/h.go",
            "util/f_test.go ~> util/f.go"});
}

TEST_CASE("java: types, wildcards, statics, nested types and packages", "[unit]") {
  REQUIRE(
      edges_of(
          {{"a/A.java",
            "package a;\nimport b.B;\nimport b.B.Inner;\nimport java.util.List;\nclass A { Helper h; }\n"},
           {"a/Helper.java", "package a;\nimport static b.Util.max;\nclass Helper {}\n"},
           {"b/B.java", "package b;\npublic class B { static class Inner {} }\n"},
           {"b/Util.java", "package b;\npublic class Util { public static int max; }\n"},
           {"c/C.java", "package c;\nimport b.*;\nclass C { Util u; }\n"}}) ==
      Lines{"a/A.java -> b/B.java", "a/A.java ~> a/Helper.java", "a/Helper.java -> b/Util.java",
            "c/C.java -> b/Util.java"});
}

TEST_CASE("rust: mod is containment, use is the edge", "[unit]") {
  REQUIRE(edges_of({{"Cargo.toml", "[package]\nname = \"my-lib\"\n"},
                    {"src/lib.rs", "mod a;\npub mod b;\n#[path = \"odd.rs\"]\nmod c;\nmod missing;\n"},
                    {"src/a.rs",
                     "use crate::b::{self, deep::D, *};\nuse std::fmt;\nmod tests { use super::*; }\n"},
                    {"src/b/mod.rs", "pub mod deep;\n"},
                    {"src/b/deep.rs", "use super::super::c::X;\nfn f() { use crate::a::Y; }\n"},
                    {"src/odd.rs", "pub struct X;\n"},
                    {"tests/it.rs", "use my_lib::a::Z;\n"}}) ==
          Lines{"src/a.rs -> src/b/deep.rs", "src/a.rs -> src/b/mod.rs", "src/b/deep.rs -> src/odd.rs",
                "src/b/deep.rs ~> src/a.rs", "src/b/mod.rs ~> src/b/deep.rs", "src/lib.rs ~> src/a.rs",
                "src/lib.rs ~> src/b/mod.rs", "src/lib.rs ~> src/odd.rs", "tests/it.rs -> src/a.rs"});
}

TEST_CASE("go: what hides a package-level name, files of other packages, replace", "[unit]") {
  REQUIRE(
      edges_of({{"go.mod", "module m\n\nreplace (\n\tother.org/x v1.0.0 => ./x // here\n)\n"},
                {"a.go",
                 "package m\n\nimport (\n\t\"net/http\"\n\t\"other.org/x\"\n)\n\n"
                 "type T struct{ Name string }\n\nfunc f(size int) T {\n\tif kind := size; kind > 0 {\n"
                 "\t\tx.F()\n\t}\n\tvar h http.Handler\n\treturn T{Name: limit}\n}\n"},
                {"names.go", "package m\n\nvar (\n\tName, kind = 1, 2\n\tsize = 3\n)\n\ntype Handler int\n"},
                {"limit.go", "package m\n\nconst limit = \"x\"\n"},
                {"a_test.go", "package m_test\n\nimport \"m\"\n\nvar limit = m.T{}\n"},
                {"gen.go", "// +build ignore\n\npackage main\n\nfunc main() {}\n"},
                {"x/x.go", "package x\n\nfunc F() {}\n"}}) ==
      Lines{"a.go -> x/x.go", "a.go ~> limit.go", "a_test.go -> a.go", "a_test.go -> limit.go",
            "a_test.go -> names.go"});
}

TEST_CASE("java: what hides a type, several source roots, names written out", "[unit]") {
  REQUIRE(
      edges_of(
          {{"one/src/main/java/p/A.java",
            "package p;\nimport java.util.Name;\nclass A { Name n; Inner i; q.sub.Far f; class Inner {} }\n"},
           {"one/src/main/java/p/Name.java", "package p;\nclass Name {}\n"},
           {"one/src/main/java/p/Inner.java", "package p;\nclass Inner {}\n"},
           {"one/src/main/java/p/Twin.java", "package p;\nclass Twin {}\n"},
           {"one/src/test/java/p/ATest.java", "package p;\nclass ATest { Twin t; A.Name n; }\n"},
           {"two/src/main/java/p/Twin.java", "package p;\nclass Twin {}\n"},
           {"two/src/main/java/p/B.java", "package p;\nclass B<A> { Twin t; A a; }\n"},
           {"two/src/main/java/q/sub/Far.java", "package q.sub;\npublic class Far {}\n"}}) ==
      Lines{"one/src/main/java/p/A.java ~> two/src/main/java/q/sub/Far.java",
            "one/src/test/java/p/ATest.java ~> one/src/main/java/p/A.java",
            "one/src/test/java/p/ATest.java ~> one/src/main/java/p/Twin.java",
            "two/src/main/java/p/B.java ~> two/src/main/java/p/Twin.java"});
}

TEST_CASE("rust: re-exports, renamed crates, roots that a manifest names, cfg_if, tests", "[unit]") {
  REQUIRE(
      edges_of({{"Cargo.toml", "[workspace]\nmembers = [\"core\", \"app\"]\n"},
                {"core/Cargo.toml", "[package]\nname = \"my-core\"\n[lib]\npath = \"lib/root.rs\"\n"},
                {"core/lib/root.rs",
                 "mod error;\nmod imp;\npub use error::Error;\npub use imp::*;\ncfg_if! {\n if #[cfg(unix)] "
                 "{ mod unix; use "
                 "unix as sys; } else { mod other; }\n}\n"},
                {"core/lib/error.rs", "pub struct Error;\n"},
                {"core/lib/imp.rs",
                 "use crate::Error;\npub fn run() {}\nfn f() { crate::sys::open(); }\n#[cfg(test)]\nmod "
                 "tests {\n use "
                 "crate::sys::close;\n}\n"},
                {"core/lib/unix.rs", "pub fn open() {}\npub fn close() {}\n"},
                {"core/lib/other.rs", "pub fn open() {}\n"},
                {"app/Cargo.toml",
                 "[package]\nname = \"app\"\n[[bin]]\nname = \"app\"\npath = "
                 "\"start.rs\"\n[dependencies]\nkernel = { "
                 "package = \"my-core\", path = \"../core\" }\n"},
                {"app/start.rs", "use kernel::{run, Error as E};\nuse serde::Serialize;\nfn main() {}\n"}}) ==
      Lines{"app/start.rs -> core/lib/error.rs", "app/start.rs -> core/lib/imp.rs",
            "core/lib/imp.rs -> core/lib/error.rs", "core/lib/imp.rs ~> core/lib/unix.rs",
            "core/lib/root.rs -> core/lib/error.rs", "core/lib/root.rs -> core/lib/imp.rs",
            "core/lib/root.rs -> core/lib/unix.rs", "core/lib/root.rs ~> core/lib/other.rs"});
}
