#include "loop/loop.h"

#include "core/files/paths.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process/signals.h"
#include "core/recipe/run_config.h"
#include "core/recipe/run_folder.h"
#include "data/config.h"
#include "data/text_domain.h"
#include "eval/config.h"
#include "eval/evaluation.h"
#include "eval/report.h"
#include "loop/rounds/inputs.h"
#include "model/config.h"
#include "model/engine/engine.h"
#include "model/files/weights.h"
#include "synth/config.h"
#include "synth/pack.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/trainer.h"
#include "train/world.h"

namespace retrace::loop {
namespace {

// What a data set counts of itself, or seq_len labels a sample for one that does not.
double labels_per_sample(const fs::path& folder, int64_t seq_len) {
  const fs::path path = folder / "pack.json";
  if (!fs::exists(path)) return static_cast<double>(seq_len);
  const Json pack = parse_json(read_file(path), path.string());
  return get<double>(pack, "trained_tokens", path.string()) / get<double>(pack, "samples", path.string());
}

double labels_per_sample(const std::vector<data::MixtureDomain>& domains, int64_t seq_len) {
  double labels = 0, weights = 0;
  for (const auto& domain : domains) {
    labels += domain.weight * labels_per_sample(domain.folder, seq_len);
    weights += domain.weight;
  }
  return labels / weights;
}

}  // namespace

Loop::Loop(train::World& world, const Recipe& recipe, fs::path run)
    : world_(world),
      recipe_(recipe),
      config_(recipe.get<LoopConfig>()),
      run_(std::move(run)),
      ranks_(world.ranks()) {
  branches_.push_back({recipe.get<synth::SynthConfig>().variant, run_, "", 0});
  for (const auto& variant : config_.compare) {
    if (variant != kMixtureOnly) synth::variant_of(variant);
    branches_.push_back({variant, run_ / "compare" / variant, "", 0});
  }
}

Loop::~Loop() = default;

fs::path Loop::run() {
  write_run_files();
  inputs_ = prepare_inputs(recipe_, run_, ranks_);
  tokenizer_ = prepare_tokenizer(recipe_, run_, inputs_, ranks_);
  pack_texts();
  for (int64_t round = 1; round <= config_.rounds; ++round) {
    throw_if_stopped();
    if (!resume_round(round)) do_round(round);
  }
  finish();
  fs::path report;
  first_rank_does(ranks_, "loop/report", timeout_s(), [&] { report = eval::write_report(run_); });
  return run_ / "report.html";
}

void Loop::write_run_files() {
  if (ranks_.first())
    retrace::write_run_files(recipe_, run_,
                             {branches_.front().variant, world_.env().launcher, world_.size(), threads()});
}

int Loop::threads() const {
  return train::compute_threads(recipe_.get<RunConfig>().threads, world_.env(),
                                recipe_.get<train::TrainConfig>().virtual_ranks);
}

double Loop::timeout_s() const {
  return recipe_.get<RunConfig>().timeout_s;
}

// A finished round has round.json; the branches go on from what it says.
bool Loop::resume_round(int64_t round) {
  for (auto& branch : branches_)
    if (!fs::exists(branch.round(round) / "round.json")) return false;
  for (auto& branch : branches_) {
    const fs::path path = branch.round(round) / "round.json";
    const Json json = parse_json(read_file(path), path.string());
    branch.checkpoint =
        (branch.folder / get<std::string>(json["train"], "checkpoint", path.string())).string();
    branch.step = get<int64_t>(json["train"], "last_step", path.string());
    last_heldout_[branch.variant] = json["heldout"]["after"];
  }
  info("round {} is complete", round);
  return true;
}

model::LlamaConfig Loop::llama_config() const {
  return model::resolve_llama_config(recipe_.get<model::ModelConfig>(), tokenizer_.tokenizer->vocab_size());
}

bool Loop::base_is_random() const {
  return recipe_.get<model::ModelConfig>().path.empty();
}

std::unique_ptr<model::Engine> Loop::engine_of(const std::string& checkpoint) const {
  model::EngineOptions options;
  options.device = world_.device();
  options.dtype = recipe_.get<eval::EvalConfig>().dtype;
  options.threads = threads();
  options.decode_rows = recipe_.get<synth::GeneratorConfig>().batch;
  const auto config = llama_config();
  if (checkpoint.empty()) return model::make_engine(config, *base_weights(config), options);
  return model::make_engine(config, *train::open_checkpoint_weights(checkpoint), options);
}

// The weights that training starts from: the model folder's, or random ones drawn from the run's seed.
std::unique_ptr<model::WeightSource> Loop::base_weights(const model::LlamaConfig& config) const {
  const auto model = recipe_.get<model::ModelConfig>();
  if (base_is_random())
    return model::random_weights(config, static_cast<uint64_t>(recipe_.get<RunConfig>().seed),
                                 model.init_std);
  return model::open_hf_weights(resolve_path(model.path), config);
}

// By variant and step, never by folder: the name goes into records whose bytes must not depend on where a run
// lives.
std::string Loop::weights_name(const Branch& branch) const {
  if (branch.checkpoint.empty()) return base_is_random() ? "random" : "base";
  return branch.variant + " " + fs::path(branch.checkpoint).filename().string();
}

void Loop::do_round(int64_t round) {
  info("round {} of {}", round, config_.rounds);
  Branch& main = branches_.front();
  synthesise(round, main);
  Json main_train;
  for (auto& branch : branches_) {
    pack(round, branch);
    const Json before = heldout_before(round, branch);
    const Json trained = train(round, branch, main_train);
    if (&branch == &main) main_train = trained;
    const Json after = heldout(branch, branch.round(round) / "eval");
    last_heldout_[branch.variant] = after;
    first_rank_does(ranks_, fmt::format("loop/round/{}/{}", branch.variant, round), timeout_s(), [&] {
      write_file(branch.round(round) / "round.json",
                 to_text({{"round", round},
                          {"variant", branch.variant},
                          {"start", start_name_},
                          {"scorer", scorer_name_},
                          {"judge", judge_name_},
                          {"train", trained},
                          {"heldout", {{"before", before}, {"after", after}}}},
                         1) +
                     "\n");
      eval::write_report(run_);
    });
    info("round {} {}: held-out bits per byte {} -> {}", round, branch.variant, to_text(before),
         to_text(after));
  }
}

// Plain texts are packed once, with the run's tokenizer, into RUN/texts/NAME.
void Loop::pack_texts() {
  const auto config = recipe_.get<data::DataConfig>();
  const auto texts = data::text_domains(config);
  if (texts.empty()) return;
  first_rank_does(ranks_, "loop/texts", timeout_s(), [&] {
    for (const auto& text : texts)
      data::pack_text_domain(config,
                             {text.name, resolve_path(text.folder.string()), run_ / "texts" / text.name,
                              tokenizer_.tokenizer, static_cast<int>(recipe_.get<RunConfig>().threads)});
  });
}

// What a branch trains on in a round; domains of weight zero are left out.
std::vector<data::MixtureDomain> Loop::domains(int64_t round, const Branch& branch) const {
  const auto config = recipe_.get<data::DataConfig>();
  std::vector<data::MixtureDomain> all;
  const int64_t first = config_.start == "base" ? 1 : round;
  for (int64_t r = first; r <= round && branch.has_trajectories(); ++r)
    all.push_back({first == round ? "trajectories" : fmt::format("trajectories-{}", r),
                   branch.round(r) / "tokens", config.trajectories / static_cast<double>(round - first + 1)});
  for (auto& domain : data::extra_domains(config)) all.push_back(domain);
  for (auto& domain : data::text_domains(config))
    all.push_back({domain.name, run_ / "texts" / domain.name, domain.weight});
  std::erase_if(all, [](const data::MixtureDomain& domain) { return domain.weight <= 0; });
  if (all.empty())
    throw Error(Code::recipe, fmt::format("the branch '{}' has nothing to train on", branch.variant),
                "give data.mds_folders or data.text_sources a weight, or data.trajectories", "loop.compare");
  return all;
}

void Loop::pack(int64_t round, const Branch& branch) {
  if (!branch.has_trajectories()) return;
  first_rank_does(ranks_, fmt::format("loop/pack/{}/{}", branch.variant, round), timeout_s(), [&] {
    synth::PackJob job;
    job.trajectories = branches_.front().round(round) / "synth";
    job.out = branch.round(round) / "tokens";
    job.variant = synth::variant_of(branch.variant);
    job.tokenizer = tokenizer_.tokenizer;
    job.domain = "trajectories";
    synth::run_pack(recipe_, job);
  });
}

Json Loop::train(int64_t round, Branch& branch, const Json& main_train) {
  const auto data = recipe_.get<data::DataConfig>();
  train::TrainJob job;
  job.run_folder = branch.folder;
  job.save_request = run_ / train::kSaveRequestName;  // the run is asked, whichever branch trains
  job.round = static_cast<int>(round);
  job.domains = domains(round, branch);
  job.tokenizer = tokenizer_.path;
  job.tokenizer_fingerprint = tokenizer_.tokenizer->fingerprint();
  job.vocab_size = tokenizer_.tokenizer->vocab_size();
  job.pad = data::pad_token(*tokenizer_.tokenizer);
  job.start = config_.start == "base" ? "" : branch.checkpoint;
  job.first_step = branch.step;
  start_name_ = job.start.empty() ? (base_is_random() ? "random" : "base") : "previous";
  // A comparison trains on as many label tokens as the main branch did, to within half a step.
  if (main_train.is_object()) {
    const double labels_per_step = labels_per_sample(job.domains, data.seq_len) *
                                   static_cast<double>(recipe_.get<train::TrainConfig>().batch_sequences);
    job.steps = std::max<int64_t>(
        1, std::llround(get<double>(main_train, "label_tokens", "round") / labels_per_step));
  }
  const auto result = train::run_training(world_, recipe_, job);
  branch.checkpoint = result.checkpoint.string();
  branch.step = job.first_step + result.steps;
  return {{"steps", result.steps},
          {"last_step", branch.step},
          {"tokens", result.tokens},
          {"label_tokens", result.label_tokens},
          {"first_loss", result.first_loss},
          {"last_loss", result.last_loss},
          {"checkpoint", fs::relative(result.checkpoint, branch.folder).string()},
          {"root", result.root}};
}

// Before a round = after the round before, or the base model; a base is measured once, for all branches.
Json Loop::heldout_before(int64_t round, const Branch& branch) {
  if (config_.start == "base" || round == 1) {
    if (!last_heldout_.count("")) {
      Branch base{branch.variant, run_, "", 0};
      last_heldout_[""] = heldout(base, run_ / "eval" / "base");
    }
    return last_heldout_[""];
  }
  return last_heldout_.at(branch.variant);
}

Json Loop::heldout(const Branch& branch, const fs::path& out) {
  if (!inputs_.has("dev")) return nullptr;
  const Json results = evaluate(branch, out, {"perplexity"}, {{"dev", run_ / "heldout" / "dev.jsonl"}});
  return results["results"]["perplexity_dev"]["bits_per_byte,none"];
}

Json Loop::evaluate(const Branch& branch, const fs::path& out, const std::vector<std::string>& tasks,
                    const std::map<std::string, fs::path>& sets) {
  std::unique_ptr<model::Engine> engine;
  if (!fs::exists(out / "done.json")) engine = engine_of(branch.checkpoint);
  eval::EvalJob job;
  job.out = out;
  job.engine = engine.get();
  job.tokenizer = tokenizer_.tokenizer;
  job.ranks = ranks_;
  job.model_name = weights_name(branch);
  job.perplexity_sets = sets;
  job.tasks = tasks;
  return eval::run_evaluation(recipe_, job);
}

// The last checkpoint of every branch on all tasks and, for the first time, on the test split; the main one
// as a HF folder.
void Loop::finish() {
  Json models = Json::array();
  auto tasks = recipe_.get<eval::EvalConfig>().tasks;
  tasks.push_back("perplexity");
  std::map<std::string, fs::path> sets;
  for (const std::string fold : {"dev", "test"})
    if (inputs_.has(fold)) sets[fold] = run_ / "heldout" / (fold + ".jsonl");
  for (const auto& branch : branches_) {
    const Json results = evaluate(branch, branch.folder / "eval" / "final", tasks, sets);
    models.push_back({{"name", branch.variant},
                      {"checkpoint", fs::relative(branch.checkpoint, run_).string()},
                      {"parameters", llama_config().num_parameters()},
                      {"results", results["results"]}});
  }
  first_rank_does(ranks_, "loop/finish", timeout_s(), [&] {
    const fs::path folder = run_ / "model";
    if (!fs::exists(folder / "config.json")) {
      model::HfFolderOptions options;
      options.dtype = "float32";
      options.tokenizer = tokenizer_.path;
      model::write_hf_folder(folder, llama_config(),
                             *train::open_checkpoint_weights(branches_.front().checkpoint), options);
    }
    write_file(run_ / "final.json", to_text({{"models", models}}, 1) + "\n");
  });
}

}  // namespace retrace::loop
