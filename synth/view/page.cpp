#include "synth/view/page.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "synth/paths.h"
#include "synth/record/plan_table.h"
#include "synth/record/render.h"
#include "synth/view/graph.h"
#include "synth/view/visible.h"

namespace retrace::synth {

namespace {

constexpr size_t kOpenTree = 60;  // files; larger trees are folded

std::string tile(const std::string& value, const std::string& name) {
  return fmt::format("<div class=\"tile\"><dt>{}</dt><dd>{}</dd></div>\n", html_text(name), html_text(value));
}

double percent(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string statistics_html(const Trajectory& t, const SearchLog& log) {
  std::map<Kind, int64_t> steps;
  uint64_t source = 0;
  for (const Step& s : t.steps) ++steps[s.kind];
  for (const TreeFile& f : t.tree) source += f.size;
  const auto n_broken = std::count_if(t.dependencies.begin(), t.dependencies.end(),
                                      [](const Dependency& d) { return d.broken; });
  const DocumentBytes bytes = document_bytes(t);
  const SearchTotals search = search_totals(t, log);
  std::string out = "<dl class=\"tiles\">\n";
  out += tile(std::to_string(t.tree.size()), "files");
  out += tile(human_size(source), "source");
  out += tile(std::to_string(t.agents.size() - 1), "sub-agents");
  out += tile(std::to_string(t.steps.size()), "steps");
  out += tile(std::to_string(steps[Kind::read]), "reads");
  out += tile(std::to_string(steps[Kind::write]), "writes");
  out += tile(std::to_string(steps[Kind::think]), "thoughts");
  out += tile(fmt::format("{} ({} broken)", t.dependencies.size(), n_broken), "dependencies");
  out += tile(human_size(static_cast<uint64_t>(bytes.trained + bytes.masked)), "document");
  out += tile(fmt::format("{:.0f} %", percent(bytes.trained, bytes.trained + bytes.masked)), "of it trained");
  if (!t.redactions.empty()) out += tile(std::to_string(t.redactions.size()), "redactions");
  if (!log.empty()) {
    out += tile(fmt::format("{} of {}", search.searched, search.thoughts), "thoughts searched");
    out += tile(fmt::format("{} ({} dropped)", search.replaced, search.dropped), "thoughts replaced");
    out += tile(fmt::format("{:.4f}", search.target_bytes == 0
                                          ? 0.0
                                          : search.gain_nats / static_cast<double>(search.target_bytes)),
                "nats a byte gained");
  }
  out += "</dl>\n<div class=\"shares\" role=\"img\" aria-label=\"Shares of the document by kind of step\">";
  for (const auto& [kind, n] : bytes.by_kind)
    out += fmt::format("<span class=\"{}\" style=\"flex-grow:{}\" title=\"{} {:.1f} %\"></span>",
                       data::kind_name(kind), n, data::kind_name(kind),
                       percent(n, bytes.trained + bytes.masked));
  out += "</div>\n<ul class=\"legend\">\n";
  for (const auto& [kind, n] : bytes.by_kind)
    out +=
        fmt::format("<li><span class=\"swatch {0}\"></span>{0} {1:.1f} %, {2}</li>\n", data::kind_name(kind),
                    percent(n, bytes.trained + bytes.masked), is_trained(kind) ? "trained" : "masked");
  return out +
         "</ul>\n<p class=\"legend\"><span class=\"trained\">Trained text</span> stands on a tint; "
         "<span class=\"masked\">masked text</span> is grey and carries no loss.</p>\n";
}

std::string provenance_html(const Trajectory& t) {
  std::string out = "<details><summary>Where it comes from</summary><dl class=\"facts\">\n";
  const auto fact = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_text(name), html_text(value));
  };
  fact("origin", t.origin);
  fact("kind", t.kind);
  fact("revision", t.revision);
  fact("date", t.date);
  fact("licence", t.licence);
  fact("round", std::to_string(t.round));
  fact("fold", t.fold);
  fact("id", t.id);
  fact("rev", t.rev);
  for (const auto& [name, value] : t.made_by.items())
    fact(name, value.is_string() ? value.get<std::string>() : to_text(value));
  return out + "</dl></details>\n";
}

std::string tree_html(const Trajectory& t) {
  const std::vector<size_t> place = places_in_order(t);
  const char* open = t.tree.size() <= kOpenTree ? " open" : "";
  std::string out = "<ul class=\"tree\">\n";
  std::vector<std::string> inside;  // the folders that are open here
  for (size_t i = 0; i < t.tree.size(); ++i) {
    const TreeFile& file = t.tree[i];
    std::vector<std::string> folders;
    for (std::string_view part : split(path_folder(file.path), '/'))
      if (!part.empty()) folders.emplace_back(part);
    size_t same = 0;
    while (same < inside.size() && same < folders.size() && inside[same] == folders[same]) ++same;
    for (size_t k = inside.size(); k > same; --k) out += "</ul></details></li>\n";
    for (size_t k = same; k < folders.size(); ++k)
      out += fmt::format("<li><details{}><summary>{}/</summary><ul>\n", open, html_text(folders[k]));
    inside = folders;
    out += fmt::format("<li><a href=\"#file-{}\"><bdi>{}</bdi></a> <small>no. {}, {}{}{}</small></li>\n", i,
                       html_text(path_name(file.path)), place[i] + 1, human_size(file.size),
                       file.language.empty() ? "" : ", ", html_text(file.language));
  }
  for (size_t k = inside.size(); k > 0; --k) out += "</ul></details></li>\n";
  return out + "</ul>\n";
}

std::string graph_html(const Trajectory& t, const DependencyGraph& graph, const std::string& svg) {
  if (graph.nodes.empty()) return "<p>No file needs another.</p>\n";
  const auto n_broken =
      std::count_if(graph.edges.begin(), graph.edges.end(), [](const GraphEdge& e) { return e.broken; });
  std::string out = fmt::format(
      "<p>What a {0} needs stands to its left; arrows go from what is needed to what needs it. "
      "{1} {0}s, {2} arrows{3}.{4} Pointing at a box, or reaching it with the tab key, lights up its "
      "arrows.</p>\n",
      graph.by_folder ? "folder" : "file", graph.nodes.size(), graph.edges.size(),
      n_broken == 0 ? "" : fmt::format(", {} of them broken", n_broken),
      graph.n_alone == 0
          ? ""
          : fmt::format(" {} of {} files stand alone and are not drawn.", graph.n_alone, t.tree.size()));
  out +=
      "<ul class=\"legend\"><li><svg class=\"key\" width=\"36\" height=\"10\" aria-hidden=\"true\"><path "
      "class=\"edge hard\" d=\"M0 5h36\"/></svg>hard</li><li><svg class=\"key\" width=\"36\" height=\"10\" "
      "aria-hidden=\"true\"><path class=\"edge soft\" d=\"M0 5h36\"/></svg>soft (types only, inside a "
      "function, containment)</li><li><svg class=\"key\" width=\"36\" height=\"10\" "
      "aria-hidden=\"true\"><path "
      "class=\"edge broken\" d=\"M0 5h36\"/></svg>broken: part of a cycle, written before what it needs "
      "</li></ul>\n";
  return out +
         "<div class=\"graph\" tabindex=\"0\" role=\"region\" aria-label=\"Dependency graph, scrolls\">" +
         svg + "</div>\n";
}

}  // namespace

