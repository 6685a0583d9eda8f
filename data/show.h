// A sample of an MDS data set for people: spans, lengths, mask, and the text with what is trained told from
// what is only read.
#pragma once

#include <cstdint>
#include <filesystem>

namespace retrace::data {

// Prints sample `sample` of the data set at `folder_or_index` (the folder or its index.json) on stdout; with
// a tokenizer (path not empty) also its text: trained tokens in colour on a terminal, else masked runs in [-
// -]. False, with nothing printed, if the path is no MDS data set. Error{input} on a sample that does not
// exist.
bool show_shard(const std::filesystem::path& folder_or_index, const std::filesystem::path& tokenizer_or_empty,
                int64_t sample);

}  // namespace retrace::data
