#include "data/packing/packing.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "core/error.h"

namespace retrace::data {

namespace {

void check(const TokenisedDocument& document) {
  ensure(document.weights.size() == document.ids.size() && document.kinds.size() == document.ids.size(),
         "a tokenised document has a weight and a kind for each token");
}

// A label must be predicted from something: the first token of a span is none.
bool has_label(const float* weights, size_t count) {
  return count > 1 && std::any_of(weights + 1, weights + count, [](float w) { return w > 0; });
}

// Appends tokens [from, to) of a document as a span of its own.
void append_span(const TokenisedDocument& document, size_t from, size_t to, Sample& sample,
                 PackingStats& stats) {
  const auto start = static_cast<uint32_t>(sample.input_ids.size());
  auto at = [](size_t i) { return static_cast<std::ptrdiff_t>(i); };
  sample.input_ids.insert(sample.input_ids.end(), document.ids.begin() + at(from),
                          document.ids.begin() + at(to));
  sample.weights.insert(sample.weights.end(), document.weights.begin() + at(from),
                        document.weights.begin() + at(to));
  sample.weights[start] = 0;
  sample.spans.emplace_back(start, static_cast<uint32_t>(sample.input_ids.size()));
  for (size_t i = from; i < to; ++i) {
    ++stats.tokens_by_kind.at(document.kinds[i]);
    if (i > from && document.weights[i] > 0) ++stats.trained_tokens_by_kind.at(document.kinds[i]);
  }
  stats.tokens += static_cast<int64_t>(to - from);
}

int64_t pad_up(Sample& sample, int64_t seq_len, TokenId pad) {
  const auto size = static_cast<int64_t>(sample.input_ids.size());
  if (size >= seq_len) return 0;
  sample.spans.emplace_back(static_cast<uint32_t>(size), static_cast<uint32_t>(seq_len));
  sample.input_ids.resize(static_cast<size_t>(seq_len), pad);
  sample.weights.resize(static_cast<size_t>(seq_len), 0.0f);
  return seq_len - size;
}

void check_length(int64_t seq_len) {
  if (seq_len < 2 || seq_len > (int64_t{1} << 30))
    fail(Code::recipe, "data.seq_len = {} is out of range", seq_len);
}

}  // namespace

WholeDocumentPacker::WholeDocumentPacker(int64_t seq_len, TokenId pad, std::string domain,
                                         std::function<void(const Sample&)> emit, int64_t window)
    : seq_len_(seq_len), window_(window), pad_(pad), domain_(std::move(domain)), emit_(std::move(emit)) {
  check_length(seq_len);
  ensure(window > 0, "the packing window holds a document");
}

void WholeDocumentPacker::add(const TokenisedDocument& document) {
  check(document);
  if (static_cast<int64_t>(document.ids.size()) > seq_len_) {
    ++stats_.dropped_too_long;
  } else if (!has_label(document.weights.data(), document.weights.size())) {
    ++stats_.dropped_no_label;
  } else {
    pending_.push_back({document, order_++});
    if (static_cast<int64_t>(pending_.size()) == window_) flush();
  }
}

void WholeDocumentPacker::flush() {
  // Longest first; each into the bin that it fills best, ties to the bin opened first.
  std::stable_sort(pending_.begin(), pending_.end(), [](const Item& a, const Item& b) {
    return a.document.ids.size() > b.document.ids.size();
  });
  std::vector<std::vector<size_t>> bins;
  std::set<std::pair<int64_t, size_t>> room;  // free tokens, bin
  for (size_t item = 0; item < pending_.size(); ++item) {
    const auto size = static_cast<int64_t>(pending_[item].document.ids.size());
    auto best = room.lower_bound({size, 0});
    std::pair<int64_t, size_t> bin{seq_len_, bins.size()};
    if (best != room.end()) {
      bin = *best;
      room.erase(best);
    } else {
      bins.emplace_back();
    }
    bins[bin.second].push_back(item);
    if (bin.first > size) room.emplace(bin.first - size, bin.second);
  }
  for (std::vector<size_t>& bin : bins) {
    std::sort(bin.begin(), bin.end(),
              [&](size_t a, size_t b) { return pending_[a].order < pending_[b].order; });
    Sample sample;
    sample.domain = domain_;
    sample.input_ids.reserve(static_cast<size_t>(seq_len_));
    for (size_t item : bin) {
      append_span(pending_[item].document, 0, pending_[item].document.ids.size(), sample, stats_);
      ++stats_.documents;
    }
    stats_.padding_tokens += pad_up(sample, seq_len_, pad_);
    ++stats_.samples;
    emit_(sample);
  }
  pending_.clear();
}

PackingStats WholeDocumentPacker::finish() {
  flush();
  return stats_;
}

ConcatenatingPacker::ConcatenatingPacker(int64_t seq_len, TokenId pad, std::string domain,
                                         std::function<void(const Sample&)> emit)
    : seq_len_(seq_len), pad_(pad), emit_(std::move(emit)) {
  check_length(seq_len);
  current_.domain = std::move(domain);
}

void ConcatenatingPacker::add(const TokenisedDocument& document) {
  check(document);
  if (!has_label(document.weights.data(), document.weights.size())) {
    ++stats_.dropped_no_label;
    return;
  }
  ++stats_.documents;
  for (size_t from = 0; from < document.ids.size();) {
    const size_t room = static_cast<size_t>(seq_len_) - current_.input_ids.size();
    const size_t to = std::min(document.ids.size(), from + room);
    append_span(document, from, to, current_, stats_);
    from = to;
    if (static_cast<int64_t>(current_.input_ids.size()) == seq_len_) emit_full();
  }
}

void ConcatenatingPacker::emit_full() {
  if (std::any_of(current_.weights.begin(), current_.weights.end(), [](float w) { return w > 0; })) {
    stats_.padding_tokens += pad_up(current_, seq_len_, pad_);
    ++stats_.samples;
    emit_(current_);
  } else {
    ++stats_.dropped_no_label;
  }
  current_.input_ids.clear();
  current_.spans.clear();
  current_.weights.clear();
}

PackingStats ConcatenatingPacker::finish() {
  if (!current_.input_ids.empty()) emit_full();
  return stats_;
}

Sample fit_to_length(Sample sample, int64_t seq_len, TokenId pad) {
  check_length(seq_len);
  const auto size = static_cast<uint32_t>(seq_len);
  if (static_cast<int64_t>(sample.input_ids.size()) > seq_len) {
    sample.input_ids.resize(size);
    sample.weights.resize(size);
    while (!sample.spans.empty() && sample.spans.back().first >= size) sample.spans.pop_back();
    if (!sample.spans.empty()) sample.spans.back().second = std::min(sample.spans.back().second, size);
  }
  pad_up(sample, seq_len, pad);
  return sample;
}

}  // namespace retrace::data
