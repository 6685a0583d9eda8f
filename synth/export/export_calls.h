// What the exports share: calls of tools and their answers, and where a record comes from.
#pragma once

#include <string>

#include "synth/record/trajectory.h"

namespace retrace::synth {

std::string path_of(const Trajectory& t, int file);
// Of a read or write; the bytes of one that is not the whole file are named by their offsets.
Json call_arguments(const Trajectory& t, const Step& step);
std::string write_answer(const Trajectory& t, const Step& step);
Json provenance(const Trajectory& t);
// OpenAI function definitions: read_file and write_file; delegate.
Json file_tools();
Json delegate_tools();

}  // namespace retrace::synth
