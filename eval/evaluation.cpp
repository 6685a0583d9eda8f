#include "eval/evaluation.h"

#include <chrono>
#include <cmath>
#include <limits>

#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/process/signals.h"
#include "core/random.h"
#include "core/recipe/run_config.h"
#include "core/sandbox/sandbox.h"
#include "core/text.h"
#include "eval/config.h"
#include "eval/predictions/results.h"
#include "eval/scoring/score_items.h"
#include "eval/tasks/registry.h"

namespace retrace::eval {
namespace {

constexpr double kPatience = 36;  // times run.timeout_s: ranks end their shares at very different moments

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// The keys of section [eval] that decide results, as JSON.
Json config_json(const EvalConfig& c) {
  return {{"lengths", c.lengths},
          {"limit", c.limit},
          {"perplexity_limit", c.perplexity_limit},
          {"ruler_samples", c.ruler_samples},
          {"samples", c.samples},
          {"shots", c.shots},
          {"max_gen_tokens", c.max_gen_tokens},
          {"max_length", c.max_length},
          {"seed", c.seed},
          {"temperature", c.temperature},
          {"top_p", c.top_p},
          {"add_bos", c.add_bos},
          {"dtype", c.dtype}};
}

class Evaluation {
 public:
  Evaluation(const Recipe& recipe, const EvalJob& job)
      : job_(job),
        config_(recipe.get<EvalConfig>()),
        sandbox_config_(recipe.get<SandboxConfig>()),
        timeout_s_(recipe.get<RunConfig>().timeout_s * kPatience) {
    std::map<std::string, fs::path> sets = job.perplexity_sets;
    for (const auto& file : config_.perplexity_files)
      if (!sets.emplace(fs::path(file).stem().string(), resolve_path(file)).second)
        throw Error(Code::recipe, "two perplexity files have the name " + fs::path(file).stem().string(),
                    "rename one: results go by the file's name", "eval.perplexity_files");
    tasks_ = make_tasks(job.tasks.empty() ? config_.tasks : job.tasks, config_, {sets.begin(), sets.end()});
    identity_ = identity();
  }

  Json run() {
    if (const Json finished = finished_results(); finished.is_object()) return finished;
    const bool all = job_.stage.empty();
    if (!all && job_.stage != "prepare" && job_.stage != "generate" && job_.stage != "score")
      throw Error(Code::usage, "unknown stage '" + job_.stage + "'", "one of prepare, generate, score");
    start_time_ = now_s();
    first_rank_does(job_.ranks, key("prepare"), timeout_s_, [&] { prepare(); });
    if (job_.stage == "prepare") return nullptr;
    if ((all || job_.stage == "generate") && config_.predictions.empty()) {
      first_rank_does(job_.ranks, key("job"), timeout_s_, [&] { write_job(); });
      generate();
      meet(job_.ranks, key("generate"), timeout_s_);
    }
    if (job_.stage == "generate") return nullptr;
    first_rank_does(job_.ranks, key("score"), timeout_s_, [&] { score(); });
    return finished_results();
  }

 private:
  std::string key(const std::string& what) const {
    return "eval/" + sha256_hex(fs::absolute(job_.out).string()).substr(0, 12) + "/" + what;
  }

  // What prompts and scores depend on, the model excepted.
  Json identity() const {
    Json tasks = Json::object();
    for (const auto& named : tasks_) {
      Json files = Json::object();
      for (const auto& file : named.task->inputs(config_))
        files[file.filename().string()] = sha256_hex(read_file(file));
      const TaskSpec& spec = named.task->spec();
      tasks[named.id] = {{"flavour", spec.flavour},
                         {"version", spec.version},
                         {"template", spec.prompt_template},
                         {"until", spec.until},
                         {"files", files}};
    }
    return {{"tasks", tasks},
            {"config", config_json(config_)},
            {"tokenizer", job_.tokenizer->fingerprint()},
            {"predictions",
             config_.predictions.empty() ? "" : sha256_hex(read_file(resolve_path(config_.predictions)))}};
  }

  Json finished_results() const {
    const fs::path done = job_.out / "done.json";
    if (!fs::exists(done)) return nullptr;
    const Json json = parse_json(read_file(done), done.string());
    const bool same_model = !job_.engine || !config_.predictions.empty() ||
                            get<std::string>(json, "model", done.string()) == job_.engine->fingerprint();
    if (get<Json>(json, "identity", done.string()) != identity_ || !same_model) return nullptr;
    const fs::path file = job_.out / get<std::string>(json, "results", done.string());
    return parse_json(read_file(file), file.string());
  }

