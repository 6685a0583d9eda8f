#include "data/packing/text_stream.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "core/error.h"

namespace retrace::data {

namespace {

constexpr size_t kPackedBuffer = size_t{1} << 17, kTextBuffer = size_t{1} << 20;
constexpr size_t kMaxLineBytes = size_t{64} << 20;
constexpr int kMaxWindowLog = 27;  // 128 MiB, zstd's own default limit

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Frame {
  uint64_t text = 0, packed = 0;  // where it begins, in text and in the file
};

}  // namespace

struct TextStream::State {
  explicit State(const std::filesystem::path& path)
      : file(path.string()),
        fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)),
        zstd(path.extension() == ".zst"),
        packed(kPackedBuffer, '\0'),
        text(kTextBuffer, '\0') {
    if (fd.get() < 0)
      throw Error(Code::input, fmt::format("cannot be read: {}", std::strerror(errno)), "", file);
    if (zstd) {
      stream.reset(ZSTD_createDStream());
      ensure(stream != nullptr, "zstd gives a stream");
      ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
    }
  }

  // More text behind `text_end`; the buffer starts anew. False at the end of the file.
  bool fill() {
    text_at += used_end;
    used = used_end = 0;
    if (!zstd) {
      used_end = read_raw(text.data(), text.size(), text_at);
      return used_end > 0;
    }
    while (used_end == 0) {
      if (packed_used == packed_end) {
        packed_at += packed_end;
        packed_used = 0;
        packed_end = read_raw(packed.data(), packed.size(), packed_at);
        if (packed_end == 0) {
          if (in_frame) throw Error(Code::corrupt, "the zstd file is cut off", "fetch it again", file);
          return false;
        }
      }
      ZSTD_inBuffer in{packed.data(), packed_end, packed_used};
      ZSTD_outBuffer out{text.data(), text.size(), 0};
      const size_t result = ZSTD_decompressStream(stream.get(), &out, &in);
      if (ZSTD_isError(result))
        throw Error(Code::corrupt, fmt::format("the zstd file is damaged: {}", ZSTD_getErrorName(result)),
                    "fetch it again", file);
      packed_used = in.pos;
      used_end = out.pos;
      in_frame = result != 0;
      const Frame frame{text_at + used_end, packed_at + packed_used};
      if (!in_frame && frame.text > frames.back().text) frames.push_back(frame);
    }
    return true;
  }

  size_t read_raw(char* buffer, size_t size, uint64_t at) const {
    const ssize_t count = ::pread(fd.get(), buffer, size, static_cast<off_t>(at));
    if (count < 0) throw Error(Code::io, fmt::format("cannot be read: {}", std::strerror(errno)), "", file);
    return static_cast<size_t>(count);
  }

  uint64_t position() const { return text_at + used; }

  void seek(uint64_t at) {
    if (at >= text_at && at <= text_at + used_end) {
      used = static_cast<size_t>(at - text_at);
      return;
    }
    if (!zstd) {
      text_at = at;
      used = used_end = 0;
      return;
    }
    Frame best{};
    for (const Frame& frame : frames)
      if (frame.text <= at) best = frame;
    if (at < text_at || best.text > text_at + used_end) {
      ZSTD_initDStream(stream.get());
      text_at = best.text;
      packed_at = best.packed;
      used = used_end = packed_used = packed_end = 0;
      in_frame = false;
    }
    while (at > text_at + used_end)
      if (!fill()) throw short_file();
    used = static_cast<size_t>(at - text_at);
  }

  Error short_file() const {
    return Error(Code::corrupt, "the file is shorter than when it was listed",
                 "it changed meanwhile; run the same command again", file);
  }

  struct FreeStream {
    void operator()(ZSTD_DStream* s) const { ZSTD_freeDStream(s); }
  };
  std::string file;
  Descriptor fd;
  bool zstd, in_frame = false;
  std::unique_ptr<ZSTD_DStream, FreeStream> stream;
  std::string packed, text;
  uint64_t packed_at = 0, text_at = 0;  // of the buffers' first bytes
  size_t packed_used = 0, packed_end = 0, used = 0, used_end = 0;
  std::vector<Frame> frames = {Frame{}};  // where decompression may begin
};

TextStream::TextStream(const std::filesystem::path& file) : state_(std::make_unique<State>(file)) {}
TextStream::~TextStream() = default;

bool TextStream::next_line(std::string* line, uint64_t* begin) {
  State& s = *state_;
  line->clear();
  *begin = s.position();
  bool any = false;
  while (s.used < s.used_end || s.fill()) {
    any = true;
    const char* from = s.text.data() + s.used;
    const size_t left = s.used_end - s.used;
    const void* end = std::memchr(from, '\n', left);
    const size_t size = end ? static_cast<size_t>(static_cast<const char*>(end) - from) : left;
    if (line->size() + size > kMaxLineBytes)
      throw Error(Code::input, fmt::format("a line is longer than {} MiB", kMaxLineBytes >> 20),
                  "leave that file out of the corpus", fmt::format("{}: byte {}", s.file, *begin));
    line->append(from, size);
    s.used += size + (end ? 1 : 0);
    if (end) return true;
  }
  return any;
}

uint64_t TextStream::position() const {
  return state_->position();
}

std::string TextStream::read(uint64_t at, uint64_t size_bytes) {
  State& s = *state_;
  s.seek(at);
  std::string out;
  out.reserve(size_bytes);
  while (out.size() < size_bytes) {
    if (s.used == s.used_end && !s.fill()) throw s.short_file();
    const size_t take = std::min<size_t>(size_bytes - out.size(), s.used_end - s.used);
    out.append(s.text, s.used, take);
    s.used += take;
  }
  return out;
}

}  // namespace retrace::data