bool is_trained(Kind kind) {
  static const std::map<std::string, double> weights = data::default_loss_weights();
  return weights.at(data::kind_name(kind)) > 0;
}

DocumentBytes document_bytes(const Trajectory& t) {
  DocumentBytes out;
  for (const data::Segment& s : render(t, {Variant::repo2agent_search, "plain"}).segments) {
    const auto n = static_cast<int64_t>(s.bytes.size());
    out.by_kind[s.kind] += n;
    (is_trained(s.kind) ? out.trained : out.masked) += n;
  }
  return out;
}

std::string file_link(const Trajectory& t, int file) {
  return fmt::format("<a href=\"#file-{}\"><bdi>{}</bdi></a>", file,
                     html_text(t.tree[static_cast<size_t>(file)].path));
}

std::string trajectory_page(const Trajectory& t, const SearchLog& log) {
  const DependencyGraph graph = dependency_graph(t);
  std::string graph_css;
  const std::string svg = graph_svg(graph, &graph_css), title = html_text(t.origin);
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
      title + "</title>\n<style>\n" + page_css() + graph_css +
      "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#steps\">Go to the "
      "steps</a>\n<header>\n<h1><bdi>" +
      title + "</bdi></h1>\n";
  out += fmt::format(
      "<p>How this repository could have been written: {} files, {} steps, licence {}, round {}.</p>\n",
      t.tree.size(), t.steps.size(), html_text(t.licence), t.round);
  out +=
      "<nav aria-label=\"Parts of the page\"><a href=\"#statistics\">Statistics</a><a href=\"#files\">Files"
      "</a><a href=\"#graph\">Dependencies</a><a href=\"#steps\">Steps</a></nav>\n</header>\n<main>\n";
  out += "<h2 id=\"statistics\">Statistics</h2>\n" + statistics_html(t, log) + provenance_html(t);
  out += "<h2 id=\"files\">Files</h2>\n" + tree_html(t);
  out += "<h2 id=\"graph\">Dependencies</h2>\n" + graph_html(t, graph, svg);
  out += "<h2 id=\"steps\">Steps</h2>\n" + steps_html(t, log);
  return out + "</main>\n</body>\n</html>\n";
}

}  // namespace retrace::synth
