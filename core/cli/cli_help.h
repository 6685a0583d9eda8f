// What the command line prints about itself. For core/cli/cli.cpp and core/cli/completion.cpp only.
#pragma once

#include <string>
#include <vector>

#include "core/cli/cli.h"

namespace retrace::cli_help {

// Options that every verb takes; the last ones only with a recipe.
std::vector<OptionSpec> common_options(bool takes_recipe);
// Verbs of the command line itself: help, completion, reference.
std::vector<Verb> built_in_verbs();
std::string overview(const std::vector<Verb>& verbs);
std::string verb_page(const Verb& verb);

}  // namespace retrace::cli_help
