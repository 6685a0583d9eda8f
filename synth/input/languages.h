// Which language a file is written in, by name, extension or shebang.
#pragma once

#include <string>
#include <string_view>

namespace retrace::synth {

// python, javascript, typescript, tsx, go, java, c, cpp, rust; "h" for a header that is C or C++ depending on
// the repository; "" for everything else. `content` is looked at only for a shebang line.
std::string language_of(std::string_view path, std::string_view content);

}  // namespace retrace::synth
