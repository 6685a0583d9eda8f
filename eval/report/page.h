// One page in two forms at once: self-contained HTML (light and dark, wide and narrow, no script) and
// Markdown.
#pragma once

#include <string>
#include <vector>

namespace retrace::eval {

class Page {
 public:
  explicit Page(std::string title, std::string subtitle);
  void heading(const std::string& text);
  void paragraph(const std::string& text);  // plain text
  // First row of cells = header. Cells are plain text; `numeric` aligns all but the first column to the
  // right.
  void table(const std::vector<std::vector<std::string>>& rows, bool numeric = true);
  void facts(const std::vector<std::pair<std::string, std::string>>& pairs);
  void html_only(const std::string& html);  // charts, trajectories
  void fold(const std::string& summary, const std::vector<std::vector<std::string>>& rows);  // a folded table

  std::string html() const;
  std::string markdown() const;

 private:
  std::string title_, subtitle_, html_, markdown_;
  std::vector<std::string> headings_;
};

}  // namespace retrace::eval
