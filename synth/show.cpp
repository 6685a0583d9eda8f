#include "synth/show.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "synth/record/render.h"
#include "synth/store.h"

namespace retrace::synth {

namespace {

bool trained(Kind kind) {
  static const std::map<std::string, double> weights = data::default_loss_weights();
  return weights.at(data::kind_name(kind)) > 0;
}

const char* colour_of(Kind kind) {
  switch (kind) {
    case Kind::think:
      return "\033[33m";
    case Kind::read:
    case Kind::delegate:
      return "\033[36m";
    case Kind::write:
      return "\033[32m";
    case Kind::observe:
    case Kind::context:
    case Kind::frame:
      return "\033[2m";
    default:
      return "\033[35m";
  }
}

bool is_shard(const std::filesystem::path& file) {
  if (!fs::is_regular_file(file)) return false;
  const MappedFile map(file);
  return map.bytes().starts_with("RTRJ");
}

void show_terminal(const Trajectory& t, size_t index, size_t count, std::ostream& out) {
  const bool colour = &out == &std::cout && isatty(STDOUT_FILENO) && std::getenv("NO_COLOR") == nullptr;
  const auto paint = [&](const char* code, const std::string& text) {
    return colour ? code + text + "\033[0m" : text;
  };
  out << fmt::format("record {} of {}: {} ({}), id {}, round {}, {}\n", index, count, t.origin, t.licence,
                     t.id.substr(0, 12), t.round, to_text(t.made_by));
  out << fmt::format("{} files, {} sub-agents, {} steps; {}\n\n", t.tree.size(), t.agents.size() - 1,
                     t.steps.size(),
                     colour ? "dim text carries no loss" : "lines marked '.' carry no loss, '+' are trained");
  const Renderer renderer(t, {Variant::repo2agent_search, "plain"});
  for (const Step& step : t.steps) {
    for (const data::Segment& s : renderer.steps(step.seq, step.seq + 1)) {
      if (colour) {
        out << paint(colour_of(s.kind), s.bytes);
        continue;
      }
      for (std::string_view line : split_lines(s.bytes))
        out << (trained(s.kind) ? "+ " : ". ") << line << "\n";
    }
  }
}

std::string segment_html(const data::Segment& s) {
  const char* kind = data::kind_name(s.kind);
  const char* mask = trained(s.kind) ? "trained" : "masked";
  const bool control = !s.control_token.empty();
  return fmt::format("<span class=\"seg {} {}{}\" title=\"{}, {}\">{}</span>", mask, kind,
                     control ? " control" : "", kind, mask, html_escape(control ? s.control_token : s.bytes));
}

std::string segments_html(const Segments& segments) {
  std::string out = "<pre>";
  for (const data::Segment& s : segments) out += segment_html(s);
  return out + "</pre>\n";
}

std::string details(const std::string& title, const std::string& body, bool open) {
  return fmt::format("<details{}><summary>{}</summary>\n{}</details>\n", open ? " open" : "",
                     html_escape(title), body);
}

std::string page(const Trajectory& t, const RenderOptions& options) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width\"><title>" +
         html_escape(t.origin) + "</title>\n<style>\n" + trajectory_css() + "</style></head>\n<body>\n<h1>" +
         html_escape(t.origin) + "</h1>\n" + trajectory_html(t, options) + "</body></html>\n";
}

}  // namespace

std::string trajectory_html(const Trajectory& t, const RenderOptions& options) {
  const Renderer renderer(t, options);
  std::string out =
      fmt::format("<div class=\"trajectory\">\n<p>{} files, {} sub-agents, {} steps, licence {}.</p>\n",
                  t.tree.size(), t.agents.size() - 1, t.steps.size(), html_escape(t.licence));
  if (options.variant == Variant::raw_repos) {
    for (int file : t.order)
      out += details(t.tree[static_cast<size_t>(file)].path, segments_html(renderer.raw_file(file)), false);
    return out + "</div>\n";
  }
  const auto end = static_cast<int64_t>(t.steps.size());
  int64_t first = renderer.first_delegation();
  out += details("Requirements and plan", segments_html(renderer.steps(0, first)), true);
  bool open = true;  // the first sub-agent
  while (first < end) {
    int64_t last = first + 1;
    while (last < end && t.steps[static_cast<size_t>(last)].agent != 0) ++last;
    const int agent = last - first > 1 ? t.steps[static_cast<size_t>(first) + 1].agent : 0;
    const int file = t.agents[static_cast<size_t>(agent)].file;
    out += details(file >= 0 ? t.tree[static_cast<size_t>(file)].path : "Review",
                   segments_html(renderer.steps(first, last)), open);
    open = false;
    first = last;
  }
  return out + "</div>\n";
}

std::string trajectory_css() {
  return R"(:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 72rem; padding: 0 1rem; }
.trajectory pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; margin: .5rem 0; }
.trajectory summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
.trajectory details { border-left: 3px solid #8886; margin: .5rem 0; padding-left: .75rem; }
.seg.trained { background: #2e9e4f2e; }
.seg.masked { opacity: .6; }
.seg.think { background: #d9a40040; }
.seg.control { font-weight: 600; }
)";
}

bool show_trajectory(const std::filesystem::path& file, size_t index, const std::string& as,
                     std::ostream& out) {
  if (!is_shard(file)) return false;
  const TrajectoryReader reader(file);
  const Trajectory t = reader.read(index);
  if (as == "terminal")
    show_terminal(t, index, reader.size(), out);
  else if (as == "html")
    out << page(t, {Variant::repo2agent_search, "plain"});
  else if (as == "json")
    out << to_text(to_json(t)) << "\n";
  else
    throw Error(Code::usage, fmt::format("cannot show a trajectory as '{}'", as),
                "one of terminal, html, json");
  return true;
}

}  // namespace retrace::synth
