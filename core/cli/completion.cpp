// Completion scripts: the same words for three shells. They hold all verbs, options and recipe keys, so that
// completing starts no process.
#include <algorithm>
#include <set>

#include "core/cli/cli.h"
#include "core/cli/cli_help.h"
#include "core/text.h"

namespace retrace {

namespace {

struct Words {
  std::vector<Verb> verbs;        // built-in ones too
  std::vector<std::string> keys;  // full names
};

Words collect(const std::vector<Verb>& verbs, const Schema& schema) {
  Words words{verbs, {}};
  for (const Verb& verb : cli_help::built_in_verbs()) words.verbs.push_back(verb);
  for (const Section& section : schema.sections())
    for (const Key& key : section.keys) words.keys.push_back(key.full());
  return words;
}

std::vector<OptionSpec> options_of(const Verb& verb) {
  std::vector<OptionSpec> options = verb.options;
  for (const OptionSpec& common : cli_help::common_options(verb.takes_recipe)) {
    const bool own = std::any_of(options.begin(), options.end(),
                                 [&](const OptionSpec& each) { return each.name == common.name; });
    if (!own) options.push_back(common);
  }
  return options;
}

// Inside single quotes of any of the three shells.
std::string quoted(const std::string& text) {
  return replace_all(text, "'", "'\\''");
}

std::string option_words(const Verb& verb) {
  std::vector<std::string> names;
  for (const OptionSpec& option : options_of(verb)) names.push_back("--" + option.name);
  return join(names, " ");
}

std::string verb_words(const Words& words) {
  std::vector<std::string> names;
  for (const Verb& verb : words.verbs) names.push_back(verb.name);
  return join(names, " ");
}

// "tokenizer" has sub-commands when its arguments begin with "a|b|c" in lower case.
std::string sub_words(const Verb& verb) {
  const std::string first = verb.arguments.substr(0, verb.arguments.find(' '));
  const bool lower = first.find('|') != std::string::npos &&
                     first.find_first_not_of("abcdefghijklmnopqrstuvwxyz|-") == std::string::npos;
  return lower ? replace_all(first, "|", " ") : "";
}

std::string bash_script(const Words& words) {
  std::string out =
      "# bash completion for retrace: source it, or save it in a folder of bash-completion\n"
      "_retrace() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} options= subs= recipe=0\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W '" +
      quoted(verb_words(words)) +
      " --help --version' -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  local keys='" +
      quoted(join(words.keys, " ")) +
      "'\n"
      "  case $verb in\n";
  for (const Verb& verb : words.verbs)
    out += "    " + verb.name + ") options='" + quoted(option_words(verb)) + "' subs='" +
           quoted(sub_words(verb)) + "' recipe=" + (verb.takes_recipe ? "1" : "0") + " ;;\n";
  out +=
      "  esac\n"
      "  if [ \"$verb\" = help ]; then\n"
      "    COMPREPLY=($(compgen -W \"$keys " +
      quoted(verb_words(words)) +
      "\" -- \"$word\"))\n"
      "  elif [ \"${word#-}\" != \"$word\" ]; then\n"
      "    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
      "  else\n"
      "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
      "    if [ \"$COMP_CWORD\" -eq 2 ] && [ -n \"$subs\" ]; then COMPREPLY+=($(compgen -W \"$subs\" -- "
      "\"$word\")); fi\n"
      "    if [ \"$recipe\" = 1 ] && [ \"$COMP_CWORD\" -gt 2 ]; then\n"
      "      COMPREPLY+=($(compgen -S = -W \"$keys\" -- \"$word\"))\n"
      "      case ${COMPREPLY[0]} in *=) compopt -o nospace 2>/dev/null ;; esac\n"
      "    fi\n"
      "  fi\n"
      "}\n"
      "complete -o filenames -F _retrace retrace\n";
  return out;
}

std::string zsh_script(const Words& words) {
  const auto plain = [](const std::string& text) { return quoted(replace_all(text, ":", "\\:")); };
  std::string out =
      "#compdef retrace\n"
      "# zsh completion for retrace: save it as _retrace in a folder of $fpath\n"
      "_retrace() {\n"
      "  local -a verbs keys options subs\n"
      "  local recipe=0\n"
      "  verbs=(\n";
  for (const Verb& verb : words.verbs) out += "    '" + verb.name + ":" + plain(verb.about) + "'\n";
  out += "  )\n  keys=(" + join(words.keys, " ") +
         ")\n"
         "  if (( CURRENT == 2 )); then\n"
         "    _describe command verbs\n"
         "    return\n"
         "  fi\n"
         "  case ${words[2]} in\n";
  for (const Verb& verb : words.verbs) {
    out += "    " + verb.name + ")\n      options=(";
    for (const OptionSpec& option : options_of(verb))
      out += " '--" + option.name + ":" + plain(option.help) + "'";
    out +=
        " )\n      subs=(" + sub_words(verb) + ")\n      recipe=" + (verb.takes_recipe ? "1" : "0") + " ;;\n";
  }
  out +=
      "  esac\n"
      "  if [[ ${words[2]} == help ]]; then\n"
      "    _describe command verbs\n"
      "    compadd -a keys\n"
      "  elif [[ ${words[CURRENT]} == -* ]]; then\n"
      "    _describe option options\n"
      "  else\n"
      "    (( CURRENT == 3 && ${#subs} )) && compadd -a subs\n"
      "    (( recipe && CURRENT > 3 )) && compadd -S = -a keys\n"
      "    _files\n"
      "  fi\n"
      "}\n"
      "compdef _retrace retrace\n";
  return out;
}

std::string fish_script(const Words& words) {
  const auto plain = [](const std::string& text) {
    return replace_all(replace_all(text, "\\", "\\\\"), "'", "\\'");
  };
  std::string out =
      "# fish completion for retrace: save it as ~/.config/fish/completions/retrace.fish\n"
      "set -l retrace_verbs " +
      verb_words(words) + "\nset -l retrace_keys " + join(words.keys, " ") +
      "\nset -l retrace_assignments (string replace -r '$' '=' -- $retrace_keys)\n";
  std::vector<std::string> with_recipe;
  for (const Verb& verb : words.verbs) {
    out += "complete -c retrace -n \"not __fish_seen_subcommand_from $retrace_verbs\" -f -a " + verb.name +
           " -d '" + plain(verb.about) + "'\n";
    if (verb.takes_recipe) with_recipe.push_back(verb.name);
    const std::string condition = " -n '__fish_seen_subcommand_from " + verb.name + "'";
    for (const OptionSpec& option : options_of(verb))
      out += "complete -c retrace" + condition + " -l " + option.name +
             (option.value_name.empty() ? "" : " -r") + " -d '" + plain(option.help) + "'\n";
    if (!sub_words(verb).empty())
      out += "complete -c retrace" + condition + " -a '" + sub_words(verb) + "'\n";
  }
  out += "complete -c retrace -n '__fish_seen_subcommand_from help' -f -a \"$retrace_keys\"\n";
  if (!with_recipe.empty())
    out += "complete -c retrace -n '__fish_seen_subcommand_from " + join(with_recipe, " ") +
           "' -a \"$retrace_assignments\"\n";
  return out;
}

}  // namespace

std::string completion_script(const std::string& shell, const std::vector<Verb>& verbs,
                              const Schema& schema) {
  const Words words = collect(verbs, schema);
  if (shell == "bash") return bash_script(words);
  if (shell == "zsh") return zsh_script(words);
  if (shell == "fish") return fish_script(words);
  const std::string near = nearest_word(shell, {"bash", "zsh", "fish"});
  throw Error(Code::usage, fmt::format("no completion for the shell '{}'", shell),
              near.empty() ? "one of bash, zsh, fish" : fmt::format("did you mean '{}'?", near));
}

}  // namespace retrace
