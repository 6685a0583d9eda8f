// One call from argv to exit status.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <new>

#include "core/build_info.h"
#include "core/cli/cli.h"
#include "core/cli/cli_help.h"
#include "core/cli/launcher_error.h"
#include "core/files/files.h"
#include "core/log.h"
#include "core/text.h"

namespace retrace {

namespace {

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

// Full disks and closed pipes show up only when the buffers are written.
void flush_output() {
  std::cout.flush();
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return;
  throw Error(Code::io, fmt::format("cannot write to standard output: {}",
                                    errno == 0 ? "write error" : std::strerror(errno)));
}

const Verb& find_verb(const std::vector<Verb>& verbs, const std::string& name) {
  for (const Verb& verb : verbs)
    if (verb.name == name) return verb;
  std::vector<std::string> names;
  for (const Verb& verb : verbs) names.push_back(verb.name);
  const std::string near = nearest_word(name, names);
  throw Error(Code::usage, fmt::format("unknown command '{}'", name),
              near.empty() ? "'retrace --help' lists the commands" : fmt::format("did you mean '{}'?", near));
}

int run_help(const Call& call, const std::vector<Verb>& all, const std::vector<Verb>& verbs,
             const Schema& schema) {
  if (call.words.empty()) {
    print(cli_help::overview(verbs));
    return 0;
  }
  const std::string& word = call.words[0];
  const auto verb = std::find_if(all.begin(), all.end(), [&](const Verb& each) { return each.name == word; });
  const bool section = std::any_of(schema.sections().begin(), schema.sections().end(),
                                   [&](const Section& each) { return each.name == word; });
  if (verb != all.end()) print(cli_help::verb_page(*verb));
  if (verb != all.end() && section) print("\n");
  if (verb == all.end() || section) print(help_for_keys(schema, word));
  return 0;
}

void set_log_options_from(const Call& call) {
  LogOptions options;
  options.rank = rank_from_environment();
  options.terminal = ::isatty(STDERR_FILENO) == 1;
  if (call.has("verbose")) options.level = Level::debug;
  if (call.has("quiet")) options.level = Level::warning;
  set_log_options(options);
}

int dispatch(const std::vector<std::string>& argv, const std::vector<Verb>& verbs, const Schema& schema) {
  std::vector<Verb> all = verbs;
  for (const Verb& verb : cli_help::built_in_verbs()) all.push_back(verb);
  const std::string first = argv.size() < 2 ? "--help" : argv[1];
  if (first == "--help" || first == "-h") {
    print(cli_help::overview(verbs));
    return 0;
  }
  if (first == "--version" || first == "version") {
    print(fmt::format("retrace {} ({})\n", kVersion, kCompiler));
    return 0;
  }
  const Verb& verb = find_verb(all, first);
  const Call call = parse_call(argv, verb, schema);
  set_log_options_from(call);
  if (call.has("help")) {
    const std::string about = call.option("help", "true");
    print(about == "true" ? cli_help::verb_page(verb) : help_for_keys(schema, about));
    return 0;
  }
  if (verb.run == nullptr) {  // a built-in one
    if (verb.name == "help") return run_help(call, all, verbs, schema);
    print(verb.name == "reference" ? reference_page(schema)
                                   : completion_script(call.word(0, "bash, zsh or fish"), verbs, schema));
    return 0;
  }
  if (verb.takes_recipe && call.has("print-config")) {
    print(load_recipe(call, schema).to_toml());
    return 0;
  }
  return verb.run(call, schema);
}

void report(const std::string& message, const std::string& hint, int status) {
  print_failure(message, hint);
  write_launcher_error(hint.empty() ? message : message + " (hint: " + hint + ")", status);
}

}  // namespace

int rank_from_environment() {
  for (const char* name : {"RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"}) {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == 0) continue;
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (*end == 0 && value >= 0 && value < 1'000'000'000) return static_cast<int>(value);
  }
  return 0;
}

int run_command_line(int argc, char** argv, const std::vector<Verb>& verbs, const Schema& schema) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is then an error like a full disk
  set_log_options_from(Call{});
  try {
    const int status = dispatch(std::vector<std::string>(argv, argv + argc), verbs, schema);
    flush_output();
    if (status != 0) write_launcher_error(fmt::format("ended with status {}", status), status);
    return status;
  } catch (const Error& error) {
    if (error.code() == Code::interrupted) {
      print_failure(error.message(), error.hint());
      return error.status();
    }
    const std::string message =
        error.where().empty() ? error.message() : error.where() + ": " + error.message();
    report(message, error.hint(), error.status());
    return error.status();
  } catch (const std::bad_alloc&) {
    report("out of memory", "a smaller data.seq_len, fewer ranks or a larger machine", 1);
  } catch (const std::exception& error) {
    report(fmt::format("internal error: {}", error.what()),
           "this is a bug in retrace; please report it with the command that led here", 1);
  } catch (...) {
    report("internal error of an unknown kind", "", 1);
  }
  return 1;
}

}  // namespace retrace
