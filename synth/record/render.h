// Rendering step by step. A step is what opens it, its body, and what closes it; the pieces of all steps in
// order are the document. Search builds its contexts, and split its parts, from the same pieces.
#pragma once

#include <string>
#include <vector>

#include "synth/record/trajectory.h"

namespace retrace::synth {

using Segments = std::vector<data::Segment>;

struct RenderedStep {
  Segments before, body, after;  // all empty if the variant leaves the step out
};

// Checks the style's name (Error{recipe}) and renders single steps of one record.
class Renderer {
 public:
  Renderer(const Trajectory& t, RenderOptions options);
  // repo2agent variants only.
  RenderedStep step(int64_t seq) const;
  // Steps [first, last) in order.
  Segments steps(int64_t first, int64_t last) const;
  // The same as masked context: every kind becomes Kind::context.
  Segments as_context(int64_t first, int64_t last) const;
  // A plan table of our own as masked context, in the place of the plan's.
  Segments context_text(Kind kind, const std::string& text) const;
  // raw_repos: one file with its path in front.
  Segments raw_file(int file) const;
  // A span of it, as a document that begins with the span would show it.
  Segments raw_span(const Body& span) const;
  int64_t first_delegation() const;  // seq; number of steps if there is none

 private:
  enum class Style { plain, llama3, chatml };
  void open(Segments& out, Kind kind, int64_t seq, bool prose = false) const;
  void close(Segments& out, Kind kind, int64_t seq) const;
  void note(Segments& out, const std::string& text, int64_t seq) const;
  std::string action_line(const Step& step) const;
  bool ends_agent(const Step& step) const;

  const Trajectory& t_;
  RenderOptions options_;
  Style style_;
};

void append(Segments& to, Segments from);
// The bytes of segments, control tokens by their names.
std::string text_of(const Segments& segments);

}  // namespace retrace::synth
