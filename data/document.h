// A document as trained: ordered segments, each bytes or one named control token, with its step and kind.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace retrace::data {

// Step kinds of a trajectory (reference: README, "What a trajectory is"); text = plain source or prose
// (raw_repos).
enum class Kind : uint8_t {
  requirements,
  plan,
  delegate,
  think,
  read,
  observe,
  write,
  review,
  context,
  frame,
  text
};
const char* kind_name(Kind kind);
Kind kind_of(const std::string& name);  // Error{recipe} on an unknown name
inline constexpr int kNumKinds = 11;

struct Segment {
  std::string bytes;          // or
  std::string control_token;  // a special token's name, e.g. "<|eot_id|>"; exactly one of the two is set
  int64_t step = -1;          // seq of the trajectory step, -1 for framing around the document
  Kind kind = Kind::frame;
};

struct Document {
  std::string id;      // content hash of the source (a trajectory's id and part, ...)
  std::string domain;  // mixture domain
  std::vector<Segment> segments;
};

// Loss weight of each kind: think, write, requirements, plan, delegate, read, review, text = 1; observe,
// context, frame = 0.
std::map<std::string, double> default_loss_weights();

struct TokenisedDocument {
  std::vector<TokenId> ids;
  std::vector<float> weights;           // loss weight of each token as a label, by its segment's kind
  std::vector<uint8_t> kinds;           // Kind of each token
  std::vector<int64_t> tokens_by_kind;  // kNumKinds
};

// Tokenises segment by segment: no token straddles a boundary. BOS in front (weight 0) if add_bos and the
// tokenizer has one; EOS at the end if add_eos and there is one, with kind and weight of the last segment
// that is not a frame. Kinds that loss_weights does not name keep their default. Error{input}, with the
// document's id, if a control token is unknown to the tokenizer or a byte has no token.
TokenisedDocument tokenise(const Document& document, const Tokenizer& tokenizer,
                           const std::map<std::string, double>& loss_weights, bool add_bos, bool add_eos);

}  // namespace retrace::data
