// What this binary is.
#pragma once

namespace retrace {

inline constexpr const char* kVersion = "0.1.0";
#if defined(__clang__)
inline constexpr const char* kCompiler = "clang " __clang_version__;
#else
inline constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

}  // namespace retrace
