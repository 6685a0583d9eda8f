// The three styles. What stands where:
//   plain    label (frame), body, terminator; a read, write or observation ends in a line "[end]"
//   llama3   <|start_header_id|>ROLE<|end_header_id|> and a blank line (frame), body, <|eot_id|>
//   chatml   <|im_start|>ROLE and a newline (frame), body, <|im_end|>, newline (frame)
// The terminator has the kind of its step, so the token that ends an action is trained.
#include "synth/record/render.h"

#include <algorithm>

#include "core/error.h"

namespace retrace::synth {

namespace {

void add_text(Segments& out, std::string bytes, int64_t seq, Kind kind) {
  if (!bytes.empty()) out.push_back({std::move(bytes), "", seq, kind});
}

void add_control(Segments& out, const char* name, int64_t seq, Kind kind) {
  out.push_back({"", name, seq, kind});
}

const char* plain_label(Kind kind, bool prose) {
  switch (kind) {
    case Kind::requirements:
      return "Requirements:\n";
    case Kind::context:
      return "Context:\n";
    case Kind::plan:
      return prose ? "Approach:\n" : "Plan:\n";
    case Kind::think:
      return "Think: ";
    case Kind::observe:
      return "Observation:\n";
    case Kind::review:
      return "Review:\n";
    default:
      return "Action: ";
  }
}

const char* role_of(Kind kind, bool llama3) {
  switch (kind) {
    case Kind::requirements:
    case Kind::context:
      return "user";
    case Kind::frame:
      return "system";
    case Kind::observe:
      return llama3 ? "ipython" : "tool";
    default:
      return "assistant";
  }
}

// In chat styles the words that tell a thought from an action are the assistant's own, hence trained.
const char* chat_label(Kind kind, bool prose) {
  switch (kind) {
    case Kind::think:
      return "Think: ";
    case Kind::plan:
      return prose ? "Approach:\n" : "Plan:\n";
    case Kind::review:
      return "Review:\n";
    case Kind::context:
      return "Context:\n";
    case Kind::requirements:
      return "Requirements:\n";
    default:
      return "";
  }
}

bool holds_file_bytes(Kind kind) {
  return kind == Kind::observe || kind == Kind::write;
}

}  // namespace

void append(Segments& to, Segments from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

std::string text_of(const Segments& segments) {
  std::string out;
  for (const data::Segment& s : segments) out += s.control_token.empty() ? s.bytes : s.control_token;
  return out;
}

Renderer::Renderer(const Trajectory& t, RenderOptions options) : t_(t), options_(std::move(options)) {
  if (options_.style == "plain")
    style_ = Style::plain;
  else if (options_.style == "llama3")
    style_ = Style::llama3;
  else if (options_.style == "chatml")
    style_ = Style::chatml;
  else
    throw Error(Code::recipe, fmt::format("unknown style '{}'", options_.style),
                "one of plain, llama3, chatml", "synth.style");
}

void Renderer::open(Segments& out, Kind kind, int64_t seq, bool prose) const {
  if (style_ == Style::plain) {
    add_text(out, plain_label(kind, prose), seq, Kind::frame);
    return;
  }
  const bool llama3 = style_ == Style::llama3;
  add_control(out, llama3 ? "<|start_header_id|>" : "<|im_start|>", seq, Kind::frame);
  add_text(out, role_of(kind, llama3), seq, Kind::frame);
  if (llama3) add_control(out, "<|end_header_id|>", seq, Kind::frame);
  add_text(out, llama3 ? "\n\n" : "\n", seq, Kind::frame);
  add_text(out, chat_label(kind, prose), seq, kind);
}

void Renderer::close(Segments& out, Kind kind, int64_t seq) const {
  if (style_ == Style::plain) {
    const bool marked = holds_file_bytes(kind);
    add_text(out, marked ? "\n[end]\n\n" : "\n\n", seq, kind);
    return;
  }
  add_control(out, style_ == Style::llama3 ? "<|eot_id|>" : "<|im_end|>", seq, kind);
  if (style_ == Style::chatml) add_text(out, "\n", seq, Kind::frame);
}

void Renderer::note(Segments& out, const std::string& text, int64_t seq) const {
  if (style_ == Style::plain) {
    add_text(out, "(" + text + ")\n\n", seq, Kind::frame);
    return;
  }
  open(out, Kind::frame, seq);
  add_text(out, text, seq, Kind::frame);
  close(out, Kind::frame, seq);
}

std::string Renderer::action_line(const Step& step) const {
  if (step.kind == Kind::delegate) {
    for (const Agent& a : t_.agents)
      if (a.call_step == step.seq)
        return fmt::format("Delegate {}\n", t_.tree[static_cast<size_t>(a.file)].path);
    return "";
  }
  if (step.kind != Kind::read && step.kind != Kind::write) return "";
  const Body& body = step.body;
  const TreeFile& file = t_.tree[static_cast<size_t>(body.file)];
  const char* verb = step.kind == Kind::read ? "Read" : "Write";
  const char* end = step.kind == Kind::write ? "\n" : "";
  if (body.begin == 0 && body.end == file.size) return fmt::format("{} {}{}", verb, file.path, end);
  const std::string& content = t_.content(body.file);
  const auto at = [&](uint64_t offset) { return content.begin() + static_cast<std::ptrdiff_t>(offset); };
  const auto first = 1 + std::count(content.begin(), at(body.begin), '\n');
  const auto last = first + std::count(at(body.begin), at(body.end - 1), '\n');
  return fmt::format("{} {} lines {}-{}{}", verb, file.path, first, last, end);
}

bool Renderer::ends_agent(const Step& step) const {
  const auto next = static_cast<size_t>(step.seq) + 1;
  return step.agent != 0 && (next >= t_.steps.size() || t_.steps[next].agent != step.agent);
}

RenderedStep Renderer::step(int64_t seq) const {
  const Step& step = t_.steps.at(static_cast<size_t>(seq));
  RenderedStep out;
  std::string bytes;
  if (step.kind != Kind::read) bytes = t_.body_text(step, options_.variant == Variant::repo2agent);
  const bool left_out = step.body.type == Body::Type::slot && bytes.empty() && step.kind != Kind::delegate;
  if (!left_out) {
    open(out.before, step.kind, seq, step.body.type == Body::Type::slot);
    add_text(out.before, action_line(step), seq, step.kind);
    add_text(out.body, std::move(bytes), seq, step.kind);
    close(out.after, step.kind, seq);
  }
  if (step.kind == Kind::delegate) {
    for (const Agent& a : t_.agents)
      if (a.call_step == seq)
        note(out.after, "sub-agent for " + t_.tree[static_cast<size_t>(a.file)].path, seq);
  }
  if (ends_agent(step)) note(out.after, "sub-agent done", seq);
  return out;
}

Segments Renderer::steps(int64_t first, int64_t last) const {
  Segments out;
  for (int64_t seq = first; seq < last; ++seq) {
    RenderedStep rendered = step(seq);
    append(out, std::move(rendered.before));
    append(out, std::move(rendered.body));
    append(out, std::move(rendered.after));
  }
  return out;
}

Segments Renderer::as_context(int64_t first, int64_t last) const {
  Segments out = steps(first, last);
  for (data::Segment& s : out)
    if (s.kind != Kind::frame) s.kind = Kind::context;
  return out;
}

Segments Renderer::context_text(Kind kind, const std::string& text) const {
  Segments out;
  open(out, kind, -1);
  add_text(out, text, -1, kind);
  close(out, kind, -1);
  for (data::Segment& s : out)
    if (s.kind != Kind::frame) s.kind = Kind::context;
  return out;
}

Segments Renderer::raw_file(int file) const {
  Segments out;
  add_text(out, "### " + t_.tree[static_cast<size_t>(file)].path + "\n", -1, Kind::text);
  add_text(out, t_.content(file), -1, Kind::text);
  add_text(out, "\n\n", -1, Kind::text);
  return out;
}

Segments Renderer::raw_span(const Body& span) const {
  Segments out;
  const char* continued = span.begin > 0 ? " (continued)" : "";
  add_text(out, "### " + t_.tree[static_cast<size_t>(span.file)].path + continued + "\n", -1, Kind::text);
  add_text(out, t_.content(span.file).substr(span.begin, span.end - span.begin), -1, Kind::text);
  if (span.end == t_.tree[static_cast<size_t>(span.file)].size) add_text(out, "\n\n", -1, Kind::text);
  return out;
}

int64_t Renderer::first_delegation() const {
  for (const Step& step : t_.steps)
    if (step.kind == Kind::delegate) return step.seq;
  return static_cast<int64_t>(t_.steps.size());
}

data::Document render(const Trajectory& t, const RenderOptions& options) {
  const Renderer renderer(t, options);
  data::Document out{t.id, "trajectories", {}};
  if (options.variant == Variant::raw_repos) {
    for (int file : t.order) append(out.segments, renderer.raw_file(file));
  } else {
    append(out.segments, renderer.steps(0, static_cast<int64_t>(t.steps.size())));
  }
  return out;
}

}  // namespace retrace::synth
