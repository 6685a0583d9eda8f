#include "synth/structure/symbols/symbols.h"

#include <algorithm>
#include <map>

namespace retrace::synth {

namespace {

constexpr size_t kMaxSignatureBytes = 400;

bool is_comment(std::string_view type) {
  return type == "comment" || type == "line_comment" || type == "block_comment";
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

bool only_space(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_space);
}

// The comment lines just read: what follows them directly may claim them as its description.
struct CommentRun {
  size_t begin = 0, end = 0;

  void add(TSNode node, std::string_view text) {
    const size_t node_begin = ts_node_start_byte(node);
    size_t node_end = ts_node_end_byte(node);
    while (node_end > node_begin && is_space(text[node_end - 1])) --node_end;
    const size_t line = node_begin == 0 ? 0 : text.rfind('\n', node_begin - 1) + 1;
    if (!only_space(text.substr(line, node_begin - line))) return;  // behind code on its line
    const std::string_view gap = text.substr(end, node_begin - end);
    if (end == 0 || !only_space(gap) || std::count(gap.begin(), gap.end(), '\n') > 1) begin = node_begin;
    end = node_end;
  }

  std::string claimed_at(size_t definition, std::string_view text) const {
    if (end == 0 || end > definition) return "";
    std::string_view gap = text.substr(end, definition - end);
    const size_t first = gap.find_first_not_of(" \t\r\n");
    const size_t last = gap.find_last_not_of(" \t\r\n");
    if (first == gap.npos) {
      if (std::count(gap.begin(), gap.end(), '\n') > 1) return "";
    } else if (gap.substr(first, 2) != "#[" || gap[last] != ']' || gap.find("\n\n") != gap.npos) {
      return "";  // anything but Rust attributes stands between
    }
    return clean_comment(text.substr(begin, end - begin));
  }
};

struct Scope {
  std::string name;
  size_t end = 0;
  bool class_like = false;
};

bool is_class_like(std::string_view kind) {
  return kind == "class" || kind == "struct" || kind == "interface" || kind == "enum" || kind == "impl";
}

std::string signature_of(TSNode outer, TSNode node, const SymbolDraft& draft, std::string_view text) {
  const size_t begin = ts_node_start_byte(is(outer, "decorated_definition") ? node : outer);
  size_t end = ts_node_end_byte(node);
  const TSNode stop = ts_node_is_null(draft.stop) ? draft.body : draft.stop;
  if (!ts_node_is_null(stop)) {
    end = std::max<size_t>(ts_node_start_byte(stop), begin);
  } else {
    const std::string_view whole = text.substr(begin, end - begin);
    const size_t brace = whole.find('{');
    if (brace != whole.npos && brace > 0) end = begin + brace;
    const size_t line = text.substr(begin, end - begin).find('\n');
    if (line != text.npos && end - begin > kMaxSignatureBytes) end = begin + line;
  }
  std::string signature = fold_space(text.substr(begin, end - begin));
  for (bool cut = true; cut && !signature.empty();) {
    cut = signature.back() == '{' || signature.back() == ' ' || signature.back() == ';' ||
          (signature.back() == ':' && !ts_node_is_null(draft.body)) ||
          (signature.back() == '=' && !ts_node_is_null(draft.body));
    if (cut) signature.pop_back();
  }
  if (signature.size() > kMaxSignatureBytes) {
    size_t length = kMaxSignatureBytes;
    while (length > 0 && (static_cast<unsigned char>(signature[length]) & 0xC0) == 0x80) --length;
    signature = signature.substr(0, length) + "...";
  }
  return signature;
}

// const ( A = 1; B = 2 ) belongs to neither A nor B.
bool has_several(TSNode node, std::string_view type) {
  int count = 0;
  for (TSNode child : named_children(node)) count += is(child, type);
  return count > 1;
}

// What the walk does with a node, by the number of its type in the grammar.
struct NodeRule {
  bool comment = false;
  const SymbolRule* rule = nullptr;
};
using NodeRules = std::vector<NodeRule>;

NodeRules rules_by_number(const TSLanguage* grammar, const SymbolTable& table) {
  NodeRules out(ts_language_symbol_count(grammar));
  for (size_t id = 0; id < out.size(); ++id) {
    const char* name = ts_language_symbol_name(grammar, static_cast<TSSymbol>(id));
    if (name == nullptr) continue;
    out[id].comment = is_comment(name);
    for (const SymbolRule& rule : table.rules)
      if (rule.node == name) out[id].rule = &rule;
  }
  return out;
}

const NodeRules& node_rules(std::string_view language) {
  static const std::map<std::string_view, NodeRules> all = [] {
    std::map<std::string_view, NodeRules> out;
    for (const std::string& name : grammar_names())
      if (const SymbolTable* table = symbol_table(name))
        out.emplace(name, rules_by_number(grammar_of(name), *table));
    return out;
  }();
  return all.find(language)->second;
}

class SymbolWalk {
 public:
  SymbolWalk(const SyntaxTree& tree, const SymbolTable& table, const NodeRules& rules, FileStructure* file)
      : text_(tree.text()), table_(table), rules_(rules), file_(*file) {}

