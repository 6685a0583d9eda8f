// RFC 4648 base64, for the rare file that is no UTF-8 and so cannot stand in JSON as text.
#pragma once

#include <string>
#include <string_view>

namespace retrace::synth {

std::string to_base64(std::string_view bytes);
std::string from_base64(std::string_view text, const std::string& where);  // Error{corrupt}

}  // namespace retrace::synth
