#include "core/cli/cli.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/cli/cli_help.h"
#include "core/recipe/recipe_value.h"
#include "core/text.h"

namespace retrace {

namespace {

const OptionSpec* find_option(const std::vector<OptionSpec>& options, const std::string& name) {
  for (const OptionSpec& option : options)
    if (option.name == name) return &option;
  return nullptr;
}

bool has_section(const Schema& schema, const std::string& name) {
  return std::any_of(schema.sections().begin(), schema.sections().end(),
                     [&](const Section& section) { return section.name == name; });
}

// "optim.lr" but not "./a.b", "a..b" or "3.5".
bool looks_like_key(std::string_view text) {
  constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  constexpr std::string_view kRest = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789-";
  const std::vector<std::string_view> parts = split(text, '.');
  if (parts.size() < 2 || kFirst.find(text.empty() ? '.' : text[0]) == std::string_view::npos) return false;
  return std::all_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return !part.empty() && part.find_first_not_of(kRest) == std::string_view::npos;
  });
}

bool is_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

class CallParser {
 public:
  CallParser(const std::vector<std::string>& argv, const Verb& verb, const Schema& schema)
      : argv_(argv), verb_(verb), schema_(schema), options_(verb.options) {
    for (const OptionSpec& common : cli_help::common_options(verb.takes_recipe))
      if (find_option(options_, common.name) == nullptr) options_.push_back(common);
    call_.verb = verb.name;
    call_.argv = argv;
  }

  Call parse() {
    for (next_ = 2; next_ < argv_.size();) {
      const std::string& token = argv_[next_++];
      if (token == "--") {
        call_.words.insert(call_.words.end(), argv_.begin() + static_cast<std::ptrdiff_t>(next_),
                           argv_.end());
        break;
      }
      if (token.starts_with("--")) {
        long_option(token.substr(2));
      } else if (token.size() > 1 && token[0] == '-' && !is_number(token)) {
        short_options(token);
      } else {
        word_or_override(token);
      }
    }
    return std::move(call_);
  }

 private:
  void long_option(const std::string& text) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const OptionSpec* option = find_option(options_, name);
    if (option == nullptr && looks_like_key(name)) {
      call_.overrides.push_back(
          {name, equals == std::string::npos ? value_after("--" + name, "VALUE") : text.substr(equals + 1)});
      return;
    }
    if (option == nullptr) unknown(name);
    if (option->value_name.empty()) {
      if (name == "help" && equals != std::string::npos)
        call_.options["help"] = text.substr(equals + 1);
      else if (equals != std::string::npos)
        throw Error(Code::usage, fmt::format("--{} takes no value", name), page_hint());
      else
        call_.options.emplace(name, "true");
      return;
    }
    set_option(name, equals == std::string::npos ? value_after("--" + name, option->value_name)
                                                 : text.substr(equals + 1));
  }

  void set_option(const std::string& name, const std::string& value) {
    const bool own = find_option(verb_.options, name) != nullptr;
    if (!own && name == "nproc")
      call_.overrides.push_back({"run.nproc", value});
    else if (!call_.options.emplace(name, value).second)
      throw Error(Code::usage, fmt::format("--{} is given twice", name), page_hint());
  }

  std::string value_after(const std::string& option, const std::string& value_name) {
    if (next_ >= argv_.size())
      throw Error(Code::usage, fmt::format("{} needs a value", option),
                  fmt::format("{} {}", option, value_name));
    return argv_[next_++];
  }

  void short_options(const std::string& token) {
    for (char letter : token.substr(1)) {
      if (letter == 'v')
        call_.options.emplace("verbose", "true");
      else if (letter == 'q')
        call_.options.emplace("quiet", "true");
      else if (letter == 'h')
        call_.options.emplace("help", "true");
      else
        throw Error(Code::usage, fmt::format("unknown option '{}'", token), page_hint());
    }
  }

  void word_or_override(const std::string& token) {
    const size_t equals = token.find('=');
    if (equals != std::string::npos && looks_like_key(std::string_view(token).substr(0, equals))) {
      const std::string key = token.substr(0, equals);
      if (verb_.takes_recipe || has_section(schema_, key.substr(0, key.find('.')))) {
        call_.overrides.push_back({key, token.substr(equals + 1)});
        return;
      }
    }
    call_.words.push_back(token);
  }

  [[noreturn]] void unknown(const std::string& name) const {
    std::vector<std::string> names;
    for (const OptionSpec& option : options_) names.push_back(option.name);
    std::string near = nearest_word(name, names);
    if (near.empty() && verb_.takes_recipe) near = schema_.nearest(replace_all(name, "-", "_"));
    throw Error(Code::usage, fmt::format("'{}' has no option --{}", verb_.name, name),
                near.empty() ? page_hint() : fmt::format("did you mean --{}?", near));
  }

  std::string page_hint() const { return fmt::format("'retrace {} --help' lists the options", verb_.name); }

  const std::vector<std::string>& argv_;
  const Verb& verb_;
  const Schema& schema_;
  std::vector<OptionSpec> options_;
  Call call_;
  size_t next_ = 2;
};

}  // namespace

Call parse_call(const std::vector<std::string>& argv, const Verb& verb, const Schema& schema) {
  return CallParser(argv, verb, schema).parse();
}

std::string Call::option(const std::string& name, const std::string& fallback) const {
  const auto found = options.find(name);
  return found == options.end() ? fallback : found->second;
}

int64_t Call::integer(const std::string& name, int64_t fallback) const {
  const auto found = options.find(name);
  if (found == options.end()) return fallback;
  int64_t value = 0;
  if (!recipe_value::parse_integer(found->second, value))
    throw Error(Code::usage, fmt::format("--{} takes an integer, not '{}'", name, found->second));
  return value;
}

double Call::number(const std::string& name, double fallback) const {
  const auto found = options.find(name);
  if (found == options.end()) return fallback;
  const std::string& text = found->second;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    throw Error(Code::usage, fmt::format("--{} takes a number, not '{}'", name, text));
  return value;
}

const std::string& Call::word(size_t index, const char* what) const {
  if (index < words.size()) return words[index];
  throw Error(Code::usage, fmt::format("'{}' needs {}", verb, what),
              fmt::format("'retrace {} --help' shows how it is called", verb));
}

Recipe load_recipe(const Call& call, const Schema& schema) {
  return Recipe::load(schema, call.word(0, "RECIPE"), call.overrides);
}

}  // namespace retrace
