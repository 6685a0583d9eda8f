// What a sub-agent's thought may say, gathered from what its context shows; and, apart from it, the outline
// of the file to come.
#pragma once

#include <string>
#include <vector>

#include "synth/generate/generator.h"

namespace retrace::synth {

struct SeenSymbol {
  int file = 0;
  std::string name, kind, signature, docstring;  // docstring: its first sentence, if that was shown too
};

struct FileFacts {
  std::string path, purpose;                         // as the plan has them; purpose without a final stop
  std::vector<std::string> written, pending, users;  // paths, as the plan's rows name them
  std::vector<std::string> read;                     // paths that this sub-agent has read so far
  std::vector<SeenSymbol> seen;                      // symbols whose whole signature those readings showed
};

FileFacts gather_facts(const SlotRequest& request);

// Single sentences, each a fact: from the context only (never the file itself), or from the file's outline.
std::vector<std::string> context_facts(const SlotRequest& request, const FileFacts& facts);
std::vector<std::string> outline_facts(const SlotRequest& request);

// Symbol of a file as a signature in backticks on one line, shortened where it is long.
std::string signature_text(const std::string& signature);

}  // namespace retrace::synth
