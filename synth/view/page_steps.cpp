// The steps of the page, one <details> a sub-agent.
#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "synth/record/plan_table.h"
#include "synth/record/render.h"
#include "synth/view/page.h"
#include "synth/view/visible.h"

namespace retrace::synth {

namespace {

constexpr size_t kOpenLines = 30;    // longer bodies are folded
constexpr size_t kOpenAgents = 6;    // sub-agents that are unfolded where there are more
constexpr size_t kListedFiles = 24;  // files named in "needs" and "needed by"

const char* step_title(Kind kind) {
  switch (kind) {
    case Kind::requirements:
      return "Requirements";
    case Kind::context:
      return "File tree";
    case Kind::plan:
      return "Plan";
    case Kind::delegate:
      return "Delegate";
    case Kind::think:
      return "Think";
    case Kind::read:
      return "Read";
    case Kind::observe:
      return "Observation";
    case Kind::write:
      return "Write";
    case Kind::review:
      return "Review";
    default:
      return "Text";
  }
}

// Without the empty lines at the end.
std::string spans(const Segments& segments) {
  std::string out;
  size_t n = segments.size();
  while (n > 0 && trim(segments[n - 1].bytes).empty() && segments[n - 1].control_token.empty()) --n;
  for (size_t i = 0; i < n; ++i) {
    std::string_view text = segments[i].control_token.empty() ? segments[i].bytes : segments[i].control_token;
    if (i + 1 == n) text = text.substr(0, text.find_last_not_of('\n') + 1);
    out += fmt::format("<span class=\"{}\">{}</span>", is_trained(segments[i].kind) ? "trained" : "masked",
                       html_text(text));
  }
  return out;
}

std::string counted(int n, const char* what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string nats(double nll, int64_t n_bytes) {
  return n_bytes == 0 ? fmt::format("{:.2f} nats", nll)
                      : fmt::format("{:.2f} nats ({:.3f} a byte)", nll, nll / static_cast<double>(n_bytes));
}

class StepsWriter {
 public:
  StepsWriter(const Trajectory& t, const SearchLog& log)
      : t_(t), log_(log), renderer_(t, {Variant::repo2agent_search, "plain"}), place_(places_in_order(t)) {}

  std::string run() {
    const auto end = static_cast<int64_t>(t_.steps.size());
    int64_t first = renderer_.first_delegation();
    group("Main agent: requirements and plan", "", "", 0, first, true);
    for (size_t n = 0; first < end; ++n) {
      int64_t last = first + 1;
      while (last < end && t_.steps[static_cast<size_t>(last)].agent != 0) ++last;
      const int file = file_of(first);
      const bool open = t_.agents.size() - 1 <= kOpenAgents || n == 0 || file < 0;
      if (file < 0)
        group("Main agent: review", "", "", first, last, open);
      else
        group(fmt::format("{}. {}", place_[static_cast<size_t>(file)] + 1,
                          t_.tree[static_cast<size_t>(file)].path),
              badges(first, last), needs(file), first, last, open);
      first = last;
    }
    return std::move(out_);
  }

 private:
  int file_of(int64_t delegation) const {
    for (const Agent& a : t_.agents)
      if (a.call_step == delegation) return a.file;
    return -1;
  }

  void group(const std::string& title, const std::string& badges, const std::string& head, int64_t first,
             int64_t last, bool open) {
    out_ += fmt::format("<details class=\"agent\"{}><summary><bdi>{}</bdi>{}</summary>\n{}",
                        open ? " open" : "", html_text(title), badges, head);
    for (int64_t seq = first; seq < last; ++seq) step(seq);
    out_ += "</details>\n";
  }

  std::string badges(int64_t first, int64_t last) const {
    int reads = 0, writes = 0, replaced = 0, dropped = 0;
    for (int64_t seq = first; seq < last; ++seq) {
      const Step& s = t_.steps[static_cast<size_t>(seq)];
      reads += s.kind == Kind::read;
      writes += s.kind == Kind::write;
      const auto found = s.kind == Kind::think ? log_.find(s.body.slot) : log_.end();
      if (found == log_.end()) continue;
      dropped += !found->second.dropped.empty();
      replaced += found->second.dropped.empty() && found->second.chosen().n != 0;
    }
    std::string out = fmt::format(" <small>{} read, {} written", reads, writes);
    if (replaced > 0) out += ", " + counted(replaced, "thought") + " replaced";
    if (dropped > 0) out += ", " + counted(dropped, "thought") + " dropped";
    return out + "</small>";
  }

  std::string links(const char* what, const std::vector<int>& files) const {
    if (files.empty()) return "";
    std::string out = fmt::format("<p class=\"links\">{} ", what);
    for (size_t i = 0; i < files.size() && i < kListedFiles; ++i)
      out += (i == 0 ? "" : ", ") + file_link(t_, files[i]);
    if (files.size() > kListedFiles) out += fmt::format(" and {} more", files.size() - kListedFiles);
    return out + "</p>\n";
  }

  // The anchor stands inside, so that a link to it unfolds the sub-agent.
  std::string needs(int file) const {
    std::vector<int> now, later, users;
    for (const Dependency& d : t_.dependencies) {
      if (d.from == file) (d.broken ? later : now).push_back(d.to);
      if (d.to == file) users.push_back(d.from);
    }
    return fmt::format("<p class=\"note\" id=\"file-{}\">{}</p>\n", file,
                       html_text(t_.plan[place_[static_cast<size_t>(file)]].purpose)) +
           links("Needs", now) + links("Needs, but was written before:", later) + links("Needed by", users);
  }

  std::string title(const Step& s) const {
    const bool approach = s.kind == Kind::plan && s.body.type == Body::Type::slot;
    std::string out =
        fmt::format("<h3><span class=\"role\">{}</span>", approach ? "Approach" : step_title(s.kind));
    const bool span = s.body.type == Body::Type::span;
    if (span) {
      out += " " + file_link(t_, s.body.file);
      const TreeFile& file = t_.tree[static_cast<size_t>(s.body.file)];
      if (s.body.begin != 0 || s.body.end != file.size)
        out += fmt::format(" <small>bytes {}-{} of {}</small>", s.body.begin, s.body.end, file.size);
    }
    if (s.kind == Kind::delegate && file_of(s.seq) >= 0) out += " " + file_link(t_, file_of(s.seq));
    if (s.kind == Kind::observe) out += fmt::format(" <small>answers step {}</small>", s.answers);
    return out + fmt::format(
                     "<small class=\"chip\">{}</small><a class=\"number\" href=\"#step-{}\">step "
                     "{}</a></h3>\n",
                     is_trained(s.kind) ? "trained" : "masked", s.seq, s.seq);
  }

  void step(int64_t seq) {
    const Step& s = t_.steps[static_cast<size_t>(seq)];
    const RenderedStep rendered = renderer_.step(seq);
    out_ +=
        fmt::format("<section class=\"step {}\" id=\"step-{}\">\n{}", data::kind_name(s.kind), seq, title(s));
    Segments all = rendered.before;
    append(all, rendered.body);
    append(all, rendered.after);
    const std::string shown = spans(all);
    const size_t lines = split_lines(text_of(rendered.body)).size();
    if (lines > kOpenLines)
      out_ += fmt::format("<details><summary>{} lines, {}</summary><pre>{}</pre></details>\n", lines,
                          human_size(text_of(rendered.body).size()), shown);
    else if (!shown.empty())
      out_ += "<pre>" + shown + "</pre>\n";
    if (s.body.type == Body::Type::slot) slot(s);
    out_ += "</section>\n";
  }

  void slot(const Step& s) {
    const Slot& slot = t_.slots[static_cast<size_t>(s.body.slot)];
    if (!slot.drop.empty())
      out_ += fmt::format("<p class=\"note\">No text stands here: {}.</p>\n", html_text(slot.drop));
    const auto found = log_.find(s.body.slot);
    if (found != log_.end())
      search(slot, found->second);
    else if (slot.initial != slot.chosen)
      out_ += fmt::format(
          "<details><summary>Before the search</summary><pre class=\"draft\">{}</pre></details>\n",
          html_text(slot.initial));
  }

  void search(const Slot& slot, const SlotSearch& search) {
    const TriedText &first = search.first(), &chosen = search.chosen();
    const auto score = [&](const std::optional<double>& nll) {
      return nll ? nats(*nll, search.target_bytes) : std::string("not scored");
    };
    const bool dropped = !search.dropped.empty();
    const auto now = dropped ? search.none_nll : chosen.nll;
    std::string gain = "not scored";
    if (first.nll && now) gain = fmt::format("{:+.2f} nats", *first.nll - *now);
    out_ += fmt::format(
        "<div class=\"search\"><p><b>Search: {}</b> Scored on the {} bytes of {} that follow; gain {}.</p>\n",
        dropped         ? "no thought is better than none."
        : chosen.n == 0 ? "the first draft stays."
                        : "another text was chosen.",
        search.target_bytes, search.target.file >= 0 ? file_link(t_, search.target.file) : "the file", gain);
    out_ += "<div class=\"pair\">\n";
    out_ += fmt::format("<div><h4>Before <small>{}</small></h4><pre class=\"draft\">{}</pre></div>\n",
                        score(first.nll), html_text(first.text));
    out_ += fmt::format("<div><h4>After <small>{}</small></h4><pre class=\"draft\">{}</pre></div>\n</div>\n",
                        score(now), html_text(slot.chosen.empty() ? "(no thought)" : slot.chosen));
    if (search.none_nll)
      out_ += fmt::format("<p class=\"note\">Without any thought: {}.</p>\n", score(search.none_nll));
    for (const auto& [who, arms] : search.controls) {
      std::string text;
      for (const auto& [arm, nll] : arms)
        text += (text.empty() ? "" : "; ") + arm + " " + nats(nll, search.target_bytes);
      out_ += fmt::format("<p class=\"note\">By the {}: {}.</p>\n", html_text(who), html_text(text));
    }
    if (search.tried.size() > 1) {
      out_ +=
          fmt::format("<details><summary>{} other texts, and why they lost</summary>\n<ol class=\"tried\">\n",
                      search.tried.size() - 1 - (chosen.n != 0 ? 1 : 0));
      for (const TriedText& tried : search.tried)
        if (tried.n != 0) candidate(tried, first, chosen, score(tried.nll));
      out_ += "</ol></details>\n";
    }
    out_ += "</div>\n";
  }

  void candidate(const TriedText& tried, const TriedText& first, const TriedText& chosen,
                 const std::string& score) {
    const char* what = tried.n == chosen.n           ? "chosen"
                       : tried.verdict == "accepted" ? "replaced later"
                                                     : "lost";
    std::string gain;
    if (tried.nll && first.nll) gain = fmt::format(", {:+.2f} against the draft", *first.nll - *tried.nll);
    out_ += fmt::format(
        "<li class=\"{}\"><p><b>{}</b>: {}. <small>No. {}, iteration {}, from no. {}, saw {}; "
        "{}{}</small></p>"
        "<pre class=\"draft\">{}</pre></li>\n",
        tried.n == chosen.n ? "won" : "lost", what, html_text(verdict_in_words(tried)), tried.n,
        tried.iteration, tried.parent,
        tried.mode == "oracle" ? "the outline of the file to come" : "the context only", score, gain,
        html_text(tried.text));
  }

  const Trajectory& t_;
  const SearchLog& log_;
  Renderer renderer_;
  std::vector<size_t> place_;
  std::string out_;
};

}  // namespace

std::string steps_html(const Trajectory& t, const SearchLog& log) {
  return StepsWriter(t, log).run();
}

}  // namespace retrace::synth
