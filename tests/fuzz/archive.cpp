// The archive reader: any bytes under the name of an archive, through listing, filters, redaction and hashes.
#include <archive.h>
#include <archive_entry.h>

#include "core/error.h"
#include "synth/input/snapshot.h"
#include "synth/paths.h"
#include "tests/fuzz/fuzz.h"

namespace retrace::fuzz {

namespace {

std::string packed(const char* format) {
  const std::string kind = format;
  archive* writer = archive_write_new();
  if (kind == "zip") {
    archive_write_set_format_zip(writer);
  } else {
    archive_write_set_format_pax_restricted(writer);
    if (kind == "gzip") archive_write_add_filter_gzip(writer);
    if (kind == "xz") archive_write_add_filter_xz(writer);
    if (kind == "bzip2") archive_write_add_filter_bzip2(writer);
    if (kind == "zstd") archive_write_add_filter_zstd(writer);
  }
  std::string bytes(1 << 16, '\0');
  size_t used = 0;
  archive_write_open_memory(writer, bytes.data(), bytes.size(), &used);
  const std::pair<const char*, const char*> members[] = {
      {"top/a.py", "import b\n\n\ndef f(x):\n    return b.g(x)\n"},
      {"top/b.py", "def g(x):\n    return x + 1\n"},
      {"top/LICENSE", "MIT License\n"},
      {"top/deep/er/c.go", "package er\n\nfunc C() int { return 1 }\n"}};
  for (const auto& [name, text] : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(std::string(text).size()));
    archive_write_header(writer, entry);
    archive_write_data(writer, text, std::string(text).size());
    archive_entry_free(entry);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  bytes.resize(used);
  return bytes;
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  for (const char* format : {"plain", "gzip", "xz", "bzip2", "zstd", "zip"}) out.push_back(packed(format));
  return out;
}

std::vector<std::string> dictionary() {
  return {"../",         "/etc/passwd", "ustar",   "PK\x03\x04", "PK\x01\x02",
          ".git/config", "\xff\xfe",    "0000644", "path="};
}

}  // namespace retrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace retrace;
  const auto file = fuzz::scratch() / "input.tar";
  fuzz::spill(file, std::string(reinterpret_cast<const char*>(data), size));
  synth::SnapshotOptions options;
  options.max_entries = 1000;
  options.max_repository_bytes = uint64_t{1} << 20;
  try {
    const synth::Snapshot snapshot = synth::take_snapshot(file.string(), options);
    for (const auto& one : snapshot.files) {
      fuzz::must(synth::path_problem(one.path).empty(), "a kept path is safe");
      fuzz::must(synth::is_utf8(one.content), "kept content is UTF-8");
      fuzz::must(one.content.size() <= options.max_file_bytes * 2, "kept content is within its limit");
    }
    fuzz::accepted();
    fuzz::must(snapshot.tree_hash.size() == 64, "a snapshot has its hash");
  } catch (const Error& error) {
    fuzz::must(error.code() != Code::internal, "no error of ours");
  }
  return 0;
}
