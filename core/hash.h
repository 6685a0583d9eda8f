// Content hashes: SHA-256 for identity, XXH3 for speed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace retrace {

std::string sha256_hex(std::string_view bytes);  // 64 lower-case hex digits
uint64_t xxh3_64(std::string_view bytes, uint64_t seed = 0);

// SHA-256 of a stream.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(std::string_view bytes);
  std::string hex();  // once, at the end

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace
