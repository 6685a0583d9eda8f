#include "synth/structure/syntax/parse.h"

#include <algorithm>

#include "core/error.h"

extern "C" {
const TSLanguage* tree_sitter_python(void);
const TSLanguage* tree_sitter_javascript(void);
const TSLanguage* tree_sitter_typescript(void);
const TSLanguage* tree_sitter_tsx(void);
const TSLanguage* tree_sitter_go(void);
const TSLanguage* tree_sitter_java(void);
const TSLanguage* tree_sitter_c(void);
const TSLanguage* tree_sitter_cpp(void);
const TSLanguage* tree_sitter_rust(void);
}

namespace retrace::synth {

namespace {

struct Grammar {
  std::string_view name;
  const TSLanguage* (*language)(void);
};
constexpr Grammar kGrammars[] = {{"python", tree_sitter_python},
                                 {"javascript", tree_sitter_javascript},
                                 {"typescript", tree_sitter_typescript},
                                 {"tsx", tree_sitter_tsx},
                                 {"go", tree_sitter_go},
                                 {"java", tree_sitter_java},
                                 {"c", tree_sitter_c},
                                 {"cpp", tree_sitter_cpp},
                                 {"rust", tree_sitter_rust}};

constexpr double kCallbacksPerSecond = 10000;  // one callback is 100 parser steps

struct FreeParser {
  void operator()(TSParser* parser) const { ts_parser_delete(parser); }
};

struct TextInput {
  std::string_view text;
  static const char* read(void* payload, uint32_t at, TSPoint, uint32_t* count) {
    const std::string_view text = static_cast<TextInput*>(payload)->text;
    *count = at < text.size() ? static_cast<uint32_t>(text.size() - at) : 0;
    return *count ? text.data() + at : "";
  }
};

}  // namespace

const TSLanguage* grammar_of(std::string_view language) {
  for (const Grammar& grammar : kGrammars)
    if (grammar.name == language) return grammar.language();
  return nullptr;
}

const std::vector<std::string>& grammar_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Grammar& grammar : kGrammars) all.emplace_back(grammar.name);
    return all;
  }();
  return names;
}

SyntaxTree::SyntaxTree(std::string_view text, std::string_view language, double timeout_s) : text_(text) {
  const TSLanguage* grammar = grammar_of(language);
  if (grammar == nullptr || text.size() >= (uint64_t{1} << 31)) return;
  const std::unique_ptr<TSParser, FreeParser> parser(ts_parser_new());
  ensure(parser != nullptr && ts_parser_set_language(parser.get(), grammar),
         "the grammar fits tree-sitter's core");
  TextInput source{text};
  TSInput input{};
  input.payload = &source;
  input.read = TextInput::read;
  input.encoding = TSInputEncodingUTF8;
  auto callbacks_left = static_cast<int64_t>(std::min(timeout_s, 1e9) * kCallbacksPerSecond);
  TSParseOptions options{};
  options.payload = &callbacks_left;
  options.progress_callback = [](TSParseState* state) {
    return --*static_cast<int64_t*>(state->payload) < 0;
  };
  tree_.reset(ts_parser_parse_with_options(parser.get(), nullptr, input, options));
}

Mentions::Mentions(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words)
    for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) places_.push_back(at);
  if (words.size() > 1) std::sort(places_.begin(), places_.end());
}

std::string_view node_text(TSNode node, std::string_view text) {
  if (ts_node_is_null(node)) return {};
  const uint32_t begin = ts_node_start_byte(node), end = ts_node_end_byte(node);
  return text.substr(begin, end - begin);
}

std::string_view node_type(TSNode node) {
  return ts_node_is_null(node) ? "" : ts_node_type(node);
}

TSNode field(TSNode node, std::string_view name) {
  return ts_node_child_by_field_name(node, name.data(), static_cast<uint32_t>(name.size()));
}

TSNode first_child_of(TSNode node, std::string_view type) {
  for (TSNode child : named_children(node))
    if (is(child, type)) return child;
  return TSNode{};
}

int node_line(TSNode node) {
  return static_cast<int>(ts_node_start_point(node).row) + 1;
}

std::vector<TSNode> named_children(TSNode node) {
  std::vector<TSNode> children;
  TSTreeCursor cursor = ts_tree_cursor_new(node);
  if (ts_tree_cursor_goto_first_child(&cursor)) {
    do {
      const TSNode child = ts_tree_cursor_current_node(&cursor);
      if (ts_node_is_named(child)) children.push_back(child);
    } while (ts_tree_cursor_goto_next_sibling(&cursor));
  }
  ts_tree_cursor_delete(&cursor);
  return children;
}

}  // namespace retrace::synth
