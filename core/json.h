// JSON: nlohmann::json behind two doors that are safe for strangers' data.
#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace retrace {

using Json = nlohmann::ordered_json;

}  // namespace retrace

// Compiled once, in core/json_instances.cpp, instead of in every file that touches a value.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace retrace {

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

// Typed access with one clear error: get<int64_t>(object, "num_layers", "config.json"). Error{corrupt} where
// the key is missing, has another type or does not fit; get_or gives `fallback` where it is missing or null.
// Whether an integer of JSON fits into T; nlohmann would wrap it silently.
template <class T>
bool json_integer_fits(const Json& value) {
  return value.is_number_unsigned() ? std::in_range<T>(value.get<uint64_t>())
                                    : std::in_range<T>(value.get<int64_t>());
}

template <class T>
T get(const Json& object, const char* key, const std::string& where) {
  if (!object.is_object()) throw Error(Code::corrupt, "expected an object", "", where);
  auto found = object.find(key);
  if (found == object.end()) throw Error(Code::corrupt, fmt::format("key '{}' is missing", key), "", where);
  try {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      if (!found->is_number_integer())
        throw Error(Code::corrupt, fmt::format("key '{}' is not an integer", key), "", where);
      if (!json_integer_fits<T>(*found))
        throw Error(Code::corrupt, fmt::format("key '{}' is out of range: {}", key, found->dump()), "",
                    where);
    }
    return found->template get<T>();
  } catch (const nlohmann::json::exception&) {
    throw Error(Code::corrupt, fmt::format("key '{}' has the wrong type", key), "", where);
  }
}

template <class T>
T get_or(const Json& object, const char* key, T fallback, const std::string& where) {
  if (object.is_object()) {
    auto found = object.find(key);
    if (found == object.end() || found->is_null()) return fallback;
  }
  return get<T>(object, key, where);
}

// Compiled once, in core/json_instances.cpp.
extern template bool get<bool>(const Json&, const char*, const std::string&);
extern template bool get_or<bool>(const Json&, const char*, bool, const std::string&);
extern template int get<int>(const Json&, const char*, const std::string&);
extern template int get_or<int>(const Json&, const char*, int, const std::string&);
extern template int64_t get<int64_t>(const Json&, const char*, const std::string&);
extern template int64_t get_or<int64_t>(const Json&, const char*, int64_t, const std::string&);
extern template uint32_t get<uint32_t>(const Json&, const char*, const std::string&);
extern template uint32_t get_or<uint32_t>(const Json&, const char*, uint32_t, const std::string&);
extern template uint64_t get<uint64_t>(const Json&, const char*, const std::string&);
extern template uint64_t get_or<uint64_t>(const Json&, const char*, uint64_t, const std::string&);
extern template double get<double>(const Json&, const char*, const std::string&);
extern template double get_or<double>(const Json&, const char*, double, const std::string&);
extern template std::string get<std::string>(const Json&, const char*, const std::string&);
extern template std::string get_or<std::string>(const Json&, const char*, std::string, const std::string&);
extern template Json get<Json>(const Json&, const char*, const std::string&);
extern template Json get_or<Json>(const Json&, const char*, Json, const std::string&);
extern template std::vector<std::string> get<std::vector<std::string>>(const Json&, const char*,
                                                                       const std::string&);
extern template std::vector<std::string> get_or<std::vector<std::string>>(const Json&, const char*,
                                                                          std::vector<std::string>,
                                                                          const std::string&);
extern template std::vector<int64_t> get<std::vector<int64_t>>(const Json&, const char*, const std::string&);
extern template std::vector<int64_t> get_or<std::vector<int64_t>>(const Json&, const char*,
                                                                  std::vector<int64_t>, const std::string&);
extern template std::vector<double> get<std::vector<double>>(const Json&, const char*, const std::string&);
extern template std::vector<double> get_or<std::vector<double>>(const Json&, const char*, std::vector<double>,
                                                                const std::string&);

}  // namespace retrace
