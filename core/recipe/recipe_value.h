// From TOML nodes and command-line text to the typed value of a key, checked. For core/recipe/recipe.cpp
// only.
#pragma once

#include <string>

#include "core/recipe/fields.h"
#include "core/recipe/toml_reader.h"

namespace retrace::recipe_value {

// All throw Error{recipe} with `where`. `current` is what the key holds now: a table of numbers keeps those
// of its entries that the new table does not name.
Value from_node(const Key& key, const toml_reader::Node& node, const Value& current);
Value from_text(const Key& key, const std::string& text, const Value& current, const std::string& where);
// Type, range and choices.
void check(const Key& key, const Value& value, const std::string& where);

const char* type_name(const Value& value);  // "integer", "list of strings", ...
std::string limits_text(const Key& key);    // "0 to 1", "at least 16", "bpe | sentencepiece", ""
// "64k", "8Ki", "1_000", "-3"; false if it is no integer of 64 bits.
bool parse_integer(std::string_view text, int64_t& out);

}  // namespace retrace::recipe_value