  fs::path prompts_file(const NamedTask& named) const { return job_.out / "prompts" / (named.id + ".jsonl"); }

  void prepare() {
    const fs::path marker = job_.out / "prompts" / "prepared.json";
    if (fs::exists(marker)) {
      prepared_ = parse_json(read_file(marker), marker.string());
      if (prepared_["identity"] == identity_) return;
    }
    Json counts = Json::object();
    Progress progress("preparing prompts", tasks_.size(), "tasks");
    for (const auto& named : tasks_) {
      throw_if_stopped();
      const Prepared prepared = named.task->prepare({config_, job_.tokenizer});
      if (prepared.items.empty()) throw Error(Code::input, named.id + " has no items", "see the task's data");
      write_prompts(prompts_file(named), named.task->spec(), prepared.items);
      counts[named.id] = prepared.original;
      progress.add();
    }
    prepared_ = {{"identity", identity_}, {"original_items", counts}};
    write_file(marker, to_text(prepared_, 1) + "\n");
  }

  int64_t max_length() const {
    const int64_t own = model_max_length_ > 0 ? model_max_length_ : std::numeric_limits<int64_t>::max();
    return config_.max_length > 0 ? std::min(config_.max_length, own) : own;
  }

  RequestSettings settings_of(const NamedTask& named) const {
    const TaskSpec& spec = named.task->spec();
    RequestSettings settings;
    settings.max_gen_tokens = config_.max_gen_tokens > 0 ? config_.max_gen_tokens : spec.max_gen_tokens;
    settings.max_length = max_length();
    settings.add_bos = config_.add_bos;
    settings.temperature = config_.temperature;
    settings.top_p = config_.top_p;
    settings.seed = static_cast<uint64_t>(config_.seed);
    settings.until = spec.until;
    return settings;
  }

  // job.json tells a later `--stage score`, which has no engine, what answered.
  void write_job() const {
    if (!job_.engine)
      throw Error(Code::usage, "generating needs a model", "set eval.model to a HF folder", "eval.model");
    write_file(job_.out / "job.json", to_text({{"model", job_.engine->fingerprint()},
                                               {"model_name", job_.model_name},
                                               {"max_length", job_.engine->config().max_position_embeddings}},
                                              1) +
                                          "\n");
  }

  void know_model() {
    if (job_.engine) {
      model_ = job_.engine->fingerprint();
      model_max_length_ = job_.engine->config().max_position_embeddings;
      return;
    }
    const fs::path file = job_.out / "job.json";
    if (!fs::exists(file)) {
      if (config_.predictions.empty())
        throw Error(Code::input, "there are no predictions to score in " + job_.out.string(),
                    "run the stage generate first, or name a file in eval.predictions");
      return;
    }
    const Json json = parse_json(read_file(file), file.string());
    model_ = get<std::string>(json, "model", file.string());
    model_max_length_ = get<int64_t>(json, "max_length", file.string());
  }

  std::map<std::string, std::string> wanted(const NamedTask& named, const std::vector<Item>& items) const {
    std::map<std::string, std::string> out;
    const RequestSettings settings = settings_of(named);
    for (const auto& item : items) {
      const std::string request = request_identity(model_, settings, item.prompt);
      for (int64_t sample = 0; sample < named.task->spec().samples; ++sample)
        out[answer_key(item.doc_id, sample)] = request;
    }
    return out;
  }

  void generate() {
    know_model();
    for (const auto& named : tasks_) generate_task(named);
  }

  void generate_task(const NamedTask& named) {
    const auto items = read_prompts(prompts_file(named));
    const auto requests = wanted(named, items);
    const fs::path folder = job_.out / "predictions";
    make_folders(folder);
    int64_t stale = 0;
    const auto have = read_predictions(folder, named.id, requests, stale);
    if (stale > 0)
      info("{}: {} earlier answers of another model, prompt or setting are left aside", named.id, stale);
    std::vector<std::pair<const Item*, int64_t>> mine;
    size_t number = 0;
    for (const auto& item : items)
      for (int64_t sample = 0; sample < named.task->spec().samples; ++sample)
        if (number++ % static_cast<size_t>(job_.ranks.size) == static_cast<size_t>(job_.ranks.rank) &&
            !have.count(answer_key(item.doc_id, sample)))
          mine.emplace_back(&item, sample);
    if (mine.empty()) return;
    AppendFile out(folder / fmt::format("{}-{}.jsonl", named.id, job_.ranks.rank));
    Progress progress("answering " + named.id, mine.size(), "items");
    int64_t truncated = 0;
    for (const auto& [item, sample] : mine) {
      throw_if_stopped();
      const std::string name = answer_key(item->doc_id, sample);
      RequestSettings settings = settings_of(named);
      Reply reply;
      if (named.task->spec().kind == RequestKind::loglikelihood_rolling) {
        reply = score_reply(*job_.engine, *job_.tokenizer, item->prompt, settings.max_length);
      } else {
        settings.seed = random_u64(settings.seed, stream_id(named.id + "/" + name), 0);
        reply = generate_reply(*job_.engine, *job_.tokenizer, item->prompt, settings);
      }
      truncated += reply.dropped_tokens > 0 ? 1 : 0;
      out.line(to_text(prediction_line(name, requests.at(name), reply)));
      progress.add();
    }
    out.sync();
    if (truncated > 0)
      warn("{}: {} of {} prompts were longer than the model's {} tokens and lost their beginning", named.id,
           truncated, mine.size(), max_length());
  }

