#include "train/step/batch_source.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/mixture/assignment.h"

namespace retrace::train {
namespace {

using Span = std::pair<int64_t, int64_t>;

struct Sequence {
  data::Sample sample;
  std::string id;
  int domain = 0;
  std::vector<Span> spans;  // that are computed
  int64_t tokens = 0, labels = 0;
  double weight = 0;  // sum over labels
  double scale = 0;   // what each label's own weight is multiplied with
};

void check(const Sequence& sequence, int64_t vocab_size) {
  const data::Sample& sample = sequence.sample;
  for (size_t i = 0; i < sample.input_ids.size(); ++i) {
    if (sample.input_ids[i] < 0 || sample.input_ids[i] >= vocab_size)
      throw Error(Code::corrupt,
                  fmt::format("token {} at place {} is outside the vocabulary of {}", sample.input_ids[i], i,
                              vocab_size),
                  "were these samples packed with another tokenizer?", sequence.id);
    if (!std::isfinite(sample.weights[i]) || sample.weights[i] < 0)
      throw Error(Code::corrupt, fmt::format("loss weight {} at place {} is no weight", sample.weights[i], i),
                  "", sequence.id);
  }
}

// Spans without a label have neither loss nor gradient, and no other span sees them: they are not computed.
// With continuous positions only those at the end can go, or the positions of others would change.
void choose_spans(Sequence& sequence, bool continuous) {
  const auto& weights = sequence.sample.weights;
  int64_t expected = 0;
  const auto length = static_cast<int64_t>(sequence.sample.input_ids.size());
  std::vector<bool> labelled;
  const auto take = [&](int64_t begin, int64_t end) {
    if (begin == end) return;
    int64_t labels = 0;
    for (int64_t t = begin + 1; t < end; ++t) {
      const float weight = weights[static_cast<size_t>(t)];
      if (weight == 0) continue;
      ++labels;
      sequence.weight += static_cast<double>(weight);
    }
    sequence.labels += labels;
    sequence.spans.push_back({begin, end});
    labelled.push_back(labels > 0);
  };
  for (const auto& [begin, end] : sequence.sample.spans) {
    if (begin < expected || end <= begin || end > length)
      throw Error(Code::corrupt, fmt::format("document span [{}, {}) is out of order or place", begin, end),
                  "", sequence.id);
    if (begin > expected && continuous) {
      sequence.spans.push_back({expected, begin});
      labelled.push_back(false);
    }
    take(begin, end);
    expected = end;
  }
  std::vector<Span> kept;
  size_t last = labelled.size();
  while (last > 0 && !labelled[last - 1]) --last;
  for (size_t i = 0; i < last; ++i)
    if (labelled[i] || continuous) kept.push_back(sequence.spans[i]);
  sequence.spans = std::move(kept);
  for (const Span& span : sequence.spans) sequence.tokens += span.second - span.first;
}

double cost_of(const Sequence& sequence, const BatchOptions& options) {
  double squares = 0;
  for (const Span& span : sequence.spans) {
    const auto length = static_cast<double>(span.second - span.first);
    squares += length * length;
  }
  return options.cost_a * static_cast<double>(sequence.tokens) + options.cost_b * squares;
}

// Padded, as a document of its own, to a multiple of `parts`. Without sequences all is padding: ranks must
// run equally many micro-steps, or collectives would hang.
MicroBatch pack(const std::vector<const Sequence*>& sequences, int32_t pad, int64_t parts) {
  int64_t tokens = 0;
  for (const Sequence* sequence : sequences) tokens += sequence->tokens;
  MicroBatch batch;
  tokens = std::max<int64_t>(1, (tokens + parts - 1) / parts) * parts;
  batch.ids = at::empty({tokens}, at::kLong);
  batch.labels = at::empty({tokens}, at::kLong);
  batch.weights = at::empty({tokens}, at::kFloat);
  batch.raw_weights.assign(static_cast<size_t>(tokens), 0.0f);
  batch.spans.starts = {0};
  auto* ids = batch.ids.mutable_data_ptr<int64_t>();
  auto* labels = batch.labels.mutable_data_ptr<int64_t>();
  auto* weights = batch.weights.mutable_data_ptr<float>();
  std::fill_n(ids, tokens, pad);
  std::fill_n(labels, tokens, -1);
  std::fill_n(weights, tokens, 0.0f);
  int64_t at = 0;
  for (const Sequence* sequence : sequences) {
    const int64_t begin = at;
    for (const auto& [from, to] : sequence->spans) {
      for (int64_t t = from; t < to; ++t, ++at) {
        ids[at] = sequence->sample.input_ids[static_cast<size_t>(t)];
        if (t + 1 == to) continue;
        const float weight = sequence->sample.weights[static_cast<size_t>(t + 1)];
        if (weight == 0) continue;
        labels[at] = sequence->sample.input_ids[static_cast<size_t>(t + 1)];
        weights[at] = static_cast<float>(static_cast<double>(weight) * sequence->scale);
        batch.raw_weights[static_cast<size_t>(at)] = weight;
      }
      batch.spans.starts.push_back(at);
    }
    if (at > begin) batch.sequences.push_back({begin, at, sequence->domain});
  }
  if (at < tokens) batch.spans.starts.push_back(tokens);
  return batch;
}

// The part-th of `parts` equal parts of a batch's tokens.
MicroBatch part_of(const MicroBatch& whole, int64_t part, int64_t parts) {
  const int64_t tokens = whole.ids.numel() / parts, first = part * tokens;
  MicroBatch batch;
  batch.spans = whole.spans;
  batch.ids = whole.ids.narrow(0, first, tokens);
  batch.labels = whole.labels.narrow(0, first, tokens);
  batch.weights = whole.weights.narrow(0, first, tokens);
  batch.raw_weights.assign(whole.raw_weights.begin() + first, whole.raw_weights.begin() + first + tokens);
  for (const SequenceRange& range : whole.sequences) {
    const int64_t begin = std::clamp<int64_t>(range.begin - first, 0, tokens),
                  end = std::clamp<int64_t>(range.end - first, 0, tokens);
    if (begin < end) batch.sequences.push_back({begin, end, range.domain});
  }
  return batch;
}

// sequence_mean: 1 / (B' n_i); global_tokens: 1 / N. n_i and N are sums of label weights, so that with
// weights of 0 and 1 they are counts.
void fix_weights(std::vector<Sequence>& sequences, const std::string& loss) {
  double total = 0, counted = 0;
  for (const Sequence& sequence : sequences) {
    total += sequence.weight;
    counted += sequence.weight != 0 ? 1 : 0;
  }
  for (Sequence& sequence : sequences) {
    if (sequence.weight == 0) continue;
    sequence.scale = loss == "sequence_mean" ? 1.0 / (counted * sequence.weight) : 1.0 / total;
  }
}

}  // namespace

BatchSource::BatchSource(const data::Mixture& mixture, const BatchOptions& options)
    : mixture_(mixture), options_(options) {
  if (options.continuous_positions && options.micro_batch > 1)
    throw Error(Code::recipe, "continuous positions need one sequence a micro-batch",
                "set train.micro_batch = 1", "train.micro_batch");
}

StepBatch BatchSource::make(int64_t step) const {
  StepBatch batch;
  batch.step = step;
  std::vector<Sequence> sequences;
  for (const data::SampleRef& ref : mixture_.batch(step, options_.batch_sequences)) {
    Sequence sequence;
    sequence.sample = mixture_.read(ref);
    sequence.domain = ref.domain;
    sequence.id = fmt::format("{}:{}", mixture_.domains()[static_cast<size_t>(ref.domain)].name, ref.index);
    check(sequence, options_.vocab_size);
    choose_spans(sequence, options_.continuous_positions);
    batch.tokens += sequence.tokens;
    batch.label_tokens += sequence.labels;
    batch.skipped_tokens += static_cast<int64_t>(sequence.sample.input_ids.size()) - sequence.tokens;
    batch.sequences_without_labels += sequence.labels == 0 ? 1 : 0;
    batch.batch_ids.push_back(sequence.id);
    sequences.push_back(std::move(sequence));
  }
  fix_weights(sequences, options_.loss);

  const int parts = options_.context, ranks = options_.world / parts * options_.virtual_ranks;
  const auto real = static_cast<int>(sequences.size());
  const int each = (real + ranks - 1) / ranks;
  std::vector<double> costs(static_cast<size_t>(each * ranks), 0.0);
  for (int i = 0; i < real; ++i)
    costs[static_cast<size_t>(i)] = cost_of(sequences[static_cast<size_t>(i)], options_);
  const auto assigned =
      data::assign_to_ranks(costs, ranks, static_cast<int>(options_.micro_batch), options_.meet_once);
  const int first = options_.virtual_ranks > 1 ? 0 : options_.rank / parts;
  for (int r = first; r < first + options_.virtual_ranks; ++r) {
    std::vector<MicroBatch> batches;
    const std::vector<int>& mine = assigned[static_cast<size_t>(r)];
    const auto micro = static_cast<size_t>(options_.micro_batch);
    for (size_t begin = 0; begin < mine.size(); begin += micro) {
      std::vector<const Sequence*> members;
      for (size_t i = begin; i < std::min(mine.size(), begin + micro); ++i)
        if (mine[i] < real) members.push_back(&sequences[static_cast<size_t>(mine[i])]);
      MicroBatch packed = pack(members, options_.pad, parts);
      batches.push_back(parts == 1 ? std::move(packed) : part_of(packed, options_.rank % parts, parts));
    }
    batch.micro.push_back(std::move(batches));
  }
  return batch;
}

}  // namespace retrace::train
