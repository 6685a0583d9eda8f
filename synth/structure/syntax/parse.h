// tree-sitter behind a small door: a text and a language in, a syntax tree out. Errors in the source never
// fail: the tree then holds ERROR nodes and is used all the same.
#pragma once

#include <tree_sitter/api.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace retrace::synth {

// The grammar of a language of SourceFile::language, or null if there is none.
const TSLanguage* grammar_of(std::string_view language);
const std::vector<std::string>& grammar_names();  // the nine

class SyntaxTree {
 public:
  SyntaxTree() = default;
  // Null if there is no grammar, the text is 2 GiB or more, or the parse ran out of time. Time is counted in
  // parser steps, a million to the second, so that the outcome does not depend on the machine or its load: a
  // megabyte of ordinary source takes 0.7 s of it and half a second; steps spent on errors are some ten times
  // slower.
  SyntaxTree(std::string_view text, std::string_view language, double timeout_s);

  explicit operator bool() const { return tree_ != nullptr; }
  TSNode root() const { return ts_tree_root_node(tree_.get()); }
  std::string_view text() const { return text_; }
  bool has_errors() const { return ts_node_has_error(root()); }

 private:
  struct Free {
    void operator()(TSTree* tree) const { ts_tree_delete(tree); }
  };
  std::unique_ptr<TSTree, Free> tree_;
  std::string_view text_;
};

// Reading nodes.
std::string_view node_text(TSNode node, std::string_view text);
std::string_view node_type(TSNode node);
inline bool is(TSNode node, std::string_view type) {
  return node_type(node) == type;
}

// The places of some words in a text, so that a walk may pass over nodes that mention none of them.
class Mentions {
 public:
  Mentions(std::string_view text, std::initializer_list<std::string_view> words);
  // Whether one of the words begins inside the node. Ask for nodes in the order of walk() only.
  bool in(TSNode node) {
    const size_t begin = ts_node_start_byte(node);
    while (next_ < places_.size() && places_[next_] < begin) ++next_;
    return next_ < places_.size() && places_[next_] < ts_node_end_byte(node);
  }

 private:
  std::vector<size_t> places_;
  size_t next_ = 0;
};

TSNode field(TSNode node, std::string_view name);           // null node if absent
TSNode first_child_of(TSNode node, std::string_view type);  // among the named children
int node_line(TSNode node);                                 // 1-based
std::vector<TSNode> named_children(TSNode node);

// Visits nodes in order, without recursion (hostile nesting costs heap, not stack). `visit(node, ancestors)`
// gets the chain from the root to the node's parent and returns whether to go into the node's children.
template <class Visit>
void walk(TSNode root, Visit visit) {
  TSTreeCursor cursor = ts_tree_cursor_new(root);
  const std::unique_ptr<TSTreeCursor, void (*)(TSTreeCursor*)> guard(&cursor, ts_tree_cursor_delete);
  std::vector<TSNode> ancestors;
  for (;;) {
    const TSNode node = ts_tree_cursor_current_node(&cursor);
    if (visit(node, std::as_const(ancestors)) && ts_tree_cursor_goto_first_child(&cursor)) {
      ancestors.push_back(node);
      continue;
    }
    while (!ts_tree_cursor_goto_next_sibling(&cursor)) {
      if (!ts_tree_cursor_goto_parent(&cursor)) return;
      ancestors.pop_back();
    }
  }
}

}  // namespace retrace::synth
