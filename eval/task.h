// A benchmark as data and two functions: prepare() makes the items (prompt, target, document), score() grades
// answers. What is between them (asking the model, files, resuming, ranks) is the same for all:
// eval/evaluation.h.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/tokenizer/tokenizer.h"
#include "eval/config.h"

namespace retrace {
class Sandbox;
}

namespace retrace::eval {

enum class RequestKind { generate_until, loglikelihood_rolling };

struct MetricSpec {
  std::string name;
  std::string aggregation = "mean";  // mean | weighted_perplexity | bits_per_byte (lm-eval's definitions)
  bool higher_is_better = true;
};

// What a task is, apart from its data. Hashed into results, so that numbers of different definitions are told
// apart.
struct TaskSpec {
  std::string name, flavour;  // "gsm8k", "lm-eval"
  RequestKind kind = RequestKind::generate_until;
  int64_t max_gen_tokens = 256;
  std::vector<std::string> until;  // stop strings
  std::vector<MetricSpec> metrics;
  int64_t num_shots = 0;
  double version = 1;
  std::string prompt_template;  // for people and for the hash
  std::vector<std::string> filters = {"none"};
  int64_t samples = 1;  // answers asked for per item
  bool runs_code = false;
};

struct Item {
  int64_t doc_id = 0;
  std::string prompt;  // for loglikelihood_rolling: the text whose probability is asked for
  std::string target;
  Json doc;
};

// The model's answer to one item; one of these for each sample.
struct Answer {
  std::string text;          // generate_until
  double loglikelihood = 0;  // loglikelihood_rolling, nats
};

// An item's value for one metric; `weight` is the denominator of a perplexity (words or bytes), unused by
// means.
struct MetricValue {
  std::string metric;
  double value = 0, weight = 1;
};

// What one filter made of an item's answers. One line of the samples file.
struct Score {
  std::string filter = "none";
  std::vector<std::string> filtered;  // a text for each answer
  std::vector<MetricValue> values;
  bool parsed = true;    // false: no answer could be read from the text
  bool graded = true;    // false: the item has no result; the reason is in extra
  Json extra = nullptr;  // further fields for the samples file
};

struct Prepared {
  std::vector<Item> items;  // in order, limits applied
  int64_t original = 0;     // items of the whole data set
};

struct PrepareContext {
  const EvalConfig& config;
  std::shared_ptr<const data::Tokenizer> tokenizer;
};

class EvalTask {
 public:
  virtual ~EvalTask() = default;
  virtual const TaskSpec& spec() const = 0;
  // The same items for the same configuration and files, on any machine.
  virtual Prepared prepare(const PrepareContext& context) = 0;
  // One Score a filter, in the order of spec().filters. Thread-safe. `sandbox` is set if spec().runs_code.
  virtual std::vector<Score> score(const Item& item, const std::vector<Answer>& answers,
                                   const Sandbox* sandbox) const = 0;
  // Files that prepare() reads; their hashes decide whether prepared prompts are still good.
  virtual std::vector<std::filesystem::path> inputs(const EvalConfig& config) const = 0;
};

}  // namespace retrace::eval
