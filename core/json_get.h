// The templates of core/json.h.
#pragma once

#include <limits>
#include <utility>

#include "core/error.h"
#include "core/json.h"

namespace retrace {

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

}  // namespace retrace