  ScoredTask answers_of(const NamedTask& named) {
    ScoredTask scored;
    scored.id = named.id;
    scored.name = named.name;
    scored.length = named.length;
    scored.spec = &named.task->spec();
    scored.items = read_prompts(prompts_file(named));
    scored.original = get<int64_t>(prepared_["original_items"], named.id.c_str(), "prepared.json");
    scored.settings = settings_of(named);
    scored.answers.resize(scored.items.size());
    if (!config_.predictions.empty()) {
      const auto foreign = read_foreign(resolve_path(config_.predictions), named.id, named.name,
                                        scored.spec->kind, tasks_.size() == 1, scored.items);
      for (size_t i = 0; i < scored.items.size(); ++i)
        if (const auto found = foreign.find(scored.items[i].doc_id); found != foreign.end())
          scored.answers[i] = found->second;
    } else {
      int64_t stale = 0;
      scored.replies =
          read_predictions(job_.out / "predictions", named.id, wanted(named, scored.items), stale);
      for (size_t i = 0; i < scored.items.size(); ++i)
        for (int64_t sample = 0; sample < scored.spec->samples; ++sample) {
          const auto found = scored.replies.find(answer_key(scored.items[i].doc_id, sample));
          if (found != scored.replies.end()) scored.answers[i].push_back(found->second.answer);
        }
      for (auto& answers : scored.answers)
        if (answers.size() < static_cast<size_t>(scored.spec->samples)) answers.clear();
    }
    return scored;
  }

  void score() {
    know_model();
    std::unique_ptr<Sandbox> sandbox;
    for (const auto& named : tasks_)
      if (named.task->spec().runs_code && !sandbox) sandbox = std::make_unique<Sandbox>(sandbox_config_);
    std::vector<ScoredTask> scored;
    std::vector<std::string> missing;
    for (const auto& named : tasks_) {
      scored.push_back(answers_of(named));
      score_items(*named.task, sandbox.get(), sandbox_config_.workers, scored.back());
      for (const auto& what : scored.back().without_result) missing.push_back(what);
    }
    ResultsContext context;
    context.model_name = job_.model_name;
    context.model_fingerprint = model_;
    context.tokenizer_fingerprint = job_.tokenizer->fingerprint();
    context.predictions_file = config_.predictions;
    context.eval_config = config_json(config_);
    context.sandbox = sandbox ? sandbox->describe() : Json(nullptr);
    context.max_length = model_max_length_ > 0 || config_.max_length > 0 ? max_length() : 0;
    context.start_time = start_time_;
    context.end_time = now_s();
    const Json results = make_results(scored, context);
    const std::string date = date_id(start_time_);
    write_samples(job_.out, scored, date);
    const std::string file = "results_" + date + ".json";
    write_file(job_.out / file, to_text(results, 2) + "\n");
    if (!missing.empty())
      throw Error(Code::incomplete,
                  fmt::format("{} of the items asked for have no result, the first: {}", missing.size(),
                              missing.front()),
                  "the results so far are in " + (job_.out / file).string());
    write_file(job_.out / "done.json",
               to_text({{"results", file}, {"model", model_}, {"identity", identity_}}, 1) + "\n");
  }

  const EvalJob& job_;
  EvalConfig config_;
  SandboxConfig sandbox_config_;
  double timeout_s_, start_time_ = 0;
  std::vector<NamedTask> tasks_;
  Json identity_, prepared_;
  std::string model_;
  int64_t model_max_length_ = 0;
};

}  // namespace

Json run_evaluation(const Recipe& recipe, const EvalJob& job) {
  ensure(job.tokenizer != nullptr, "a tokenizer for the evaluation");
  return Evaluation(recipe, job).run();
}

}  // namespace retrace::eval
