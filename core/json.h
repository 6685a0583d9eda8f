// JSON: nlohmann::json behind two doors that are safe for strangers' data.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace retrace {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = size_t{256} << 20;
  int max_depth = 64;
};

// Strict parse. Error{corrupt} (with `where` and the byte offset) on bad syntax, invalid UTF-8, duplicate
// keys, NaN, too many bytes or too much depth. Numbers keep their integer or float type.
Json parse_json(std::string_view text, const std::string& where, JsonLimits limits = {});

// Text of a value: invalid UTF-8 becomes U+FFFD, non-finite numbers become null, nesting above 512 is
// Error{internal}. indent < 0 gives one line.
std::string to_text(const Json& value, int indent = -1);

// Typed access with one clear error: get<int64_t>(object, "num_layers", "config.json").
template <class T>
T get(const Json& object, const char* key, const std::string& where);
template <class T>
T get_or(const Json& object, const char* key, T fallback, const std::string& where);

}  // namespace retrace

#include "core/json_get.h"
