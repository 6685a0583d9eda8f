// Licence texts are known by sentences that only they contain; names by a table.
#include <algorithm>

#include "synth/input/licence/licence.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

struct TextRule {
  const char* id;
  std::vector<const char*> all;   // each must occur, in normalised form
  std::vector<const char*> none;  // none may occur
};

// Normalised: lower case, every run of other than letters and digits is one blank.
const std::vector<TextRule>& text_rules() {
  static const char* const kBsdSource =
      "redistributions of source code must retain the above copyright notice";
  static const char* const kBsdBinary =
      "redistributions in binary form must reproduce the above copyright notice";
  static const char* const kMitGrant =
      "permission is hereby granted free of charge to any person obtaining a copy";
  static const std::vector<TextRule> rules = {
      {"MIT",
       {kMitGrant, "the above copyright notice and this permission notice shall be included"},
       {"the name of the x consortium", "boost software license"}},
      {"MIT-0",
       {kMitGrant, "to permit persons to whom the software is furnished to do so the software is provided"},
       {}},
      {"X11", {kMitGrant, "the name of the x consortium"}, {}},
      {"BSL-1.0", {"boost software license version 1 0"}, {}},
      {"BSD-3-Clause",
       {kBsdSource, kBsdBinary, "endorse or promote products"},
       {"all advertising materials"}},
      {"BSD-4-Clause", {kBsdSource, kBsdBinary, "all advertising materials"}, {}},
      {"BSD-2-Clause",
       {kBsdSource, kBsdBinary},
       {"endorse or promote products", "all advertising materials"}},
      {"Apache-2.0",
       {"apache license version 2 0", "terms and conditions for use reproduction and distribution"},
       {}},
      {"Apache-2.0",
       {"licensed under the apache license version 2 0"},
       {"terms and conditions for use reproduction"}},
      {"ISC",
       {"permission to use copy modify and or distribute this software for any purpose with or without fee "
        "is hereby",
        "above copyright notice and this permission notice appear in all copies"},
       {}},
      {"ISC",
       {"permission to use copy modify and distribute this software for any purpose with or without fee is "
        "hereby",
        "above copyright notice and this permission notice appear in all copies"},
       {"in supporting documentation"}},
      {"0BSD",
       {"permission to use copy modify and or distribute this software for any purpose with or without fee "
        "is hereby"},
       {"above copyright notice and this permission notice appear"}},
      {"Zlib",
       {"this software is provided as is without any express or implied warranty",
        "altered source versions must be plainly marked as such"},
       {}},
      {"MPL-2.0", {"mozilla public license version 2 0"}, {"gnu general public license version"}},
      {"MPL-2.0", {"terms of the mozilla public license v 2 0"}, {}},
      {"EPL-2.0", {"eclipse public license v 2 0"}, {}},
      {"AGPL-3.0", {"gnu affero general public license version 3 19 november 2007"}, {}},
      {"LGPL-3.0", {"gnu lesser general public license version 3 29 june 2007"}, {}},
      {"LGPL-2.1", {"gnu lesser general public license version 2 1 february 1999"}, {}},
      {"LGPL-2.0", {"gnu library general public license version 2 june 1991"}, {}},
      {"GPL-3.0",
       {"gnu general public license version 3 29 june 2007"},
       {"gnu lesser general public license version 3 29"}},
      {"GPL-2.0", {"gnu general public license version 2 june 1991"}, {}},
      {"Unlicense", {"this is free and unencumbered software released into the public domain"}, {}},
      {"CC0-1.0", {"cc0 1 0 universal"}, {}},
      {"CC0-1.0", {"creative commons legal code", "cc0 1 0"}, {}},
      {"PSF-2.0", {"python software foundation license version 2"}, {"beopen python open source license"}},
      {"Python-2.0",
       {"python software foundation license version 2", "beopen python open source license"},
       {}},
      {"WTFPL", {"do what the fuck you want to public license"}, {}},
      {"Artistic-2.0", {"the artistic license 2 0"}, {}},
  };
  return rules;
}

struct NameRule {
  const char *part, *id;
};
// The first row whose words occur in the normalised name decides, so the particular stand before the general.
constexpr NameRule kNames[] = {{"agpl 3", "AGPL-3.0"},
                               {"agplv3", "AGPL-3.0"},
                               {"affero", "AGPL-3.0"},
                               {"lgpl 3", "LGPL-3.0"},
                               {"lgplv3", "LGPL-3.0"},
                               {"lgpl 2 1", "LGPL-2.1"},
                               {"lgplv2", "LGPL-2.1"},
                               {"lgpl 2", "LGPL-2.1"},
                               {"gpl 3", "GPL-3.0"},
                               {"gplv3", "GPL-3.0"},
                               {"gpl 2", "GPL-2.0"},
                               {"gplv2", "GPL-2.0"},
                               {"apache 2", "Apache-2.0"},
                               {"apache license 2", "Apache-2.0"},
                               {"apache license version 2", "Apache-2.0"},
                               {"apache software license", "Apache-2.0"},
                               {"asl 2", "Apache-2.0"},
                               {"apache", "Apache-2.0"},
                               {"bsd 2", "BSD-2-Clause"},
                               {"simplified bsd", "BSD-2-Clause"},
                               {"2 clause bsd", "BSD-2-Clause"},
                               {"bsd 3", "BSD-3-Clause"},
                               {"3 clause bsd", "BSD-3-Clause"},
                               {"new bsd", "BSD-3-Clause"},
                               {"modified bsd", "BSD-3-Clause"},
                               {"0bsd", "0BSD"},
                               {"bsd", "BSD-3-Clause"},
                               {"isc", "ISC"},
                               {"zlib", "Zlib"},
                               {"mpl 2", "MPL-2.0"},
                               {"mozilla public license 2", "MPL-2.0"},
                               {"mpl", "MPL-2.0"},
                               {"unlicense", "Unlicense"},
                               {"cc0", "CC0-1.0"},
                               {"public domain", "CC0-1.0"},
                               {"boost", "BSL-1.0"},
                               {"bsl 1 0", "BSL-1.0"},
                               {"psf", "PSF-2.0"},
                               {"python software foundation", "PSF-2.0"},
                               {"eclipse public license 2", "EPL-2.0"},
                               {"epl 2", "EPL-2.0"},
                               {"mit 0", "MIT-0"},
                               {"mit", "MIT"}};

std::string normalise(std::string_view text) {
  std::string words;
  words.reserve(text.size());
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
      words += c;
    else if (!words.empty() && words.back() != ' ' && c != '\'')
      words += ' ';
  }
  return words;
}

}  // namespace

std::vector<std::string> licences_in_text(std::string_view text) {
  const std::string words = normalise(text);
  auto has = [&](const char* phrase) { return words.find(phrase) != words.npos; };
  std::vector<std::string> ids;
  for (const auto& rule : text_rules()) {
    if (!std::all_of(rule.all.begin(), rule.all.end(), has)) continue;
    if (std::any_of(rule.none.begin(), rule.none.end(), has)) continue;
    if (std::find(ids.begin(), ids.end(), rule.id) == ids.end()) ids.emplace_back(rule.id);
  }
  return ids;
}

std::string licence_of_name(std::string_view name) {
  std::string words = " " + normalise(name) + " ";
  for (const auto& rule : kNames) {
    const size_t at = words.find(std::string(" ") + rule.part);
    if (at == words.npos) continue;
    const char after = words[at + 1 + std::string_view(rule.part).size()];
    if (after == ' ' || (after >= '0' && after <= '9')) return rule.id;
  }
  return "";
}

}  // namespace retrace::synth
