#include "synth/structure/imports/rust_crates.h"

#include <algorithm>

#include "synth/paths.h"

namespace retrace::synth {

namespace {

std::string crate_name(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string_view stripped(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
  return first == text.npos ? std::string_view() : text.substr(first, last - first + 1);
}

// The string behind `key =` in a line or an inline table.
std::string value_of(std::string_view text, std::string_view key) {
  for (size_t at = text.find(key); at != text.npos; at = text.find(key, at + 1)) {
    const bool begins = at == 0 || text[at - 1] == ' ' || text[at - 1] == '{' || text[at - 1] == ',';
    std::string_view rest = stripped(text.substr(at + key.size()));
    if (!begins || rest.substr(0, 1) != "=") continue;
    rest = stripped(rest.substr(1));
    const char quote = rest.empty() ? ' ' : rest[0];
    if (quote != '"' && quote != '\'') continue;
    const size_t end = rest.find(quote, 1);
    if (end != rest.npos) return std::string(rest.substr(1, end - 1));
  }
  return "";
}

struct Target {
  std::string kind, name, path;
};

// What this needs of a manifest, line by line: tables, and strings in them.
struct Manifest {
  std::string package, lib_name, lib_path;
  std::vector<Target> targets;
  std::map<std::string, std::string> renames;

  explicit Manifest(std::string_view text) {
    std::string table;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const std::string_view line = stripped(text.substr(begin, end - begin));
      begin = end + 1;
      if (line.substr(0, 2) == "[[") {
        table = std::string(line.substr(2, line.find(']') == line.npos ? 0 : line.find(']') - 2));
        targets.push_back({table, "", ""});
      } else if (line.substr(0, 1) == "[") {
        table = std::string(line.substr(1, line.find(']') == line.npos ? 0 : line.rfind(']') - 1));
      } else {
        read(table, line);
      }
    }
  }

  void read(const std::string& table, std::string_view line) {
    const std::string name = line.substr(0, 4) == "name" ? value_of(line, "name") : "";
    const std::string path = line.substr(0, 4) == "path" ? value_of(line, "path") : "";
    if (table == "package" && !name.empty()) package = name;
    if (table == "lib" && !name.empty()) lib_name = name;
    if (table == "lib" && !path.empty()) lib_path = path;
    if (!targets.empty() && table == targets.back().kind) {
      if (!name.empty()) targets.back().name = name;
      if (!path.empty()) targets.back().path = path;
    }
    const size_t at = table.rfind("dependencies");
    if (at == table.npos) return;
    const std::string real = value_of(line, "package");
    if (real.empty()) return;
    const bool own_table = table.size() > at + 13;  // [dependencies.alias]
    const std::string alias =
        own_table ? table.substr(at + 13) : std::string(stripped(line.substr(0, line.find('='))));
    renames[crate_name(alias)] = crate_name(real);
  }
};

}  // namespace

std::vector<CargoPackage> cargo_packages(const FileIndex& index) {
  std::vector<int> manifests = index.named("Cargo.toml");
  for (int original : index.named("Cargo.toml.orig"))
    if (const std::string& path = index.file(original).path; index.find(path.substr(0, path.size() - 5)) < 0)
      manifests.push_back(original);
  std::vector<CargoPackage> packages;
  for (int file : manifests) {
    CargoPackage package;
    package.folder = std::string(path_folder(index.file(file).path));
    const Manifest manifest(index.file(file).content);
    package.renames = manifest.renames;
    auto add = [&](const std::string& path, const std::string& library) {
      std::string normal;
      const int root = normalise_path(join_path(package.folder, path), &normal) ? index.find(normal) : -1;
      if (root >= 0 && index.file(root).language == "rust") package.roots.push_back({root, library});
    };
    const std::string name = crate_name(manifest.lib_name.empty() ? manifest.package : manifest.lib_name);
    add(manifest.lib_path.empty() ? "src/lib.rs" : manifest.lib_path, name);
    for (const auto& target : manifest.targets)
      if (!target.path.empty()) add(target.path, "");
    add("src/main.rs", "");
    add("build.rs", "");
    for (const char* inner : {"src/bin", "tests", "examples", "benches"}) {
      const std::string folder = join_path(package.folder, inner);
      for (int inside : index.in_folder(folder))
        add(std::string(inner) + "/" + std::string(path_name(index.file(inside).path)), "");
      for (const auto& sub : index.folders())
        if (path_folder(sub) == folder)
          add(sub.substr(package.folder.empty() ? 0 : package.folder.size() + 1) + "/main.rs", "");
    }
    packages.push_back(std::move(package));
  }
  return packages;
}

}  // namespace retrace::synth
