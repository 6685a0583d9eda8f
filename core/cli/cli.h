// The command line: verbs in a table, words and options of one call.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/recipe/recipe.h"

namespace retrace {

// A call taken apart. `--name value` and `--name=value` are options if the verb declares `name`;
// `--section.key value`, `--section.key=value` and `section.key=value` are recipe overrides (without a
// recipe: only if the section exists); the rest are words, and all that follows "--" too.
struct Call {
  std::string verb;
  std::vector<std::string> words;
  std::map<std::string, std::string> options;  // flags have value "true"
  std::vector<Override> overrides;
  std::vector<std::string> argv;  // as given, argv[0] included: what launch_ranks takes

  bool has(const std::string& option) const { return options.count(option) > 0; }
  std::string option(const std::string& name, const std::string& fallback) const;
  int64_t integer(const std::string& name, int64_t fallback) const;  // Error{usage} if not a number
  double number(const std::string& name, double fallback) const;
  const std::string& word(size_t index, const char* what) const;  // Error{usage} naming `what` if absent
};

struct OptionSpec {
  std::string name, value_name, help;  // value_name "" = flag
};

struct Verb {
  std::string name, arguments, about;  // "RECIPE [key=value ...]", one line
  std::vector<OptionSpec> options;
  bool takes_recipe = false;  // words[0] is a recipe; --print-config and help KEY work
  std::function<int(const Call&, const Schema&)> run;
};

// Finds the verb, parses, handles --help, --version, --print-config, help, completion; sets the log options
// (rank from the launcher's environment); turns exceptions into messages and exit statuses; writes
// TORCHELASTIC_ERROR_FILE on failure under a launcher. Standard output that cannot be written is a failure.
int run_command_line(int argc, char** argv, const std::vector<Verb>& verbs, const Schema& schema);
Call parse_call(const std::vector<std::string>& argv, const Verb& verb, const Schema& schema);
// RANK, OMPI_COMM_WORLD_RANK or SLURM_PROCID, in this order; 0 without a launcher.
int rank_from_environment();

std::string completion_script(const std::string& shell, const std::vector<Verb>& verbs, const Schema& schema);
Recipe load_recipe(const Call& call, const Schema& schema);  // words[0] + overrides

}  // namespace retrace
