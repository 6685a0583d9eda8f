#include "eval/report/page.h"

#include "core/log.h"
#include "core/text.h"

namespace retrace::eval {
namespace {

const char* const kStyle = R"css(
:root{color-scheme:light dark;--bg:#fdfdfc;--fg:#1d1f21;--soft:#60656b;--rule:#dcdfe3;--panel:#f3f4f5;
--c0:#2463a8;--c1:#c2571a;--c2:#2f7d4f;--c3:#8a4fa3;--c4:#a8892b;--c5:#b03a5b;--c6:#3a8c91;--c7:#6b6f76;
--trained:#e3f1e6;--trained-edge:#2f7d4f;--masked:#eeeff1;--masked-edge:#a9aeb5}
@media (prefers-color-scheme:dark){:root{--bg:#15181b;--fg:#e4e6e8;--soft:#9aa1a9;--rule:#333a41;--panel:#1e2327;
--c0:#6ba6e8;--c1:#ee9a63;--c2:#72c693;--c3:#c99be0;--c4:#dcc16a;--c5:#ea8aa6;--c6:#77c9ce;--c7:#a9aeb5;
--trained:#1c3326;--trained-edge:#72c693;--masked:#23282d;--masked-edge:#59616a}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:64rem;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .2rem}
h2{font-size:1.2rem;margin:2.4rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--rule)}
p{margin:.5rem 0;max-width:46rem}
.soft{color:var(--soft)}
nav{margin:1rem 0;display:flex;flex-wrap:wrap;gap:.3rem 1rem;font-size:.92rem}
a{color:var(--c0)}
.wide{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.28rem .7rem;text-align:left;border-bottom:1px solid var(--rule);vertical-align:top}
th{font-weight:600;color:var(--soft)}
table.numeric td:not(:first-child),table.numeric th:not(:first-child){text-align:right;white-space:nowrap}
figure{margin:1rem 0;max-width:46rem}
svg{width:100%;height:auto;display:block}
svg text{fill:var(--fg);font:12px system-ui,"DejaVu Sans",sans-serif}
svg .title{font-weight:600;font-size:13px}
svg .tick{fill:var(--soft)}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .line{fill:none;stroke-width:1.8;stroke-linejoin:round}
figcaption{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.86rem;color:var(--soft);padding-left:.4rem}
.key i{display:inline-block;width:.8em;height:.8em;margin-right:.35em;border-radius:2px;background:var(--k)}
.c0{--k:var(--c0)}.c1{--k:var(--c1)}.c2{--k:var(--c2)}.c3{--k:var(--c3)}.c4{--k:var(--c4)}.c5{--k:var(--c5)}
.c6{--k:var(--c6)}.c7{--k:var(--c7)}
svg .line{stroke:var(--k)}svg rect,svg .dot{fill:var(--k)}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.15rem 1.2rem;margin:.8rem 0;font-size:.95rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
details{margin:.6rem 0}summary{cursor:pointer;color:var(--c0)}
.seg{display:block;white-space:pre-wrap;overflow-wrap:anywhere;font:12.5px/1.45 ui-monospace,"DejaVu Sans Mono",monospace;
padding:.25rem .6rem;margin:1px 0;border-left:4px solid var(--masked-edge);background:var(--masked)}
.seg.trained{background:var(--trained);border-left-color:var(--trained-edge)}
.trajectory{max-height:42rem;overflow:auto;border:1px solid var(--rule);padding:.5rem;border-radius:6px}
.trajectory.page{width:100%;height:42rem;padding:0}
@media (max-width:34rem){body{font-size:15px}dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}
@media print{.trajectory{max-height:none}}
)css";

std::string anchor(size_t index) {
  return "s" + std::to_string(index);
}

std::string markdown_cell(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string html_table(const std::vector<std::vector<std::string>>& rows, bool numeric) {
  std::string out = numeric ? "<div class=\"wide\"><table class=\"numeric\">" : "<div class=\"wide\"><table>";
  for (size_t r = 0; r < rows.size(); ++r) {
    const char* tag = r == 0 ? "th" : "td";
    out += "<tr>";
    for (const auto& cell : rows[r]) out += fmt::format("<{}>{}</{}>", tag, html_escape(cell), tag);
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

std::string markdown_table(const std::vector<std::vector<std::string>>& rows) {
  std::string out = "\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    out += "|";
    for (const auto& cell : rows[r]) out += " " + markdown_cell(cell) + " |";
    out += "\n";
    if (r == 0) {
      out += "|";
      for (size_t c = 0; c < rows[0].size(); ++c) out += "---|";
      out += "\n";
    }
  }
  return out + "\n";
}

}  // namespace

Page::Page(std::string title, std::string subtitle)
    : title_(std::move(title)), subtitle_(std::move(subtitle)) {}

void Page::heading(const std::string& text) {
  html_ += fmt::format("<h2 id=\"{}\">{}</h2>\n", anchor(headings_.size()), html_escape(text));
  markdown_ += "\n## " + text + "\n\n";
  headings_.push_back(text);
}

void Page::paragraph(const std::string& text) {
  html_ += "<p>" + html_escape(text) + "</p>\n";
  markdown_ += text + "\n\n";
}

void Page::table(const std::vector<std::vector<std::string>>& rows, bool numeric) {
  if (rows.size() < 2) return;
  html_ += html_table(rows, numeric);
  markdown_ += markdown_table(rows);
}

void Page::facts(const std::vector<std::pair<std::string, std::string>>& pairs) {
  html_ += "<dl>";
  for (const auto& [name, value] : pairs) {
    html_ += fmt::format("<dt>{}</dt><dd>{}</dd>", html_escape(name), html_escape(value));
    markdown_ += "- " + name + ": " + value + "\n";
  }
  html_ += "</dl>\n";
  markdown_ += "\n";
}

void Page::html_only(const std::string& html) {
  html_ += html;
}

void Page::fold(const std::string& summary, const std::vector<std::vector<std::string>>& rows) {
  if (rows.size() < 2) return;
  html_ +=
      "<details><summary>" + html_escape(summary) + "</summary>" + html_table(rows, false) + "</details>\n";
  markdown_ += summary + ":\n" + markdown_table(rows);
}

std::string Page::html() const {
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><title>" +
      html_escape(title_) + "</title><style>" + kStyle + "</style></head><body>\n<h1>" + html_escape(title_) +
      "</h1><p class=\"soft\">" + html_escape(subtitle_) + "</p>\n<nav>";
  for (size_t i = 0; i < headings_.size(); ++i)
    out += fmt::format("<a href=\"#{}\">{}</a>", anchor(i), html_escape(headings_[i]));
  return out + "</nav>\n" + html_ + "</body></html>\n";
}

std::string Page::markdown() const {
  return "# " + title_ + "\n\n" + subtitle_ + "\n" + markdown_;
}

}  // namespace retrace::eval
