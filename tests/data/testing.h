// What the tests of this room share: temp folders, public data files, hard strings, small data sets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "data/mds/mds.h"
#include "data/tokenizer/tokenizer.h"
#include "tests/shared.h"

namespace retrace::data::testing {

namespace fs = std::filesystem;

using tests::error_of;
using tests::TempFolder;

// The folder of public data files (RETRACE_TEST_DATA or ../shared/data), or nothing.
std::optional<fs::path> data_file(const std::string& name);

// Strings on which tokenizers differ when they are wrong: odd blanks, joiners, case folding, special names,
// runs.
const std::vector<std::string>& hard_strings();
std::string random_bytes(Random& random, size_t size);
std::string random_unicode(Random& random, size_t code_points);
std::string sample_code();  // a few kilobytes of this repository's own sources

Sample random_sample(Random& random, int64_t length, bool fractional);
bool same(const Sample& a, const Sample& b);

// A byte-level BPE trained on sample_code(), in `folder`.
std::shared_ptr<const Tokenizer> small_tokenizer(const fs::path& folder, int64_t vocab_size = 600);

}  // namespace retrace::data::testing
