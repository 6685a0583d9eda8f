// What the tests of the streaming stage share: a list of repositories of all kinds, a corpus of tiny ones,
// and processes that are killed.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "core/recipe/recipe.h"
#include "synth/synthesis.h"
#include "tests/synth/memory_sources.h"

namespace retrace::synth::streaming {

// Folders, archives and a JSONL file under `folder`, with exact and near duplicates, an empty repository, a
// broken archive and a name that does not exist, and list.txt, which names them all. Returns the list.
std::filesystem::path make_listed_repositories(const std::filesystem::path& folder, int n_folders);

// `n` repositories of one or two short files, as zstd-compressed JSONL, written in constant memory. Every
// thousandth equals the one before it.
void write_tiny_corpus(const std::filesystem::path& file, int64_t n);
// The text of the repository `number`'s module.
std::string tiny_module(int64_t number);

Recipe stream_recipe(const std::vector<Override>& overrides = {});
SynthJob stream_job(const std::filesystem::path& input, const std::filesystem::path& out);

using handmade::results_in;

// Runs `work` in a forked process, kills it with SIGKILL after `kill_after_s` unless it ended before; false
// if it was killed. Fails the test if it ends by itself with an error.
bool survives(const std::function<void()>& work, double kill_after_s);

// A field of /proc/self/status in KiB: VmHWM (peak), VmRSS.
int64_t status_kib(const std::string& field);

}  // namespace retrace::synth::streaming
