#include "core/cli/cli_help.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/build_info.h"

namespace retrace::cli_help {

namespace {

std::string left_side(const OptionSpec& option) {
  std::string text = "--" + option.name;
  if (option.name == "help") text = "-h, " + text;
  if (option.name == "verbose") text = "-v, " + text;
  if (option.name == "quiet") text = "-q, " + text;
  return option.value_name.empty() ? text : text + " " + option.value_name;
}

std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  constexpr size_t kWidest = 34;
  size_t width = 0;
  for (const auto& row : rows)
    if (row.first.size() <= kWidest) width = std::max(width, row.first.size());
  std::string out;
  for (const auto& [left, right] : rows) {
    if (left.size() > width)
      out += fmt::format("  {}\n  {:<{}}  {}\n", left, "", width, right);
    else
      out += fmt::format("  {:<{}}  {}\n", left, width, right);
  }
  return out;
}

}  // namespace

std::vector<OptionSpec> common_options(bool takes_recipe) {
  std::vector<OptionSpec> options = {
      {"help", "", "This page"}, {"verbose", "", "More messages"}, {"quiet", "", "Warnings and errors only"}};
  if (takes_recipe) {
    options.push_back({"print-config", "", "Print the resolved recipe and stop"});
    options.push_back({"nproc", "N", "Ranks on this machine (run.nproc)"});
  }
  return options;
}

std::vector<Verb> built_in_verbs() {
  return {{"help", "[VERB | KEY | SECTION | WORD]", "Explain a command or recipe keys", {}, false, nullptr},
          {"reference", "", "Print the reference of all recipe keys as Markdown", {}, false, nullptr},
          {"completion", "bash|zsh|fish", "Print a completion script for a shell", {}, false, nullptr}};
}

std::string overview(const std::vector<Verb>& verbs) {
  std::string out = fmt::format(
      "retrace {}: source code in, reconstructed trajectories, a trained and measured model out\n\n",
      kVersion);
  out += "usage: retrace COMMAND [ARGUMENTS] [section.key=value ...]\n\ncommands:\n";
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Verb& verb : verbs) rows.emplace_back(verb.name, verb.about);
  for (const Verb& verb : built_in_verbs()) rows.emplace_back(verb.name, verb.about);
  out += two_columns(rows);
  out +=
      "\n'retrace COMMAND --help' explains a command, 'retrace help KEY' a recipe key such as run.dir.\n"
      "exit status: 0 ok, 1 internal, 2 usage or recipe, 3 bad input, 4 something asked for has no result,\n"
      "             75 try again, 130/143 interrupted\n";
  return out;
}

std::string verb_page(const Verb& verb) {
  std::string out = fmt::format("usage: retrace {}{}{}\n\n{}\n", verb.name, verb.arguments.empty() ? "" : " ",
                                verb.arguments, verb.about);
  std::vector<std::pair<std::string, std::string>> rows;
  for (const OptionSpec& option : verb.options) rows.emplace_back(left_side(option), option.help);
  for (const OptionSpec& option : common_options(verb.takes_recipe)) {
    const bool own = std::any_of(verb.options.begin(), verb.options.end(),
                                 [&](const OptionSpec& each) { return each.name == option.name; });
    if (!own) rows.emplace_back(left_side(option), option.help);
  }
  out += "\noptions:\n" + two_columns(rows);
  if (verb.takes_recipe)
    out +=
        "\nAny recipe key can be set as section.key=value or --section.key value;\n"
        "'retrace help SECTION', 'retrace help KEY' and --help=WORD explain the keys.\n";
  return out;
}

}  // namespace retrace::cli_help
