// Which address of this machine others reach it by. No torch here.
#pragma once

#include <string>

namespace retrace::train {

// The numeric address from which this machine would speak to `host` (a name or a number), IPv4 rather than
// IPv6; nothing is sent. "" where the name is unknown or no route leads there.
std::string address_towards(const std::string& host);
bool is_loopback(const std::string& address);  // of a numeric address; "" is none

}  // namespace retrace::train
