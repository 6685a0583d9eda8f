#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "synth/input/languages.h"
#include "tests/synth/input/input_testing.h"

namespace retrace::synth::testing {

void put(const fs::path& file, const std::string& bytes) {
  fs::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out << bytes;
  REQUIRE(out.good());
}

std::string tar_bytes(const std::vector<Member>& members) {
  std::string tar;
  for (const auto& member : members) {
    char header[512] = {};
    std::memcpy(header, member.name.data(), std::min<size_t>(member.name.size(), 100));
    std::memcpy(header + 100, "0000644", 7);
    std::memcpy(header + 108, "0000000", 7);
    std::memcpy(header + 116, "0000000", 7);
    const uint64_t claimed = member.claimed_bytes == UINT64_MAX ? member.bytes.size() : member.claimed_bytes;
    std::snprintf(header + 124, 12, "%011llo", static_cast<unsigned long long>(claimed));
    std::memcpy(header + 136, "00000000000", 11);
    std::memset(header + 148, ' ', 8);
    header[156] = member.type;
    std::memcpy(header + 157, member.link.data(), std::min<size_t>(member.link.size(), 100));
    std::memcpy(header + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (char c : header) sum += static_cast<unsigned char>(c);
    std::snprintf(header + 148, 8, "%06o", sum);
    tar.append(header, sizeof header);
    tar += member.bytes;
    tar.append((512 - member.bytes.size() % 512) % 512, '\0');
  }
  tar.append(1024, '\0');
  return tar;
}

void write_archive(const fs::path& file, const std::string& format, const std::vector<Member>& members) {
  const locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", static_cast<locale_t>(nullptr));
  const locale_t before = ::uselocale(utf8);
  archive* writer = archive_write_new();
  if (format == "zip") {
    archive_write_set_format_zip(writer);
  } else {
    archive_write_set_format_pax_restricted(writer);
    if (format == "gzip") archive_write_add_filter_gzip(writer);
    if (format == "xz") archive_write_add_filter_xz(writer);
    if (format == "bzip2") archive_write_add_filter_bzip2(writer);
    if (format == "zstd") archive_write_add_filter_zstd(writer);
  }
  REQUIRE(archive_write_open_filename(writer, file.c_str()) == ARCHIVE_OK);
  for (const auto& member : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, member.name.c_str());
    archive_entry_set_filetype(entry, member.type == '2' ? AE_IFLNK : AE_IFREG);
    if (member.type == '2') archive_entry_set_symlink(entry, member.link.c_str());
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(member.bytes.size()));
    REQUIRE(archive_write_header(writer, entry) == ARCHIVE_OK);
    if (!member.bytes.empty())
      REQUIRE(archive_write_data(writer, member.bytes.data(), member.bytes.size()) ==
              static_cast<la_ssize_t>(member.bytes.size()));
    archive_entry_free(entry);
  }
  REQUIRE(archive_write_close(writer) == ARCHIVE_OK);
  archive_write_free(writer);
  ::uselocale(before);
  ::freelocale(utf8);
}

std::string gzip_bytes(const std::string& bytes) {
  archive* writer = archive_write_new();
  archive_write_set_format_raw(writer);
  archive_write_add_filter_gzip(writer);
  archive_write_set_bytes_in_last_block(writer, 1);
  std::string packed(bytes.size() + 65536, '\0');
  size_t used = 0;
  REQUIRE(archive_write_open_memory(writer, packed.data(), packed.size(), &used) == ARCHIVE_OK);
  archive_entry* entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_pathname(entry, "raw");
  REQUIRE(archive_write_header(writer, entry) == ARCHIVE_OK);
  REQUIRE(archive_write_data(writer, bytes.data(), bytes.size()) == static_cast<la_ssize_t>(bytes.size()));
  archive_entry_free(entry);
  REQUIRE(archive_write_close(writer) == ARCHIVE_OK);
  archive_write_free(writer);
  packed.resize(used);
  return packed;
}

std::string reason_of(const Snapshot& snapshot, const std::string& path) {
  for (const auto& dropped : snapshot.dropped)
    if (dropped.path == path) return dropped.reason;
  return "";
}

const SourceFile* file_of(const Snapshot& snapshot, const std::string& path) {
  for (const auto& file : snapshot.files)
    if (file.path == path) return &file;
  return nullptr;
}

std::vector<std::string> paths_of(const Snapshot& snapshot) {
  std::vector<std::string> paths;
  for (const auto& file : snapshot.files) paths.push_back(file.path);
  return paths;
}

Snapshot snapshot_of(const std::vector<std::pair<std::string, std::string>>& files) {
  Snapshot snapshot;
  snapshot.origin = "sample";
  snapshot.kind = "folder";
  for (const auto& [path, content] : files) {
    std::string language = language_of(path, content);
    if (language == "h") language = "c";
    snapshot.files.push_back({path, content, language, 0644});
  }
  std::sort(snapshot.files.begin(), snapshot.files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  return snapshot;
}

Canary::Canary(const fs::path& folder) : fd_(::inotify_init1(IN_NONBLOCK)) {
  REQUIRE(fd_ >= 0);
  REQUIRE(::inotify_add_watch(fd_, folder.c_str(), IN_OPEN | IN_ACCESS) >= 0);
}

Canary::~Canary() {
  ::close(fd_);
}

int Canary::n_accesses() {
  alignas(inotify_event) char buffer[4096];
  int n = 0;
  for (ssize_t size; (size = ::read(fd_, buffer, sizeof buffer)) > 0;)
    for (ssize_t at = 0; at < size; ++n)
      at += static_cast<ssize_t>(sizeof(inotify_event) + reinterpret_cast<inotify_event*>(buffer + at)->len);
  return n;
}

}  // namespace retrace::synth::testing
