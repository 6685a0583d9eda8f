// The git reader: a repository whose HEAD, refs, packed refs, commit, tree and blob a stranger chose. Objects
// are stored under their true hashes, so that what breaks is the parsing and not the checksum.
#include <openssl/evp.h>
#include <zlib.h>

#include <array>

#include "core/error.h"
#include "synth/input/snapshot.h"
#include "synth/paths.h"
#include "tests/fuzz/fuzz.h"

namespace retrace::fuzz {

namespace {

const std::string kSeparator = "\xff\xfe|";
const std::string kBlobHere(20, '\x01');  // in the tree: replaced by the blob's hash
const std::string kCommitHere = "<commit>", kTreeHere = "<tree>";

std::string hex(const std::string& bytes) {
  static const char* const digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

void replace_all(std::string* text, const std::string& from, const std::string& to) {
  for (size_t at = text->find(from); at != text->npos; at = text->find(from, at + to.size()))
    text->replace(at, from.size(), to);
}

// Stores a loose object and returns its hash.
std::string store(const std::filesystem::path& git, const char* type, const std::string& content) {
  std::string raw = std::string(type) + " " + std::to_string(content.size());
  raw += '\0';
  raw += content;
  std::string hash(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  EVP_Digest(raw.data(), raw.size(), reinterpret_cast<unsigned char*>(hash.data()), &size, EVP_sha1(),
             nullptr);
  hash.resize(size);
  uLongf packed_size = compressBound(raw.size());
  std::string packed(packed_size, '\0');
  compress(reinterpret_cast<Bytef*>(packed.data()), &packed_size, reinterpret_cast<const Bytef*>(raw.data()),
           raw.size());
  packed.resize(packed_size);
  const std::string name = hex(hash);
  spill(git / "objects" / name.substr(0, 2) / name.substr(2), packed);
  return hash;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : kSeparator) + part;
  return out;
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string tree =
      "100644 a.py" + std::string(1, '\0') + kBlobHere + "100755 b.sh" + std::string(1, '\0') + kBlobHere;
  const std::string commit =
      "tree " + kTreeHere +
      "\nauthor A <a@example.org> 1700000000 +0000\ncommitter A <a@example.org> 1700000000 "
      "+0000\n\nfirst\n";
  const std::string blob = "def f(x):\n    return x\n";
  return {joined({"ref: refs/heads/main\n", kCommitHere + "\n", "", commit, tree, blob}),
          joined({kCommitHere + "\n", "", "", commit, tree, blob}),
          joined({"ref: refs/heads/packed\n", "",
                  "# pack-refs with: peeled fully-peeled sorted \n" + kCommitHere + " refs/heads/packed\n",
                  commit, tree, blob})};
}

std::vector<std::string> dictionary() {
  return {kSeparator, kCommitHere, kTreeHere, kBlobHere, "ref: ", "refs/heads/main",   "40000 d", "120000 l",
          "160000 m", "../",       ".git",    "parent ", "^{}",   std::string(1, '\0')};
}

}  // namespace retrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace retrace;
  const std::string input(reinterpret_cast<const char*>(data), size);
  std::array<std::string, 6> parts;  // HEAD, refs/heads/main, packed-refs, commit, tree, blob
  size_t begin = 0;
  for (auto& part : parts) {
    const size_t end = std::min(input.find(fuzz::kSeparator, begin), input.size());
    part = input.substr(std::min(begin, input.size()), end - std::min(begin, end));
    begin = std::min(end + fuzz::kSeparator.size(), input.size());
  }
  const auto repository = fuzz::scratch() / "repository", git = repository / ".git";
  std::filesystem::remove_all(repository);
  std::filesystem::create_directories(git / "objects" / "pack");
  std::filesystem::create_directories(git / "refs" / "heads");
  const std::string blob = fuzz::store(git, "blob", parts[5]);
  fuzz::replace_all(&parts[4], fuzz::kBlobHere, blob);
  const std::string tree = fuzz::hex(fuzz::store(git, "tree", parts[4]));
  fuzz::replace_all(&parts[3], fuzz::kTreeHere, tree);
  const std::string commit = fuzz::hex(fuzz::store(git, "commit", parts[3]));
  for (int i = 0; i < 3; ++i) fuzz::replace_all(&parts[static_cast<size_t>(i)], fuzz::kCommitHere, commit);
  fuzz::spill(git / "HEAD", parts[0]);
  if (!parts[1].empty()) fuzz::spill(git / "refs" / "heads" / "main", parts[1]);
  if (!parts[2].empty()) fuzz::spill(git / "packed-refs", parts[2]);
  try {
    const synth::Snapshot snapshot = synth::take_snapshot(repository.string(), {});
    fuzz::accepted();
    for (const auto& file : snapshot.files)
      fuzz::must(synth::path_problem(file.path).empty(), "a kept path is safe");
  } catch (const Error& error) {
    fuzz::must(error.code() != Code::internal, "no error of ours");
  }
  return 0;
}
