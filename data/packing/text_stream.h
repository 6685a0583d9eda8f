// A text file, plain or zstd, read by position in its uncompressed bytes. Going forward is one pass; going
// back starts again at the nearest zstd frame seen so far. Memory: one line, or what read() is asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace retrace::data {

class TextStream {
 public:
  explicit TextStream(const std::filesystem::path& file);  // zstd if the name ends in .zst
  ~TextStream();
  // The next line without its end, and where it begins; false at the end. Error{input} above 64 MiB.
  bool next_line(std::string* line, uint64_t* begin);
  uint64_t position() const;  // where the next line begins
  // Bytes [at, at + size). Error{corrupt} if the file has fewer.
  std::string read(uint64_t at, uint64_t size_bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace::data
