// The page and the terminal form: nothing of a repository gets out of its place, and everything is there.
#include <catch2/catch_test_macros.hpp>

#include <set>
#include <sstream>

#include "core/error.h"
#include "core/files/files.h"
#include "core/text.h"
#include "synth/record/store.h"
#include "synth/search/search.h"
#include "synth/show.h"
#include "synth/view/graph.h"
#include "synth/view/page.h"
#include "synth/view/visible.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

namespace {

const std::vector<std::string> kHostile = {"</script><script>alert(1)</script>",
                                           "\"onmouseover=\"alert(1)",
                                           "'><svg/onload=alert(1)>",
                                           "</style><img src=http://example.org/x onerror=alert(1)>",
                                           "--><!-- </title></pre></details>",
                                           "\x1b]0;title\x07\x1b[2J",
                                           "\xE2\x80\xAE gnp.exe",
                                           "\xff\xfe broken \xed\xa0\x80"};

// The tags of a page, in order, with what stands in them. Fails on a tag that is not closed, on attributes
// without quotes, and on elements that are not nested.
void check_markup(const std::string& page) {
  static const std::set<std::string> kVoid = {"meta", "!doctype", "path", "rect", "circle"};
  static const std::set<std::string> kKnown = {
      "!doctype", "html", "head", "meta",   "title",   "style",   "body",  "a",       "header", "h1",
      "h2",       "h3",   "h4",   "p",      "nav",     "main",    "dl",    "dt",      "dd",     "div",
      "span",     "ul",   "ol",   "li",     "details", "summary", "bdi",   "small",   "svg",    "defs",
      "marker",   "path", "g",    "circle", "rect",    "text",    "tspan", "section", "pre",    "b"};
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != page.npos; at = page.find('<', at)) {
    const size_t end = page.find('>', at);
    REQUIRE(end != page.npos);
    std::string tag = page.substr(at + 1, end - at - 1);
    at = end;
    const bool closes = tag.starts_with('/'), alone = tag.ends_with('/');
    if (closes) tag.erase(0, 1);
    const std::string name = tag.substr(0, tag.find_first_of(" /"));
    INFO("tag <" << tag << ">");
    REQUIRE(kKnown.count(name) == 1);
    if (closes) {
      REQUIRE_FALSE(open.empty());
      REQUIRE(open.back() == name);
      open.pop_back();
      continue;
    }
    REQUIRE(std::count(tag.begin(), tag.end(), '"') % 2 == 0);
    for (size_t i = tag.find(' '); i != tag.npos; i = tag.find(' ', tag.find('"', tag.find('"', i) + 1))) {
      const std::string attribute = tag.substr(i + 1, tag.find('=', i) - i - 1);
      REQUIRE_FALSE(attribute.starts_with("on"));
      if (tag.find('"', i) == tag.npos) break;
    }
    if (!alone && kVoid.count(name) == 0) open.push_back(name);
  }
  REQUIRE(open.empty());
}

Trajectory hostile_trajectory() {
  Trajectory t = make_trajectory(make_repository(kHostile[0]));
  for (size_t i = 0; i < t.tree.size(); ++i) t.tree[i].path = "dir<b>/" + kHostile[i % kHostile.size()];
  t.origin = t.licence = t.revision = kHostile[1] + kHostile[3] + kHostile[4];
  for (size_t i = 0; i < t.slots.size(); ++i) t.slots[i].chosen = kHostile[i % 6];
  for (PlanLine& line : t.plan) line.purpose = kHostile[2];
  return t;
}

SearchLog hostile_log(const Trajectory& t) {
  SearchLog log;
  for (size_t i = 0; i < t.slots.size(); ++i) {
    SlotSearch search;
    search.target.file = 0;
    search.tried.push_back({0, -1, 0, kHostile[0], "a", "blinded", "initial", 2.0, 0, 0});
    search.tried.push_back({1, 0, 1, kHostile[3], kHostile[1], kHostile[2], kHostile[4], 1.0, 0, 0});
    search.dropped = i % 2 == 0 ? kHostile[4] : "";
    log[static_cast<int>(i)] = search;
  }
  return log;
}

// A shard with one searched record, its candidates beside it.
struct Searched {
  TempFolder folder;
  fs::path shard = folder.path() / "trajectories.traj";
  Trajectory t;
  Json summary;

  explicit Searched(const std::string& preset) {
    const Repository r = make_repository();
    t = make_trajectory(r);
    SearchOptions options;
    options.config.preset = preset;
    const SearchResult result = search_thoughts(t, r.snapshot, r.structure, *make_template_generator(),
                                                *make_ppm_scorer(), nullptr, options);
    summary = result.summary;
    std::string lines = "{\"trajectory\":\"another\",\"slot\":0}\n";
    for (const std::string& line : result.candidates) lines += line + "\n";
    write_file(folder.path() / "candidates.jsonl", lines);
    TrajectoryWriter writer(shard);
    writer.add(t);
    writer.finish();
  }
  std::string shown(const ShowOptions& options) const {
    std::ostringstream out;
    REQUIRE(show_trajectory(shard, options, out));
    return out.str();
  }
};

