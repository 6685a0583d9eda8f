// What part a file plays in a repository, judged by its path: manifest, source, test or documentation.
#pragma once

#include <string_view>

namespace retrace::synth {

enum class Role { manifest, source, test, documentation };  // in writing order, where no edge says otherwise

Role role_of(std::string_view path, std::string_view language);

}  // namespace retrace::synth
