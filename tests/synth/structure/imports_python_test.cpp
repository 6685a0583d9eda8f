// Python imports: the hard cases of the language's search rules.
#include <catch2/catch_test_macros.hpp>

#include "tests/synth/structure/imports_testing.h"

using namespace retrace::synth;
using namespace retrace::synth::testing;
using Lines = std::vector<std::string>;

TEST_CASE("python: absolute, relative and from-imports", "[unit]") {
  REQUIRE(edges_of({{"pkg/__init__.py", "x = 1\n"},
                    {"pkg/a.py", "import os, sys as system\nimport pkg.b\nfrom pkg import c, x\n"},
                    {"pkg/b.py", "from . import c\nfrom .sub import deep, name\n"},
                    {"pkg/c.py", "from .sub.deep import f as g\n"},
                    {"pkg/sub/__init__.py", "name = 1\n"},
                    {"pkg/sub/deep.py", "from .. import x\nfrom ..missing import y\n"},
                    {"main.py", "import pkg.sub.deep as d\nfrom pkg.a import *\nimport pkg\n"}}) ==
          Lines{"main.py -> pkg/__init__.py", "main.py -> pkg/a.py", "main.py -> pkg/sub/deep.py",
                "pkg/a.py -> pkg/__init__.py", "pkg/a.py -> pkg/b.py", "pkg/a.py -> pkg/c.py",
                "pkg/b.py -> pkg/c.py", "pkg/b.py -> pkg/sub/__init__.py", "pkg/b.py -> pkg/sub/deep.py",
                "pkg/c.py -> pkg/sub/deep.py", "pkg/sub/deep.py -> pkg/__init__.py"});
}

TEST_CASE("python: what need not run at import is soft", "[unit]") {
  REQUIRE(edges_of({{"a.py", ""},
                    {"b.py", ""},
                    {"c.py", ""},
                    {"d.py", ""},
                    {"e.py", ""},
                    {"m.py",
                     "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n"
                     "def f():\n    import b\n"
                     "try:\n    import c\nexcept ImportError:\n    c = None\n"
                     "class K:\n    import d\n"
                     "import e\ndef g():\n    import e\n"}}) ==
          Lines{"m.py -> d.py", "m.py -> e.py", "m.py ~> a.py", "m.py ~> b.py", "m.py ~> c.py"});
}

TEST_CASE("python: src layouts, namespace packages, scripts, stubs and tests", "[unit]") {
  REQUIRE(edges_of({{"src/app/__init__.py", ""},
                    {"src/app/core.py", "import app.util\n"},
                    {"src/app/util.py", ""},
                    {"tests/test_core.py", "from app.core import f\nimport helper\n"},
                    {"tests/helper.py", "from app import util\n"}}) ==
          Lines{"src/app/core.py -> src/app/util.py", "tests/helper.py -> src/app/util.py",
                "tests/test_core.py -> src/app/core.py", "tests/test_core.py -> tests/helper.py"});
  REQUIRE(edges_of({{"ns/one/a.py", "import ns.two.b\nfrom ns.two import b as c\nfrom ns import two\n"},
                    {"ns/two/b.py", "from ..one import a\n"}}) ==
          Lines{"ns/one/a.py -> ns/two/b.py", "ns/two/b.py -> ns/one/a.py"});
  REQUIRE(edges_of({{"libs/x/src/x/__init__.py", ""}, {"libs/y/src/y/__init__.py", "import x\n"}}) ==
          Lines{"libs/y/src/y/__init__.py -> libs/x/src/x/__init__.py"});
  REQUIRE(edges_of({{"m.py", "x = 1\n"}, {"m.pyi", "x: int\n"}, {"n.py", "import m\n"}}) ==
          Lines{"m.pyi ~> m.py", "n.py -> m.py"});
  REQUIRE(edges_of({{"p/__init__.py", ""}, {"p.py", ""}, {"q.py", "import p\n"}}) ==
          Lines{"q.py -> p/__init__.py"});
}

TEST_CASE("python: the standard library is not the tree's look-alike", "[unit]") {
  REQUIRE(edges_of({{"tests/fixtures/proj/json/__init__.py", ""}, {"app/a.py", "import json\n"}}).empty());
  REQUIRE(edges_of({{"json/__init__.py", ""}, {"a.py", "import json\n"}}) ==
          Lines{"a.py -> json/__init__.py"});
  REQUIRE(edges_of({{"docs/guide.md", "x\n"}, {"a.py", "import docs\n"}}).empty());
  // The root itself is the package: its name is the snapshot's.
  REQUIRE(edges_of({{"__init__.py", "from json import decoder\nimport json.scanner\n"},
                    {"decoder.py", "from . import scanner\n"},
                    {"scanner.py", ""}},
                   "json") ==
          Lines{"__init__.py -> decoder.py", "__init__.py -> scanner.py", "decoder.py -> scanner.py"});
}

TEST_CASE("python: lines, names and counts", "[unit]") {
  const Structure structure = structure_of({{"a.py", ""},
                                            {"b.py",
                                             "\nimport a\nfrom a import (x,\n    y as z)\nimport os\n"
                                             "from a.b import q\nfrom ...up import r\n"}});
  REQUIRE(structure.edges.size() == 1);
  REQUIRE(structure.edges[0].line == 2);
  REQUIRE(structure.edges[0].names == std::vector<std::string>{"x", "y", "q"});
  REQUIRE(structure.external_imports == 1);
  REQUIRE(structure.unresolved_imports == 2);
  REQUIRE(structure.files[1].imports == std::vector<std::string>{"a", "a", "os", "a.b", "...up"});
}