size_t count_of(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

}  // namespace

TEST_CASE("text of a stranger becomes harmless text", "[unit]") {
  REQUIRE(visible_text("a\tb\nc") == "a\tb\nc");
  REQUIRE(visible_text("\x1b[2J\r\x7f") == "\xE2\x90\x9B[2J\xE2\x90\x8D\xE2\x90\xA1");
  REQUIRE(visible_text(std::string("\0", 1)) == "\xE2\x90\x80");
  REQUIRE(visible_text("\xE2\x80\xAE"
                       "x\xC2\x9B") == "<U+202E>x<U+009B>");
  REQUIRE(visible_text("caf\xC3\xA9 \xff") == "caf\xC3\xA9 \xEF\xBF\xBD");
  REQUIRE(html_text("<\xE2\x80\xAE>") == "&lt;&lt;U+202E&gt;&gt;");
  for (const std::string& text : kHostile) REQUIRE(is_valid_utf8(visible_text(text)));
}

TEST_CASE("a hostile repository forges no markup on the page", "[unit]") {
  const Trajectory t = hostile_trajectory();
  for (const SearchLog& log : {SearchLog{}, hostile_log(t)}) {
    const std::string page = trajectory_page(t, log);
    REQUIRE(is_valid_utf8(page));
    check_markup(page);
    for (const char* never : {"<script", "<img", "<!--", "\x1b", "\xE2\x80\xAE", "http-equiv=\"refresh"})
      REQUIRE(page.find(never) == page.npos);
    REQUIRE(page.find("&lt;/script&gt;&lt;script&gt;alert(1)") != page.npos);
    // Nothing is fetched: the only address on the page is the name of SVG's namespace.
    REQUIRE(count_of(page, "http://") ==
            count_of(page, "http://www.w3.org/2000/svg") + count_of(page, "src=http://example.org"));
    REQUIRE(count_of(page, "url(") == count_of(page, "url(#arrow"));
    REQUIRE(page.find("default-src 'none'") != page.npos);
  }
}

TEST_CASE("the page holds every file, every step and what the search tried", "[unit]") {
  const Searched s("paper");
  const std::string page = s.shown({0, "html"});
  check_markup(page);
  for (size_t i = 0; i < s.t.tree.size(); ++i) {
    REQUIRE(count_of(page, fmt::format("id=\"file-{}\"", i)) == 1);
    REQUIRE(count_of(page, fmt::format("href=\"#file-{}\"", i)) >= 2);  // tree; delegation, read or write
  }
  for (const Step& step : s.t.steps) REQUIRE(count_of(page, fmt::format("id=\"step-{}\"", step.seq)) == 1);
  REQUIRE(page.find("class=\"trained\"") != page.npos);
  REQUIRE(page.find("class=\"masked\"") != page.npos);
  REQUIRE(page.find("prefers-color-scheme: dark") != page.npos);
  const auto accepted = s.summary["accepted"].get<size_t>();
  REQUIRE(accepted > 0);
  REQUIRE(count_of(page, "Search: another text was chosen.") == accepted);
  REQUIRE(count_of(page, "Search: the first draft stays.") == s.summary["kept_initial"].get<size_t>());
  const Json& verdicts = s.summary["verdicts"];
  REQUIRE(count_of(page, "the code became no likelier") == verdicts["rejected"].get<size_t>());
  REQUIRE(count_of(page, "<li class=\"won\">") == accepted);
  REQUIRE(count_of(page, "class=\"edge broken") == 2);  // the cycle, and its key
}

TEST_CASE("the guarded search's refusals are told with their reasons", "[unit]") {
  const Searched s("guarded");
  const SearchLog log = read_search_log(s.shard, s.t);
  const SearchTotals totals = search_totals(s.t, log);
  REQUIRE(totals.searched == s.summary["searched"].get<int64_t>());
  REQUIRE(totals.replaced == s.summary["accepted"].get<int64_t>());
  REQUIRE(totals.dropped == s.summary["dropped_thoughts"].get<int64_t>());
  REQUIRE(std::abs(totals.gain_nats - s.summary["scorer"]["gain_nats"].get<double>()) < 1e-9);
  const std::string page = s.shown({0, "html"});
  REQUIRE(count_of(page, "Without any thought:") == log.size());
  REQUIRE(count_of(page, "Search: no thought is better than none.") ==
          s.summary["dropped_thoughts"].get<size_t>());
}

