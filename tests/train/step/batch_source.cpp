// Batches: labels, loss weights, assignment, and what is left out.
#include "train/step/batch_source.h"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <map>

#include "core/error.h"
#include "data/mds/mds.h"
#include "tests/train/testing.h"
#include "train/step/prefetch.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;
using Catch::Approx;

namespace {

// Two documents and padding; a sample without labels; weights that are no 0 or 1.
void write_hand_made(const fs::path& folder) {
  data::MdsWriter writer(folder, {});
  data::Sample sample;
  sample.domain = "hand";
  sample.input_ids = {1, 2, 3, 4, 5, 6, 7, 0, 0, 0};
  sample.spans = {{0, 3}, {3, 7}, {7, 10}};
  sample.weights = {0, 1, 1, 0, 0.5f, 0, 1, 0, 0, 0};
  writer.add(sample);
  sample.weights.assign(10, 0);
  writer.add(sample);
  writer.finish();
}

BatchOptions options_for(int64_t batch, const std::string& loss) {
  BatchOptions options;
  options.batch_sequences = batch;
  options.loss = loss;
  options.vocab_size = 300;
  return options;
}

double weight_sum(const StepBatch& data) {
  double sum = 0;
  for (const auto& rank : data.micro)
    for (const MicroBatch& batch : rank)
      for (int64_t t = 0; t < batch.weights.numel(); ++t)
        sum += static_cast<double>(batch.weights.const_data_ptr<float>()[t]);
  return sum;
}

}  // namespace

TEST_CASE("labels are the next tokens of a span, padding is not computed", "[unit]") {
  TempFolder temp;
  write_hand_made(temp.path() / "d");
  const data::Mixture mixture({{"hand", temp.path() / "d", 1}}, 1);
  BatchOptions options = options_for(2, "sequence_mean");
  options.micro_batch = 2;
  const StepBatch data = BatchSource(mixture, options).make(0);
  REQUIRE(data.tokens == 7);
  REQUIRE(data.label_tokens == 4);
  REQUIRE(data.skipped_tokens == 13);
  REQUIRE(data.sequences_without_labels == 1);
  REQUIRE(data.batch_ids.size() == 2);
  REQUIRE(data.micro.size() == 1);
  REQUIRE(data.micro[0].size() == 1);
  const MicroBatch& batch = data.micro[0][0];
  REQUIRE(batch.spans.starts == std::vector<int64_t>{0, 3, 7});
  const auto values = [](const at::Tensor& t) {
    return std::vector<int64_t>(t.const_data_ptr<int64_t>(), t.const_data_ptr<int64_t>() + t.numel());
  };
  REQUIRE(values(batch.ids) == std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7});
  REQUIRE(values(batch.labels) == std::vector<int64_t>{2, 3, -1, 5, -1, 7, -1});
  const float* weights = batch.weights.const_data_ptr<float>();
  REQUIRE(weights[0] == Approx(1 / 3.5));
  REQUIRE(weights[3] == Approx(0.5 / 3.5));
  REQUIRE(weight_sum(data) == Approx(1));
}

TEST_CASE("continuous positions keep the documents in front", "[unit]") {
  TempFolder temp;
  data::MdsWriter writer(temp.path() / "d", {});
  data::Sample sample;
  sample.domain = "x";
  sample.input_ids = {1, 2, 3, 4, 5, 6};
  sample.spans = {{0, 2}, {2, 4}, {4, 6}};
  sample.weights = {0, 0, 0, 1, 0, 0};
  writer.add(sample);
  writer.finish();
  const data::Mixture mixture({{"x", temp.path() / "d", 1}}, 1);
  BatchOptions options = options_for(1, "global_tokens");
  REQUIRE(BatchSource(mixture, options).make(0).tokens == 2);
  options.continuous_positions = true;
  REQUIRE(BatchSource(mixture, options).make(0).tokens == 4);
  options.micro_batch = 2;
  REQUIRE_THROWS_AS(BatchSource(mixture, options), Error);
}

TEST_CASE("loss weights add up to one, by sequence or by token, at any world size", "[unit]") {
  TempFolder temp;
  write_tiny_data(temp.path() / "d", 12);
  const data::Mixture mixture({{"tiny", temp.path() / "d", 1}}, 3);
  for (const char* loss : {"sequence_mean", "global_tokens"}) {
    for (const int world : {1, 2, 3}) {
      double sum = 0;
      size_t steps = 0;
      std::map<double, int> distinct;
      for (int rank = 0; rank < world; ++rank) {
        BatchOptions options = options_for(8, loss);
        options.rank = rank;
        options.world = world;
        options.micro_batch = 2;
        options.cost_b = 0.01;
        const StepBatch data = BatchSource(mixture, options).make(1);
        REQUIRE(data.micro.size() == 1);
        if (rank > 0) REQUIRE(data.micro[0].size() == steps);
        steps = data.micro[0].size();
        sum += weight_sum(data);
      }
      REQUIRE(sum == Approx(1).epsilon(1e-6));
    }
  }
}

