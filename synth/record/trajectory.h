// The trajectory record: one a repository, the only truth. Code appears only as byte spans of the tree, prose
// only as slots. render() turns it into documents; masks, viewer and exports are projections of those.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/document.h"

namespace retrace::synth {

inline constexpr int kTrajectorySchema = 1;
using data::Kind;

struct TreeFile {
  std::string path, blob;  // blob = sha256 of the content
  uint32_t mode = 0644;
  uint64_t size = 0;
  std::string language;
};

struct Dependency {
  int from = 0, to = 0;  // file indices
  bool hard = true, broken = false;
};

// What the plan says of a file, and where that is known from: "docstring" (the file's own leading comment,
// shown nowhere before the plan: plan knowledge) or "path" (follows from the file tree).
struct PlanLine {
  int file = 0;
  std::string purpose, source;
};

struct RedactionMark {
  int file = 0;
  uint64_t offset = 0;  // in the redacted content
  std::string kind;
};

// How the skeleton was cut; decided before any generator.
struct Skeleton {
  int version = 1;
  uint64_t read_budget_bytes = 0, write_chunk_bytes = 0;  // of observations a sub-agent; of one Write
  int64_t reads_cut = 0, reads_left_out = 0;  // dependencies shown in part, or not, for the budget
};

struct Agent {
  int agent = 0, parent = -1;  // agent 0 is the main agent
  int64_t call_step = -1;      // the delegate step that started it
  int file = -1;               // the file it writes, -1 for the main agent
};

struct Body {
  enum class Type { none, span, slot, text } type = Type::none;
  int file = -1;  // span of a file's content [begin, end)
  uint64_t begin = 0, end = 0;
  int slot = -1;     // index into slots
  std::string text;  // fixed framing (a template already filled from the tree: paths, tables)
};

struct Step {
  int64_t seq = 0;
  int agent = 0;
  int64_t answers = -1;  // observe: the read it answers
  Kind kind = Kind::frame;
  Body body;
};

struct Slot {
  int64_t step = 0;
  std::string initial, chosen;  // chosen == initial until search replaces it; both valid UTF-8
  std::string drop;             // reason why the chosen text is empty (no thought beat none), else ""
  std::string author;           // generator of the chosen text, "template/1"
  std::string mode;             // what that saw: blinded (context only) | oracle (outline of the file too)
};

struct Trajectory {
  int schema = kTrajectorySchema;
  std::string id, rev;  // see make_id, make_rev
  int round = 0;
  std::string origin, kind, revision, licence, date, fold;  // fold: train | dev | test
  std::vector<TreeFile> tree;
  std::map<std::string, std::string> blobs;  // content by hash
  std::vector<RedactionMark> redactions;
  std::vector<Dependency> dependencies;
  std::vector<int> order;
  std::vector<PlanLine> plan;  // one a file, in writing order
  Skeleton skeleton;
  std::vector<Agent> agents;
  std::vector<Step> steps;
  std::vector<Slot> slots;
  Json made_by;  // { code, recipe, generator, scorer, preset }

  const std::string& content(int file) const { return blobs.at(tree[static_cast<size_t>(file)].blob); }
  // The bytes of a step's body under the chosen (or, if `initial`, the initial) slots.
  std::string body_text(const Step& step, bool initial = false) const;
};

std::string make_id(const Trajectory& t);   // H(tree, order, skeleton version): known before any LLM
std::string make_rev(const Trajectory& t);  // H(everything but rev; contents through their hashes)
Json to_json(const Trajectory& t);          // canonical: fixed key order, blobs included
// Replays what it read, and checks id and rev against the content.
Trajectory trajectory_from_json(const Json& json,
                                const std::string& where);  // Error{corrupt} on a broken invariant

// Rebuilds every file from the Write steps in order and compares it byte for byte; checks that writes
// partition each file, that reads and observations lie inside earlier writes, that every observe answers
// exactly one read, that no dependency outside broken edges is read before it is written, and that slots are
// UTF-8. Error{corrupt} says what broke.
void replay(const Trajectory& t);

enum class Variant { raw_repos, repo2agent, repo2agent_search };
Variant variant_of(const std::string& name);  // Error{recipe} on an unknown name

struct RenderOptions {
  Variant variant = Variant::repo2agent_search;
  std::string style = "plain";  // plain | llama3 | chatml
};
// Segments of the whole trajectory (before splitting by length), control tokens only where the style has
// them.
data::Document render(const Trajectory& t, const RenderOptions& options);
// Splits what exceeds seq_len tokens at sub-agent boundaries, balanced over the parts; each part after the
// first repeats requirements and plan as Kind::context. Returns one document if it fits. raw_repos is split
// at files. A sub-agent (raw_repos: a file) that alone exceeds seq_len is cut between its Writes; later
// pieces repeat its brief as context; a piece that is still longer is dropped and counted in `dropped`. Where
// requirements, tree and plan take more than a quarter of seq_len they become a part of their own (or are
// dropped and counted if they exceed seq_len), and the other parts repeat only the requirements and the
// plan's rows for their own files and what those depend on. Two tokens are kept free for BOS and EOS.
std::vector<data::Document> render_parts(const Trajectory& t, const RenderOptions& options,
                                         const data::Tokenizer& tokenizer, int64_t seq_len, int64_t* dropped);

}  // namespace retrace::synth
