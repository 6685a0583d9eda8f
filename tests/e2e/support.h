// What the end-to-end tests share: our own binary as a child process, temp folders, and small repositories
// made on the spot.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/process/process.h"
#include "tests/shared.h"

namespace retrace::e2e {

namespace fs = std::filesystem;

using tests::TempFolder;

// Runs build/retrace; stdout and stderr merged.
ProcessResult retrace(const std::vector<std::string>& arguments, double timeout_s = 300);
// `count` Python packages of a few files each, all different, under `folder`/repos. Returns that folder.
fs::path make_repositories(const fs::path& folder, int count);
std::string micro_recipe();
std::string file_text(const fs::path& path);
void write_text(const fs::path& path, const std::string& text);

}  // namespace retrace::e2e
