#include "synth/stage/backends.h"

#include <chrono>

#include "core/error.h"
#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/process/signals.h"
#include "core/recipe/run_config.h"
#include "model/endpoint/config.h"
#include "synth/config.h"
#include "synth/generate/http_generator.h"
#include "synth/generate/local_generator.h"
#include "synth/search/http_scorer.h"

namespace retrace::synth {

namespace {

constexpr const char* kSuffix = ".evidence.db";
constexpr double kTickS = 5;

std::vector<fs::path> item_files(const fs::path& items) {
  std::vector<fs::path> out;
  if (!fs::is_directory(items)) return out;
  for (const std::string& name : list_folder(items))
    if (name.ends_with(kSuffix)) out.push_back(items / name);
  return out;
}

// The servers of one model as all threads of a rank see them.
struct Servers {
  Servers(const model::EndpointOptions& options, const model::BudgetLimits& limits, const Ranks& ranks,
          const std::string& key)
      : budget(limits, ranks.size > 1 ? ranks.coordinator : nullptr, key + "/" + options.role),
        admission(model::admission_options(options)) {}
  model::Budget budget;
  model::Admission admission;
};

// One model asked over HTTP by one thread.
struct Backend {
  Backend(const model::EndpointOptions& options, const model::BudgetLimits& limits, model::Evidence& evidence,
          const Ranks& ranks, const std::string& key, const Backend* beside)
      : role(options.role),
        servers(beside ? beside->servers : std::make_shared<Servers>(options, limits, ranks, key)),
        endpoints(options, evidence, servers->budget, servers->admission) {}
  std::string role;
  std::shared_ptr<Servers> servers;
  model::Endpoints endpoints;
};

}  // namespace

struct Backends::State {
  fs::path out, items;
  Ranks ranks;
  std::string key, identity, writer_weights;
  double timeout_s = 600;
  std::unique_ptr<model::Evidence> evidence;
  std::unique_ptr<Backend> generator_backend, scorer_backend;
  std::unique_ptr<HttpGenerator> generator;
  std::unique_ptr<LocalGenerator> local;
  std::unique_ptr<HttpScorer> scorer;

  bool any() const { return !identity.empty(); }
  std::vector<Backend*> backends() const {
    std::vector<Backend*> all;
    if (generator_backend) all.push_back(generator_backend.get());
    if (scorer_backend) all.push_back(scorer_backend.get());
    return all;
  }
};

Backends::Backends(const Recipe& recipe, const fs::path& out, const Ranks& ranks, const std::string& key,
                   const LocalWriter* writer, const Backends* beside)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.out = out;
  s.items = out / "items";
  s.ranks = ranks;
  s.key = key;
  s.timeout_s = recipe.get<RunConfig>().timeout_s;
  const std::string kind = recipe.get<SynthConfig>().generator;
  const bool generates = kind == "http", writes = kind == "local";
  const auto search = recipe.get<SearchConfig>();
  const bool scores = search.scorer == "http" && search.preset != "none";
  const auto backend = [&](const auto& config, std::unique_ptr<Backend> State::*which) {
    const Backend* other = beside ? ((*beside->state_).*which).get() : nullptr;
    s.*which = std::make_unique<Backend>(model::endpoint_options(config, config.kSection),
                                         model::budget_limits(config), *s.evidence, ranks, key, other);
  };
  if (generates || writes || scores) s.evidence = std::make_unique<model::Evidence>(out / "evidence.db");
  if (generates) {
    const auto config = recipe.get<GeneratorConfig>();
    const Prompts prompts = load_prompts(config.prompts);
    s.identity += "generator " + generator_identity(config, prompts) + "\n";
    backend(config, &State::generator_backend);
    s.generator = std::make_unique<HttpGenerator>(config, prompts, s.generator_backend->endpoints);
  }
  if (writes) {
    if (writer == nullptr)
      throw Error(Code::recipe, "synth.generator = \"local\" has no weights to write with",
                  "name a Hugging Face folder", "generator.weights");
    const auto config = recipe.get<GeneratorConfig>();
    const Prompts prompts = load_prompts(config.prompts);
    s.local = std::make_unique<LocalGenerator>(config, prompts, *writer, *s.evidence);
    s.identity += fmt::format("generator {} {} {}\n", s.local->name(), static_cast<int>(writer->form),
                              generator_identity(config, prompts));
    if (writer->engine != nullptr) s.writer_weights = writer->engine->fingerprint() + " " + writer->dtype;
  }
  if (scores) {
    const auto config = recipe.get<ScorerConfig>();
    if (config.tokenizer.empty())
      throw Error(Code::recipe, "the scorer's tokenizer is not named",
                  "the folder of the model that is served", "scorer.tokenizer");
    auto tokenizer = data::load_tokenizer(resolve_path(config.tokenizer));
    backend(config, &State::scorer_backend);
    s.scorer = std::make_unique<HttpScorer>(config, std::move(tokenizer), search.max_context,
                                            s.scorer_backend->endpoints, *s.evidence);
    s.identity += fmt::format("scorer {} {}\n", s.scorer->name(), config.attempts);
  }
}

Backends::~Backends() = default;

Generator* Backends::generator() {
  if (state_->local) return state_->local.get();
  return state_->generator.get();
}

Scorer* Backends::scorer() {
  return state_->scorer.get();
}

const std::string& Backends::identity() const {
  return state_->identity;
}

const std::string& Backends::writer_weights() const {
  return state_->writer_weights;
}

void Backends::start() {
  State& s = *state_;
  if (!s.any()) return;
  first_rank_does(s.ranks, s.key + "/started", s.timeout_s, [&] {
    std::vector<fs::path> databases = item_files(s.items);
    databases.push_back(s.out / "evidence.db");
    const auto spent = model::spent_in(databases);
    for (Backend* b : s.backends()) {
      const auto found = spent.find(b->role);
      b->servers->budget.start(found == spent.end() ? model::Usage{} : found->second);
    }
  });
}

void Backends::open_item(const std::string& name, std::function<void()> tick) {
  State& s = *state_;
  if (!s.any()) return;
  s.evidence->open(s.items / (name + kSuffix));
  auto last = std::chrono::steady_clock::now();
  const auto seldom = [tick = std::move(tick), last]() mutable {
    throw_if_stopped();
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::duration<double>(kTickS)) return;
    last = now;
    tick();
  };
  for (Backend* b : s.backends()) b->endpoints.tick = seldom;
  if (s.local) s.local->tick = seldom;
}

Json Backends::close_item() {
  State& s = *state_;
  if (!s.any()) return nullptr;
  Json counts = Json::object();
  const Counts refused = s.local       ? s.local->take_counts()
                         : s.generator ? s.generator->take_counts()
                                       : Counts();
  for (const auto& [what, count] : refused) counts["generator_" + what] = count;
  const model::Usage used = s.evidence->used();
  counts["prompt_tokens"] = used.prompt_tokens;
  counts["completion_tokens"] = used.completion_tokens;
  Json out = {{"evidence_root", s.evidence->root()}, {"counts", counts}};
  s.evidence->close();
  return out;
}

void Backends::publish() {
  State& s = *state_;
  if (s.any()) model::merge_evidence(s.out / "evidence.db", item_files(s.items));
}

}  // namespace retrace::synth
