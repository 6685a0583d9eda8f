// The keys of the sections in eval/config.h, declared once.
#include "eval/config.h"

namespace retrace::eval {

auto EvalConfig::fields() {
  using E = EvalConfig;
  return std::tuple{
      field("tasks", &E::tasks, "Tasks to run; `retrace eval --list` names them"),
      field("model", &E::model, "HF folders to evaluate, one after the other (verb eval)"),
      field("lengths", &E::lengths, "RULER: lengths of prompt plus answer").unit("tokens"),
      field("limit", &E::limit, "Only the first N items of each benchmark; 0 = all").at_least(0),
      field("perplexity_files", &E::perplexity_files, "JSONL files of {\"text\"} for task perplexity"),
      field("perplexity_limit", &E::perplexity_limit, "Only the first N documents of each file; 0 = all")
          .at_least(0),
      field("data_dir", &E::data_dir,
            "Folder with a sub-folder of data for each benchmark; empty = where scripts/fetch-* put it"),
      field("predictions", &E::predictions, "JSONL of someone else's answers to score instead of generating"),
      field("ruler_samples", &E::ruler_samples, "RULER: items per task and length").range(1, 100000),
      field("ruler_words", &E::ruler_words,
            "RULER: folder of nounlist.txt, adjectivelist.txt, verblist.txt; empty = DATA_DIR/ruler"),
      field("ruler_essays", &E::ruler_essays,
            "RULER: text file, or JSON with \"text\", of the essay haystack"),
      field("samples", &E::samples, "HumanEval: completions per problem (pass@k for k up to it)")
          .range(1, 10000),
      field("shots", &E::shots, "Worked examples in a prompt; -1 = the task's own number").range(-1, 100),
      field("max_gen_tokens", &E::max_gen_tokens, "New tokens per answer; 0 = the task's own limit")
          .at_least(0),
      field("max_length", &E::max_length, "Longest prompt plus answer; 0 = the model's own").at_least(0),
      field("temperature", &E::temperature, "0 = greedy").at_least(0),
      field("top_p", &E::top_p, "Nucleus sampling, when temperature is above 0").range(0, 1),
      field("seed", &E::seed, "Seed of RULER's texts and of sampling").at_least(0),
      field("add_bos", &E::add_bos, "BOS in front of each prompt, if the tokenizer has one; never two"),
      field("dtype", &E::dtype, "Compute dtype of the engine").choices({"float32", "bfloat16"}),
      field("device", &E::device, "Where `retrace eval` computes; in the loop, train.device says so")
          .choices({"auto", "cpu", "cuda"})};
}

}  // namespace retrace::eval

namespace retrace {
template eval::EvalConfig Recipe::get<eval::EvalConfig>() const;
template Section describe<eval::EvalConfig>();
}  // namespace retrace
