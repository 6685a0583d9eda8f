// Config structs declare their keys once, in one list; loading, overrides, help, dump and completion all come
// from it.
//
//   struct OptimConfig {
//     static constexpr const char* kSection = "optim";
//     static constexpr const char* kAbout = "AdamW and its schedule";
//     double lr = 1e-5;
//     static auto fields();
//   };
//   extern template OptimConfig Recipe::get<OptimConfig>() const;  // likewise Section
//   describe<OptimConfig>()
//
// and in the source beside it, with the two templates instantiated:
//
//   auto OptimConfig::fields() {
//     return std::tuple{field("lr", &OptimConfig::lr, "Peak learning rate").range(0, 1)};
//   }
//
// Value types: bool, int64_t, double, std::string, vectors of int64_t, double and std::string, and
// std::map<std::string, double> (a TOML table of numbers).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

namespace retrace {

using Value = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                           std::vector<std::string>, std::map<std::string, double>>;

template <class Struct, class T>
struct Field {
  const char* name;
  T Struct::*member;
  const char* help;
  const char* unit_name = "";                             // "tokens", "s", "bytes", ...
  double low = -std::numeric_limits<double>::infinity();  // numbers only, inclusive
  double high = std::numeric_limits<double>::infinity();  // numbers only, inclusive
  std::vector<std::string> allowed = {};                  // strings only; empty = any

  Field unit(const char* name_of_unit) const {
    Field f = *this;
    f.unit_name = name_of_unit;
    return f;
  }
  Field range(double from, double to) const {
    Field f = *this;
    f.low = from;
    f.high = to;
    return f;
  }
  Field at_least(double from) const {
    Field f = *this;
    f.low = from;
    return f;
  }
  Field choices(std::vector<std::string> values) const {
    Field f = *this;
    f.allowed = std::move(values);
    return f;
  }
};

template <class Struct, class T>
Field<Struct, T> field(const char* name, T Struct::*member, const char* help) {
  return {name, member, help};
}

// One key of one section, with the type erased.
struct Key {
  std::string section, name, help, unit;
  double low, high;
  std::vector<std::string> allowed;
  Value default_value;
  std::string full() const { return section + "." + name; }
};

// A section with the type erased: its keys, and how to copy values into the struct.
struct Section {
  std::string name, about;
  std::vector<Key> keys;
};

template <class Struct>
Section describe() {
  Section section{Struct::kSection, Struct::kAbout, {}};
  const Struct defaults{};
  std::apply(
      [&](const auto&... f) {
        (section.keys.push_back({Struct::kSection, f.name, f.help, f.unit_name, f.low, f.high, f.allowed,
                                 Value(defaults.*(f.member))}),
         ...);
      },
      Struct::fields());
  return section;
}

}  // namespace retrace
