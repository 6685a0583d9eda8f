// tar (plain, gzip, xz, bzip2, zstd) and zip through libarchive, read in two passes and never unpacked to
// disk: first the names, sizes and kinds, then the wanted contents.
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "synth/input/source.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

namespace fs = std::filesystem;
constexpr uint64_t kRatioFloorBytes = uint64_t{16} << 20;  // below this any compression ratio is fine
constexpr uint64_t kMaxRatio = 200;

struct FreeArchive {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using OwnedArchive = std::unique_ptr<archive, FreeArchive>;

// libarchive converts names through the thread's locale; only in a UTF-8 one are all names kept.
class Utf8Locale {
 public:
  Utf8Locale() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", static_cast<locale_t>(nullptr))) {
    if (locale_ == static_cast<locale_t>(nullptr))
      throw Error(Code::input, "this system has no C.UTF-8 locale, without which archives cannot be read",
                  "install the C library's locale files, or unpack the archive and name the folder");
    before_ = ::uselocale(locale_);
  }
  ~Utf8Locale() {
    ::uselocale(before_);
    ::freelocale(locale_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t locale_, before_{};
};

class ArchiveSource : public Source {
 public:
  explicit ArchiveSource(fs::path file) : file_(std::move(file)) {
    std::error_code error;
    packed_bytes_ = fs::file_size(file_, error);
    if (error) throw Error(Code::input, "the archive cannot be read: " + error.message(), "", file_.string());
  }

  std::string kind() const override { return "archive"; }

  std::vector<SourceEntry> list(const SourceLimits& limits) override {
    std::vector<SourceEntry> entries;
    indices_.clear();
    uint64_t unpacked_bytes = 0;
    const Utf8Locale locale;
    const OwnedArchive reader = open();
    for (size_t index = 0; archive_entry* raw = next(reader.get()); ++index) {
      if (index >= limits.max_entries)
        throw Error(Code::input, fmt::format("more than {} entries", limits.max_entries),
                    "unpack it and name the part that is meant", file_.string());
      SourceEntry entry = describe(raw);
      unpacked_bytes += std::min<uint64_t>(entry.size_bytes, limits.max_unpacked_bytes + 1);
      check_bomb(unpacked_bytes, limits);
      if (archive_entry_filetype(raw) == AE_IFDIR) continue;
      entries.push_back(std::move(entry));
      indices_.push_back(index);
    }
    return entries;
  }

  void read(const std::vector<bool>& wanted, const SourceLimits& limits, const Receive& receive) override {
    const Utf8Locale locale;
    const OwnedArchive reader = open();
    size_t entry = 0;
    for (size_t index = 0; entry < indices_.size() && next(reader.get()) != nullptr; ++index) {
      if (indices_[entry] != index) continue;
      if (wanted[entry]) receive(entry, contents(reader.get(), limits.max_file_bytes));
      ++entry;
    }
    if (entry < indices_.size())
      throw Error(Code::input, "the archive changed while it was read", "", file_.string());
  }

 private:
  OwnedArchive open() const {
    OwnedArchive reader(archive_read_new());
    ensure(reader != nullptr, "libarchive gives a reader");
    archive_read_support_filter_gzip(reader.get());
    archive_read_support_filter_bzip2(reader.get());
    archive_read_support_filter_xz(reader.get());
    archive_read_support_filter_zstd(reader.get());
    archive_read_support_format_tar(reader.get());
    archive_read_support_format_zip(reader.get());
    archive_read_set_options(reader.get(), "hdrcharset=UTF-8");
    if (archive_read_open_filename(reader.get(), file_.c_str(), 1 << 16) != ARCHIVE_OK)
      throw_broken(reader.get());
    return reader;
  }

  archive_entry* next(archive* reader) const {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(reader, &entry);
    if (result == ARCHIVE_EOF) return nullptr;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) throw_broken(reader);
    return entry;
  }

  static SourceEntry describe(archive_entry* raw) {
    SourceEntry entry;
    const char* name = archive_entry_pathname_utf8(raw);
    if (name == nullptr) name = archive_entry_pathname(raw);
    entry.path = name == nullptr ? "" : name;
    while (entry.path.substr(0, 2) == "./") entry.path.erase(0, 2);
    entry.size_bytes = static_cast<uint64_t>(std::max<int64_t>(archive_entry_size(raw), 0));
    entry.mode = archive_entry_perm(raw) & 0111 ? 0755 : 0644;
    if (archive_entry_hardlink(raw) != nullptr)
      entry.problem = "hardlink";
    else if (archive_entry_filetype(raw) == AE_IFLNK)
      entry.problem = "symlink";
    else if (archive_entry_filetype(raw) != AE_IFREG)
      entry.problem = "special_file";
    return entry;
  }

  void check_bomb(uint64_t unpacked_bytes, const SourceLimits& limits) const {
    if (unpacked_bytes > limits.max_unpacked_bytes)
      throw Error(Code::input, fmt::format("unpacks to more than {} bytes", limits.max_unpacked_bytes),
                  "unpack it and name the part that is meant", file_.string());
    if (unpacked_bytes > kRatioFloorBytes && unpacked_bytes / kMaxRatio > packed_bytes_)
      throw Error(Code::input,
                  fmt::format("unpacks to more than {} times its size, as archive bombs do", kMaxRatio),
                  "unpack it yourself and name the folder if it is meant", file_.string());
  }

  std::string contents(archive* reader, uint64_t max_bytes) const {
    std::string bytes;
    char buffer[1 << 16];
    while (bytes.size() <= max_bytes) {
      const la_ssize_t count = archive_read_data(reader, buffer, sizeof buffer);
      if (count == 0) break;
      if (count == ARCHIVE_RETRY) continue;
      if (count < 0) throw_broken(reader);
      bytes.append(buffer, static_cast<size_t>(count));
    }
    if (bytes.size() > max_bytes) bytes.resize(max_bytes + 1);
    return bytes;
  }

  [[noreturn]] void throw_broken(archive* reader) const {
    const char* message = archive_error_string(reader);
    throw Error(Code::corrupt,
                fmt::format("the archive cannot be read: {}", message ? message : "unknown error"),
                "fetch it again, or test it with tar -tf or unzip -t", file_.string());
  }

  fs::path file_;
  uint64_t packed_bytes_ = 0;
  std::vector<size_t> indices_;  // entry -> position in the archive, directories counted
};

}  // namespace

std::unique_ptr<Source> open_archive(const fs::path& file) {
  return std::make_unique<ArchiveSource>(file);
}

bool is_archive_name(const fs::path& file) {
  const std::string name = lower_ascii(file.filename().string());
  for (std::string_view end : {".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tar.zst",
                               ".tzst", ".zip", ".whl"})
    if (name.size() > end.size() && std::string_view(name).substr(name.size() - end.size()) == end)
      return true;
  return false;
}

}  // namespace retrace::synth
