#include <catch2/catch_test_macros.hpp>

#include "core/files/files.h"
#include "synth/input/languages.h"
#include "synth/input/licence/licence.h"
#include "tests/synth/input/input_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

namespace {

const std::string kMit =
    "MIT License\n\nCopyright (c) 2020 Somebody\n\nPermission is hereby granted, free of charge, to any "
    "person "
    "obtaining a copy\nof this software ...\n\nThe above copyright notice and this permission notice shall "
    "be "
    "included in all\ncopies or substantial portions of the Software.\n";
const std::string kBsd2 =
    "Redistributions of source code must retain the above copyright notice, this list\n * Redistributions in "
    "binary "
    "form must reproduce the above copyright notice,\n";
const std::string kBsd3 =
    kBsd2 + "Neither the name of X may be used to endorse or promote products derived\n";
const std::string kIsc =
    "Permission to use, copy, modify, and/or distribute this software for any\npurpose with or without fee "
    "is hereby "
    "granted, provided that the above\ncopyright notice and this permission notice appear in all copies.\n";
const std::string kZlib =
    "This software is provided 'as-is', without any express or implied\nwarranty.\n2. Altered source "
    "versions must be "
    "plainly marked as such, and must not be\n";

std::string licence_with(const std::vector<std::pair<std::string, std::string>>& files) {
  LicenceEvidence evidence;
  for (const auto& [path, text] : files)
    evidence.observe(path, text, !language_of(path, text).empty() && path != "setup.py");
  return evidence.verdict();
}

}  // namespace

TEST_CASE("licence texts are told apart", "[unit]") {
  REQUIRE(licences_in_text(kMit) == std::vector<std::string>{"MIT"});
  REQUIRE(licences_in_text(kBsd2) == std::vector<std::string>{"BSD-2-Clause"});
  REQUIRE(licences_in_text(kBsd3) == std::vector<std::string>{"BSD-3-Clause"});
  REQUIRE(licences_in_text(kIsc) == std::vector<std::string>{"ISC"});
  REQUIRE(licences_in_text(kZlib) == std::vector<std::string>{"Zlib"});
  REQUIRE(licences_in_text("This is free and unencumbered software released into the public domain.\n") ==
          std::vector<std::string>{"Unlicense"});
  REQUIRE(licences_in_text("Boost Software License - Version 1.0 - August 17th, 2003\n") ==
          std::vector<std::string>{"BSL-1.0"});
  REQUIRE(licences_in_text("nothing of the kind").empty());
}

TEST_CASE("full texts of the common licences", "[unit]") {
  const fs::path folder = "/usr/share/common-licenses";
  if (!fs::exists(folder / "GPL-3")) SKIP("needs the licence texts of Debian's base-files in " << folder);
  for (const auto& [file, id] : std::vector<std::pair<std::string, std::string>>{{"GPL-2", "GPL-2.0"},
                                                                                 {"GPL-3", "GPL-3.0"},
                                                                                 {"LGPL-2", "LGPL-2.0"},
                                                                                 {"LGPL-2.1", "LGPL-2.1"},
                                                                                 {"LGPL-3", "LGPL-3.0"},
                                                                                 {"Apache-2.0", "Apache-2.0"},
                                                                                 {"MPL-2.0", "MPL-2.0"},
                                                                                 {"CC0-1.0", "CC0-1.0"},
                                                                                 {"BSD", "BSD-3-Clause"}}) {
    INFO(file);
    REQUIRE(licences_in_text(read_file(folder / file)) == std::vector<std::string>{id});
  }
}

TEST_CASE("evidence is weighed: headers of most files, licence files, manifests, README", "[unit]") {
  const std::string header = "# SPDX-License-Identifier: Apache-2.0\n";
  REQUIRE(licence_with({}) == "unknown");
  REQUIRE(licence_with({{"LICENSE", kMit}}) == "MIT");
  REQUIRE(licence_with({{"LICENSE", kMit}, {"a.py", header}, {"b.py", "x\n"}, {"c.py", "x\n"}}) == "MIT");
  REQUIRE(licence_with({{"LICENSE", kMit}, {"a.py", header}, {"b.py", header}}) == "Apache-2.0");
  REQUIRE(licence_with({{"a.c", "/* SPDX-License-Identifier: MIT OR GPL-2.0-only */\n"}}) ==
          "MIT OR GPL-2.0-only");
  REQUIRE(licence_with({{"LICENSE-MIT", kMit}, {"LICENSE-ZLIB", kZlib}}) == "MIT AND Zlib");
  REQUIRE(licence_with({{"LICENSE-MIT", kMit},
                        {"LICENSE-ZLIB", kZlib},
                        {"Cargo.toml", "[package]\nlicense = \"MIT OR Zlib\"\n"}}) == "MIT OR Zlib");
  REQUIRE(licence_with({{"package.json", "{\"license\": \"ISC\"}"}}) == "ISC");
  REQUIRE(licence_with({{"package.json", "{\"license\": {\"type\": \"MIT\"}}"}}) == "MIT");
  REQUIRE(licence_with({{"package.json", "{broken"}}) == "unknown");
  REQUIRE(licence_with({{"pyproject.toml", "[project]\nlicense = {text = \"BSD-3-Clause\"}\n"}}) ==
          "BSD-3-Clause");
  REQUIRE(licence_with({{"setup.py", "setup(\n    license='Apache 2.0',\n)\n"}}) == "Apache-2.0");
  REQUIRE(licence_with({{"PKG-INFO", "Classifier: License :: OSI Approved :: MIT License\n"}}) == "MIT");
  REQUIRE(licence_with({{"pom.xml", "<licenses><license><name>Apache License, Version 2.0</name>"}}) ==
          "Apache-2.0");
  REQUIRE(licence_with({{"README.md", "# Thing\n\n" + kIsc}}) == "ISC");
  REQUIRE(licence_with({{"deep/inside/LICENSE", kMit}}) == "unknown");
}

TEST_CASE("names of licences in manifests", "[unit]") {
  for (const auto& [name, id] :
       std::vector<std::pair<std::string, std::string>>{{"MIT", "MIT"},
                                                        {"MIT License", "MIT"},
                                                        {"The MIT License (MIT)", "MIT"},
                                                        {"BSD", "BSD-3-Clause"},
                                                        {"BSD-2-Clause", "BSD-2-Clause"},
                                                        {"Apache License 2.0", "Apache-2.0"},
                                                        {"GPLv3", "GPL-3.0"},
                                                        {"LGPL-2.1", "LGPL-2.1"},
                                                        {"MPL-2.0", "MPL-2.0"},
                                                        {"ISC license", "ISC"},
                                                        {"CC0-1.0", "CC0-1.0"},
                                                        {"Proprietary", ""},
                                                        {"permitted", ""}}) {
    INFO(name);
    REQUIRE(licence_of_name(name) == id);
  }
}