TEST_CASE("what the controls scored stands on the page", "[unit]") {
  const Searched s("paper");
  const int slot = read_search_log(s.shard, s.t).begin()->first;
  const fs::path file = s.folder.path() / "candidates.jsonl";
  write_file(file,
             read_file(file) + fmt::format("{{\"trajectory\":\"{}\",\"slot\":{},\"step\":1,\"controls\":{{"
                                           "\"judge\":{{\"shuffled\":1234.5}}}}}}\n",
                                           s.t.id, slot));
  REQUIRE(count_of(s.shown({0, "html"}), "By the judge: shuffled 1234.50 nats") == 1);
}

TEST_CASE("a broken candidates file is refused, another record's lines are passed over", "[unit]") {
  const Searched s("paper");
  const auto with = [&](const std::string& line) {
    write_file(s.folder.path() / "candidates.jsonl", line + "\n");
    std::ostringstream out;
    show_trajectory(s.shard, {0, "html"}, out);
  };
  const std::string begin = "{\"trajectory\":\"" + s.t.id + "\",";
  REQUIRE_NOTHROW(with("{\"trajectory\":\"other\",\"slot\":99999}"));
  REQUIRE_THROWS_AS(with(begin + "\"slot\":99999}"), Error);
  REQUIRE_THROWS_AS(with(begin), Error);
  REQUIRE_THROWS_AS(with(begin + "\"slot\":0,\"n\":4,\"parent_n\":0,\"iteration\":1,\"text\":\"\",\"author\":"
                                 "\"\",\"mode\":\"\",\"verdict\":\"\",\"gates\":{\"verbatim_lines\":0,"
                                 "\"ngram13\":0}}"),
                    Error);
  REQUIRE_THROWS_AS(with(begin + "\"slot\":3,\"controls\":{\"judge\":{\"shuffled\":2.5}}}"), Error);
  fs::remove(s.folder.path() / "candidates.jsonl");
  REQUIRE(s.shown({0, "html"}).find("Search:") == std::string::npos);
}

TEST_CASE("the terminal folds, marks what is trained, tells the search, and passes no escape on", "[unit]") {
  const Searched s("paper");
  const std::string folded = s.shown({}), full = s.shown({0, "terminal", false, true});
  const std::string coloured = s.shown({0, "terminal", true, false});
  REQUIRE(folded.find(" more lines]") != std::string::npos);
  REQUIRE(full.find(" more lines]") == std::string::npos);
  REQUIRE(full.find("+     value = load_table('sample_59')") != std::string::npos);
  REQUIRE(folded.size() < full.size());
  REQUIRE(folded.find("  | search: no. ") != std::string::npos);
  REQUIRE(folded.find("the code became no likelier") != std::string::npos);
  REQUIRE(folded.find("cycle broken: ") != std::string::npos);
  REQUIRE(folded.find('\x1b') == std::string::npos);
  REQUIRE(coloured.find("\x1b[33m") != std::string::npos);
  std::ostringstream hostile;
  const TempFolder folder;
  Trajectory t = make_trajectory(make_repository(kHostile[5]));
  TrajectoryWriter writer(folder.path() / "a.traj");
  writer.add(t);
  writer.finish();
  show_trajectory(folder.path() / "a.traj", {0, "terminal", true, true}, hostile);
  const std::string text = hostile.str();
  REQUIRE(text.find("\x1b]") == text.npos);
  REQUIRE(text.find("\x1b[2J") == text.npos);
  REQUIRE(text.find('\x07') == text.npos);
}

TEST_CASE("the graph layers by need, breaks cycles visibly and draws folders where files are too many",
          "[unit]") {
  Trajectory t;
  const int n = 300;
  for (int i = 0; i < n; ++i) {
    t.tree.push_back({fmt::format("p{}/q{}/f{:03}.py", i / 30, i / 10, i), "", 0644, 1, "python"});
    t.order.push_back(i);
    t.plan.push_back({i, "", "path"});
    if (i > 0) t.dependencies.push_back({i, i - 1, true, false});
  }
  t.dependencies.push_back({0, 5, false, true});
  const DependencyGraph files = dependency_graph(t, 1000), folders = dependency_graph(t, 25);
  REQUIRE(files.nodes.size() == 300);
  REQUIRE_FALSE(files.by_folder);
  for (const GraphEdge& e : files.edges)
    if (!e.broken)
      REQUIRE(files.nodes[static_cast<size_t>(e.to)].layer < files.nodes[static_cast<size_t>(e.from)].layer);
  REQUIRE(folders.by_folder);
  REQUIRE(folders.nodes.size() == 10);
  REQUIRE(folders.nodes[3].label == "p3/");
  REQUIRE(folders.nodes[3].n_files == 30);
  REQUIRE(folders.edges.size() == 9);
  REQUIRE(dependency_graph(t, 30).nodes.size() == 30);
  std::string css;
  const std::string svg = graph_svg(files, &css);
  check_markup(svg);
  REQUIRE(count_of(svg, "class=\"node\"") == 300);
  REQUIRE(count_of(svg, "class=\"edge broken") == 1);
  REQUIRE(count_of(css, "\n") == 300);
}
