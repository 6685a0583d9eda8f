#include "data/document.h"

#include <array>
#include <cmath>

#include "core/error.h"

namespace retrace::data {

namespace {

constexpr std::array<const char*, kNumKinds> kNames = {"requirements", "plan",    "delegate", "think",
                                                       "read",         "observe", "write",    "review",
                                                       "context",      "frame",   "text"};

// Weight by kind: what the map says, else the default.
std::array<float, kNumKinds> weight_table(const std::map<std::string, double>& loss_weights) {
  std::array<float, kNumKinds> table{};
  for (const auto& [name, weight] : default_loss_weights())
    table[static_cast<size_t>(kind_of(name))] = static_cast<float>(weight);
  for (const auto& [name, weight] : loss_weights) {
    if (!std::isfinite(weight) || weight < 0)
      fail(Code::recipe, "data.loss_weights: the weight of '{}' is {}, not a number from 0 up", name, weight);
    table[static_cast<size_t>(kind_of(name))] = static_cast<float>(weight);
  }
  return table;
}

std::vector<TokenId> encode(const Tokenizer& tokenizer, const std::string& bytes,
                            const std::string& document) {
  try {
    return tokenizer.encode(bytes);
  } catch (Error& error) {
    throw error.in(document);
  }
}

}  // namespace

const char* kind_name(Kind kind) {
  return kNames.at(static_cast<size_t>(kind));
}

Kind kind_of(const std::string& name) {
  for (size_t i = 0; i < kNames.size(); ++i)
    if (name == kNames[i]) return static_cast<Kind>(i);
  throw Error(
      Code::recipe, fmt::format("unknown kind of segment '{}'", name),
      "kinds: requirements, plan, delegate, think, read, observe, write, review, context, frame, text");
}

std::map<std::string, double> default_loss_weights() {
  std::map<std::string, double> weights;
  for (const char* name : kNames) weights[name] = 1;
  for (const char* name : {"observe", "context", "frame"}) weights[name] = 0;
  return weights;
}

TokenisedDocument tokenise(const Document& document, const Tokenizer& tokenizer,
                           const std::map<std::string, double>& loss_weights, bool add_bos, bool add_eos) {
  const std::array<float, kNumKinds> weights = weight_table(loss_weights);
  TokenisedDocument out;
  out.tokens_by_kind.assign(kNumKinds, 0);
  auto put = [&](const TokenId* ids, size_t count, Kind kind, float weight) {
    out.ids.insert(out.ids.end(), ids, ids + count);
    out.weights.insert(out.weights.end(), count, weight);
    out.kinds.insert(out.kinds.end(), count, static_cast<uint8_t>(kind));
    out.tokens_by_kind[static_cast<size_t>(kind)] += static_cast<int64_t>(count);
  };
  if (add_bos)
    if (const auto bos = tokenizer.bos()) put(&*bos, 1, Kind::frame, 0);
  Kind last = Kind::frame;
  for (const Segment& segment : document.segments) {
    ensure(segment.bytes.empty() || segment.control_token.empty(),
           "a segment is bytes or a control token, not both");
    const float weight = weights[static_cast<size_t>(segment.kind)];
    if (segment.kind != Kind::frame) last = segment.kind;
    if (segment.control_token.empty()) {
      const std::vector<TokenId> ids = encode(tokenizer, segment.bytes, document.id);
      put(ids.data(), ids.size(), segment.kind, weight);
    } else {
      const auto id = tokenizer.special(segment.control_token);
      if (!id)
        throw Error(Code::input,
                    fmt::format("the tokenizer has no special token '{}'", segment.control_token),
                    "choose a trajectory style without it, or name it in tokenizer.special", document.id);
      put(&*id, 1, segment.kind, weight);
    }
  }
  // EOS ends the last thing said, and is a label if that is.
  if (add_eos)
    if (const auto eos = tokenizer.eos()) put(&*eos, 1, last, weights[static_cast<size_t>(last)]);
  return out;
}

}  // namespace retrace::data
