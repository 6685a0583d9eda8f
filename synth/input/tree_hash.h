// What Snapshot::tree_hash and bytes_by_language say of these files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "synth/input/snapshot.h"

namespace retrace::synth {

std::string tree_hash_of(const std::vector<SourceFile>& files);
std::map<std::string, uint64_t> count_languages(const std::vector<SourceFile>& files);

}  // namespace retrace::synth