TEST_CASE("virtual ranks get what real ranks get", "[unit]") {
  TempFolder temp;
  write_tiny_data(temp.path() / "d", 12);
  const data::Mixture mixture({{"tiny", temp.path() / "d", 1}}, 3);
  BatchOptions options = options_for(7, "sequence_mean");
  options.virtual_ranks = 3;
  const StepBatch all = BatchSource(mixture, options).make(2);
  REQUIRE(all.micro.size() == 3);
  options.virtual_ranks = 1;
  options.world = 3;
  for (int rank = 0; rank < 3; ++rank) {
    options.rank = rank;
    const StepBatch own = BatchSource(mixture, options).make(2);
    const auto& other = all.micro[static_cast<size_t>(rank)];
    REQUIRE(own.micro[0].size() == other.size());
    for (size_t k = 0; k < other.size(); ++k) {
      REQUIRE(own.micro[0][k].ids.equal(other[k].ids));
      REQUIRE(own.micro[0][k].weights.equal(other[k].weights));
    }
  }
}

TEST_CASE("ranks that share sequences hold equal parts of what one rank would", "[unit]") {
  TempFolder temp;
  write_tiny_data(temp.path() / "d", 12);
  const data::Mixture mixture({{"tiny", temp.path() / "d", 1}}, 3);
  for (const int context : {2, 4}) {
    BatchOptions options = options_for(7, "sequence_mean");
    options.micro_batch = 2;
    options.world = 2;
    const auto wholes = [&](int rank) {
      options.rank = rank;
      return BatchSource(mixture, options).make(3).micro[0];
    };
    const std::vector<std::vector<MicroBatch>> expected = {wholes(0), wholes(1)};
    options.world = 2 * context;
    options.context = context;
    for (int group = 0; group < 2; ++group) {
      std::vector<std::vector<MicroBatch>> parts;
      for (int part = 0; part < context; ++part) parts.push_back(wholes(group * context + part));
      const auto& own = expected[static_cast<size_t>(group)];
      for (size_t k = 0; k < own.size(); ++k) {
        const MicroBatch& whole = own[k];
        const int64_t tokens = whole.ids.numel(), each = (tokens + context - 1) / context;
        std::vector<int64_t> starts = whole.spans.starts;
        if (each * context > tokens) starts.push_back(each * context);
        int64_t in_sequences = 0, expected_in_sequences = 0;
        for (const SequenceRange& range : whole.sequences) expected_in_sequences += range.end - range.begin;
        for (int64_t t = 0; t < each * context; ++t) {
          const MicroBatch& part = parts[static_cast<size_t>(t / each)][k];
          REQUIRE(part.spans.starts == starts);
          REQUIRE(part.ids.numel() == each);
          REQUIRE(part.raw_weights.size() == static_cast<size_t>(each));
          const bool padding = t >= tokens;
          const auto value = [](const at::Tensor& tensor, int64_t at) {
            return tensor.const_data_ptr<int64_t>()[at];
          };
          REQUIRE(value(part.ids, t % each) == (padding ? 0 : value(whole.ids, t)));
          REQUIRE(value(part.labels, t % each) == (padding ? -1 : value(whole.labels, t)));
          REQUIRE(part.weights.const_data_ptr<float>()[t % each] ==
                  (padding ? 0 : whole.weights.const_data_ptr<float>()[t]));
        }
        for (int part = 0; part < context; ++part)
          for (const SequenceRange& range : parts[static_cast<size_t>(part)][k].sequences) {
            REQUIRE(range.begin >= 0);
            REQUIRE(range.end <= each);
            in_sequences += range.end - range.begin;
          }
        REQUIRE(in_sequences == expected_in_sequences);
      }
    }
  }
}

TEST_CASE("a token outside the vocabulary is refused with its sample", "[unit]") {
  TempFolder temp;
  write_tiny_data(temp.path() / "d", 4);
  const data::Mixture mixture({{"tiny", temp.path() / "d", 1}}, 3);
  BatchOptions options = options_for(4, "sequence_mean");
  options.vocab_size = 20;
  const BatchSource source(mixture, options);
  Prefetch prefetch(source, 0, 5);
  try {
    prefetch.next();
    FAIL("accepted token ids beyond the vocabulary");
  } catch (const Error& error) {
    REQUIRE(error.code() == Code::corrupt);
    REQUIRE(error.where().find("tiny:") == 0);
  }
}

TEST_CASE("prefetched steps come in order and are those that are made directly", "[unit]") {
  TempFolder temp;
  write_tiny_data(temp.path() / "d", 12);
  const data::Mixture mixture({{"tiny", temp.path() / "d", 1}}, 3);
  const BatchSource source(mixture, options_for(4, "sequence_mean"));
  Prefetch prefetch(source, 2, 6);
  for (int64_t step = 2; step < 6; ++step) {
    const StepBatch data = prefetch.next();
    REQUIRE(data.step == step);
    REQUIRE(data.batch_ids == source.make(step).batch_ids);
  }
}
