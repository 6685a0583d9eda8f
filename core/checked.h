// Size arithmetic that cannot wrap: an overflow is Error{corrupt} naming what was computed, because sizes
// that overflow come from files, not from us.
#pragma once

#include <string_view>
#include <type_traits>

#include "core/error.h"

namespace retrace {

template <class T>
T checked_add(T a, std::type_identity_t<T> b, std::string_view what) {
  static_assert(std::is_integral_v<T>);
  T sum;
  if (__builtin_add_overflow(a, b, &sum)) fail(Code::corrupt, "{}: {} + {} is too large", what, a, b);
  return sum;
}

template <class T>
T checked_mul(T a, std::type_identity_t<T> b, std::string_view what) {
  static_assert(std::is_integral_v<T>);
  T product;
  if (__builtin_mul_overflow(a, b, &product)) fail(Code::corrupt, "{}: {} x {} is too large", what, a, b);
  return product;
}

// The same number in another integer type, or Error{corrupt}.
template <class To, class From>
To checked_cast(From value, std::string_view what) {
  static_assert(std::is_integral_v<To> && std::is_integral_v<From>);
  To out;
  if (__builtin_add_overflow(value, From{0}, &out))
    fail(Code::corrupt, "{}: {} does not fit into {} bits", what, value, sizeof(To) * 8);
  return out;
}

}  // namespace retrace
