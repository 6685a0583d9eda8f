#include "tests/synth/record_testing.h"

#include <stdlib.h>

#include <algorithm>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/text.h"
#include "synth/generate/fill_slots.h"
#include "synth/search/ppm.h"

namespace retrace::synth::handmade {

namespace {

const std::vector<std::string> kSpecial = {"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                                           "<|end_header_id|>", "<|eot_id|>",      "<|im_start|>",
                                           "<|im_end|>",        "<|pad|>"};

class ByteTokenizer : public data::Tokenizer {
 public:
  explicit ByteTokenizer(bool with_bos) : with_bos_(with_bos) {}
  std::vector<data::TokenId> encode(std::string_view bytes) const override {
    std::vector<data::TokenId> out;
    for (char c : bytes) out.push_back(static_cast<unsigned char>(c));
    return out;
  }
  std::string decode(const std::vector<data::TokenId>& ids, bool skip_special) const override {
    std::string out;
    for (data::TokenId id : ids) {
      if (id < 256)
        out += static_cast<char>(id);
      else if (!skip_special)
        out += kSpecial.at(static_cast<size_t>(id) - 256);
    }
    return out;
  }
  int64_t vocab_size() const override { return 256 + static_cast<int64_t>(kSpecial.size()); }
  std::optional<data::TokenId> special(std::string_view name) const override {
    const auto found = std::find(kSpecial.begin(), kSpecial.end(), name);
    if (found == kSpecial.end()) return std::nullopt;
    return static_cast<data::TokenId>(256 + (found - kSpecial.begin()));
  }
  std::optional<data::TokenId> bos() const override {
    return with_bos_ ? special("<|begin_of_text|>") : std::nullopt;
  }
  std::optional<data::TokenId> eos() const override { return special("<|end_of_text|>"); }
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  bool with_bos_;
  std::string fingerprint_ = "bytes";
};

std::string big_module(const std::string& name) {
  std::string out =
      "\"\"\"Numbers of " + name + ", one function each.\"\"\"\nfrom pkg.base import load_table\n\n\n";
  for (int i = 0; i < 60; ++i)
    out += fmt::format(
        "def number_{0}(scale_{0}):\n    value = load_table('{1}_{0}')\n    return value * scale_{0} + "
        "{0}\n\n\n",
        i, name);
  return out;
}

}  // namespace

FileStructure python_structure(const std::string& content) {
  FileStructure out;
  out.parsed = true;
  if (content.starts_with("\"\"\"")) out.docstring = content.substr(3, content.find("\"\"\"", 3) - 3);
  size_t at = 0;
  for (std::string_view line : split_lines(content)) {
    const size_t begin = at;
    at += line.size() + 1;
    const bool function = line.starts_with("def "), type = line.starts_with("class ");
    if (line.starts_with("import ") || line.starts_with("from "))
      out.imports.emplace_back(split(line, ' ')[1]);
    if (!out.symbols.empty() && out.symbols.back().end == 0 && !line.empty() && line[0] != ' ')
      out.symbols.back().end = begin;
    if (!function && !type) continue;
    const size_t name = line.find(' ') + 1;
    Symbol s;
    s.kind = function ? "function" : "class";
    s.name = line.substr(name, line.find_first_of("(:") - name);
    s.signature = line.substr(0, line.rfind(':'));
    s.begin = begin;
    out.symbols.push_back(s);
  }
  for (Symbol& s : out.symbols)
    if (s.end == 0) s.end = content.size();
  return out;
}

int file_index(const Snapshot& snapshot, const std::string& path) {
  for (size_t i = 0; i < snapshot.files.size(); ++i)
    if (snapshot.files[i].path == path) return static_cast<int>(i);
  fail(Code::internal, "no file {}", path);
}

Repository make_repository(const std::string& name) {
  Repository r;
  r.snapshot.origin = name + "-1.0.tar.gz";
  r.snapshot.kind = "archive";
  r.snapshot.licence = "MIT";
  r.snapshot.files = {
      {"README.md", "# " + name + "\n\nA tool that keeps the " + name + " tables in order for its users.\n",
       "", 0644},
      {"notes.txt", "caf\xE9 notes\n", "", 0644},
      {"pkg/__init__.py", "", "python", 0644},
      {"pkg/base.py",
       "\"\"\"Tables on disk <|eot_id|> for " + name +
           ". More words.\"\"\"\nimport os\n\nMARK = '<|eot_id|>'\n\n\ndef load_table(table_name):\n    "
           "\"\"\"Read a "
           "table.\"\"\"\n    return os.path.join('" +
           name +
           "', table_name)\n\n\ndef save_table(table_name, rows):\n    return [load_table(table_name), "
           "rows]\n",
       "python", 0644},
      {"pkg/big.py", big_module(name), "python", 0644},
      {"pkg/cycle_a.py",
       "from pkg.cycle_b import turn_b\n\n\ndef turn_a(count):\n    return turn_b(count - 1) if count else "
       "0\n",
       "python", 0644},
      {"pkg/cycle_b.py",
       "from pkg.cycle_a import turn_a\n\n\ndef turn_b(count):\n    return turn_a(count - 1) if count else "
       "1\n",
       "python", 0644},
      {"pkg/main.py",
       "\"\"\"Entry of the program.\"\"\"\nfrom pkg.base import load_table\nfrom pkg.big import "
       "number_7\nfrom "
       "pkg.cycle_a import turn_a\n\n\nclass Runner:\n    def run_all(self):\n        return "
       "load_table('x'), "
       "turn_a(3), number_7(2)\n",
       "python", 0755}};
  r.snapshot.dropped = {{"logo.png", "binary"}};
  const auto at = [&](const char* path) { return file_index(r.snapshot, path); };
  Sha256 tree;
  for (const SourceFile& file : r.snapshot.files) {
    tree.add(file.path + sha256_hex(file.content));
    r.structure.files.push_back(file.language == "python" ? python_structure(file.content) : FileStructure{});
    r.snapshot.bytes_by_language[file.language] += file.content.size();
  }
  r.snapshot.tree_hash = tree.hex();
  const int base = at("pkg/base.py"), big = at("pkg/big.py"), a = at("pkg/cycle_a.py"),
            b = at("pkg/cycle_b.py"), program = at("pkg/main.py");
  r.structure.edges = {
      {big, base, true, false, 2, {"load_table"}},  {a, b, true, true, 1, {"turn_b"}},
      {b, a, true, false, 1, {"turn_a"}},           {program, base, true, false, 2, {"load_table"}},
      {program, big, true, false, 3, {"number_7"}}, {program, a, true, false, 4, {"turn_a"}}};
  r.structure.order = {at("pkg/__init__.py"), base, big, a, b, program, at("notes.txt"), at("README.md")};
  return r;
}

SimulateOptions small_options() {
  SimulateOptions options;
  options.read_budget_bytes = 2048;
  options.write_chunk_bytes = 1024;
  return options;
}

Trajectory make_trajectory(const Repository& repository, uint64_t seed) {
  Trajectory t = simulate(repository.snapshot, repository.structure, small_options());
  t.made_by = {{"code", "test"}};
  fill_slots(t, repository.snapshot, repository.structure, *make_template_generator(), seed);
  return t;
}

std::shared_ptr<const data::Tokenizer> byte_tokenizer(bool with_bos) {
  return std::make_shared<ByteTokenizer>(with_bos);
}

ByteEngine::ByteEngine() {
  config_.max_position_embeddings = 1 << 20;
}

std::vector<float> ByteEngine::logprobs(const std::vector<int32_t>& ids, int64_t from) {
  const auto begin = ids.begin() + from;
  return logprobs_after({ids.begin(), begin}, {{begin, ids.end()}})[0];
}

std::vector<std::vector<float>> ByteEngine::logprobs_after(
    const std::vector<int32_t>& prefix, const std::vector<std::vector<int32_t>>& continuations) {
  if (prefix != last_prefix || !keeps_prefix) tokens_ += static_cast<int64_t>(prefix.size());
  last_prefix = prefix;
  last_continuations = continuations;
  Ppm model(4);
  for (int32_t id : prefix) model.add(static_cast<uint8_t>(id));
  const Ppm::Mark mark = model.mark();
  std::vector<std::vector<float>> out;
  for (const auto& ids : continuations) {
    out.emplace_back();
    for (int32_t id : ids) {
      out.back().push_back(static_cast<float>(-model.cost(static_cast<uint8_t>(id))));
      model.add(static_cast<uint8_t>(id));
    }
    tokens_ += static_cast<int64_t>(ids.size());
    model.rollback(mark);
  }
  return out;
}

std::vector<int32_t> ByteEngine::generate(const std::vector<int32_t>&, const model::GenerateOptions&) {
  fail(Code::internal, "the byte engine only scores");
}

std::map<std::string, std::string> all_files(const std::filesystem::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      out[std::filesystem::relative(entry.path(), folder).string()] = read_file(entry.path());
  return out;
}

}  // namespace retrace::synth::handmade