  bool visit(TSNode node, const std::vector<TSNode>& ancestors) {
    const size_t id = ts_node_symbol(node);
    if (id >= rules_.size()) return true;  // an ERROR
    if (rules_[id].comment) {
      comments_.add(node, text_);
      return false;
    }
    if (rules_[id].rule == nullptr) return true;
    while (!scopes_.empty() && scopes_.back().end <= ts_node_start_byte(node)) scopes_.pop_back();
    const SymbolRule& rule = *rules_[id].rule;
    SymbolDraft draft;
    draft.kind = rule.kind;
    draft.name = fold_space(node_text(field(node, rule.name_field), text_));
    draft.body = field(node, "body");
    draft.in_class = !scopes_.empty() && scopes_.back().class_like;
    if (table_.refine != nullptr) table_.refine(node, ancestors, text_, &draft);
    if (draft.name.empty()) return true;
    const std::string qualified = scopes_.empty() ? draft.name : scopes_.back().name + "." + draft.name;
    if (rule.recorded) record(node, ancestors, draft, qualified);
    if (rule.scope) scopes_.push_back({qualified, ts_node_end_byte(node), is_class_like(draft.kind)});
    return rule.scope || (draft.kind != "function" && draft.kind != "method");
  }

 private:
  void record(TSNode node, const std::vector<TSNode>& ancestors, const SymbolDraft& draft,
              const std::string& qualified) {
    TSNode outer = node;
    for (size_t i = ancestors.size(); i-- > 0;) {
      const std::string_view type = node_type(ancestors[i]);
      if (std::find(table_.wrappers.begin(), table_.wrappers.end(), type) == table_.wrappers.end()) break;
      if (has_several(ancestors[i], node_type(outer))) break;
      outer = ancestors[i];
    }
    Symbol symbol;
    symbol.kind = draft.kind;
    symbol.name = qualified;
    symbol.begin = ts_node_start_byte(outer);
    symbol.end = ts_node_end_byte(outer);
    symbol.signature = signature_of(outer, node, draft, text_);
    if (table_.docstring_inside) symbol.docstring = python_docstring(draft.body, text_);
    if (symbol.docstring.empty()) symbol.docstring = comments_.claimed_at(symbol.begin, text_);
    file_.symbols.push_back(std::move(symbol));
  }

  std::string_view text_;
  const SymbolTable& table_;
  const NodeRules& rules_;
  FileStructure& file_;
  std::vector<Scope> scopes_;
  CommentRun comments_;
};

bool is_legal_text(const std::string& comment) {
  for (const char* word : {"copyright", "Copyright", "COPYRIGHT", "SPDX-License", "Licensed under", "licence",
                           "license", "-*- coding", "coding:", "vim:", "#!/"})
    if (comment.find(word) != comment.npos) return true;
  return false;
}

// The first comment block at the top that is not about law or editors.
std::string leading_comment(TSNode root, std::string_view text) {
  CommentRun run;
  std::string best;
  for (TSNode child : named_children(root)) {
    if (is(child, "hash_bang_line")) continue;
    if (!is_comment(node_type(child))) break;
    CommentRun next = run;
    next.add(child, text);
    if (run.end != 0 && next.begin != run.begin) {
      best = clean_comment(text.substr(run.begin, run.end - run.begin));
      if (!best.empty() && !is_legal_text(best)) return best;
    }
    run = next;
  }
  if (run.end == 0) return "";
  best = clean_comment(text.substr(run.begin, run.end - run.begin));
  return is_legal_text(best) ? "" : best;
}

}  // namespace

const SymbolTable* symbol_table(std::string_view language) {
  static const std::map<std::string_view, SymbolTable> tables = {{"python", python_symbols()},
                                                                 {"javascript", javascript_symbols()},
                                                                 {"typescript", javascript_symbols()},
                                                                 {"tsx", javascript_symbols()},
                                                                 {"go", go_symbols()},
                                                                 {"java", java_symbols()},
                                                                 {"c", c_symbols()},
                                                                 {"cpp", c_symbols()},
                                                                 {"rust", rust_symbols()}};
  const auto found = tables.find(language);
  return found == tables.end() ? nullptr : &found->second;
}

void find_symbols(const SyntaxTree& tree, std::string_view language, FileStructure* file) {
  const SymbolTable* table = symbol_table(language);
  if (table == nullptr) return;
  if (table->docstring_inside) file->docstring = python_docstring(tree.root(), tree.text());
  if (file->docstring.empty()) file->docstring = leading_comment(tree.root(), tree.text());
  SymbolWalk symbols(tree, *table, node_rules(language), file);
  walk(tree.root(),
       [&](TSNode node, const std::vector<TSNode>& ancestors) { return symbols.visit(node, ancestors); });
}

}  // namespace retrace::synth
