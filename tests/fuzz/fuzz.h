// One fuzz target a program: what a stranger's bytes may do to a reader. An Error is an answer; any other
// exception, a signal, a sanitizer's report or a broken property is a finding. Run by libFuzzer (the `fuzz`
// preset, scripts/fuzz) or by our own deterministic driver (driver.cpp, in the ordinary tests).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace retrace::fuzz {

std::vector<std::string> seeds();       // valid inputs of this target
std::vector<std::string> dictionary();  // pieces that its format likes

// A folder of this process, in memory where the system has one; removed at its end.
const std::filesystem::path& scratch();
void spill(const std::filesystem::path& file, const std::string& bytes);
// A reader took the input: every seed must come to this, or the target tests nothing.
void accepted();
uint64_t n_accepted();
// Ends the program with a message if a property does not hold.
void must(bool holds, const char* property);

}  // namespace retrace::fuzz
