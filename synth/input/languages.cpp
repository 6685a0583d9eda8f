#include "synth/input/languages.h"

#include "synth/paths.h"

namespace retrace::synth {

namespace {

struct ExtensionRule {
  std::string_view extension, language;
};

constexpr ExtensionRule kExtensions[] = {
    {".py", "python"},
    {".pyi", "python"},
    {".pyw", "python"},
    {".js", "javascript"},
    {".mjs", "javascript"},
    {".cjs", "javascript"},
    {".jsx", "javascript"},
    {".ts", "typescript"},
    {".mts", "typescript"},
    {".cts", "typescript"},
    {".tsx", "tsx"},
    {".go", "go"},
    {".java", "java"},
    {".c", "c"},
    {".h", "h"},
    {".cc", "cpp"},
    {".cpp", "cpp"},
    {".cxx", "cpp"},
    {".c++", "cpp"},
    {".hpp", "cpp"},
    {".hh", "cpp"},
    {".hxx", "cpp"},
    {".h++", "cpp"},
    {".ipp", "cpp"},
    {".inl", "cpp"},
    {".tcc", "cpp"},
    {".tpp", "cpp"},
    {".rs", "rust"},
};

}  // namespace

std::string language_of(std::string_view path, std::string_view content) {
  const std::string_view extension = path_extension(path);
  if (extension == ".C" || extension == ".H") return "cpp";
  const std::string lower = lower_ascii(extension);
  for (const auto& rule : kExtensions)
    if (rule.extension == lower) return std::string(rule.language);
  if (!extension.empty() || content.substr(0, 2) != "#!") return "";
  const std::string_view line = content.substr(0, content.find('\n'));
  if (line.find("python") != line.npos) return "python";
  if (line.find("node") != line.npos || line.find("deno") != line.npos) return "javascript";
  return "";
}

}  // namespace retrace::synth
