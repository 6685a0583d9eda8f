#include "loop/doctor/doctor.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/files/paths.h"
#include "core/json.h"
#include "core/net/http.h"
#include "core/recipe/run_config.h"
#include "core/recipe/run_folder.h"
#include "core/sandbox/sandbox.h"
#include "data/config.h"
#include "eval/config.h"
#include "model/config.h"
#include "model/device/cuda_library.h"
#include "model/device/te_choice.h"
#include "model/self_test.h"
#include "synth/config.h"
#include "train/config.h"

namespace retrace::loop {
namespace {

constexpr double kGiB = 1024.0 * 1024 * 1024;
constexpr double kEndpointPatience_s = 5;

enum class State { ok, note, missing };

// Findings in the order in which they were made; a missing thing is what the recipe asks for and is not
// there.
class Findings {
 public:
  void add(State state, const std::string& what, const std::string& text, const std::string& hint = "") {
    rows_.push_back({state, what, text, hint});
    missing_ += state == State::missing;
  }
  // ok with what `look` says, or missing with what it throws.
  template <class Look>
  void look(const std::string& what, const Look& look) {
    try {
      add(State::ok, what, look());
    } catch (const Error& problem) {
      add(State::missing, what, problem.message(), problem.hint());
    }
  }
  int missing() const { return missing_; }

  void print() const {
    const char* marks[] = {"ok     ", "-      ", "MISSING"};
    for (const Row& row : rows_) {
      std::cout << fmt::format("{} {:<18} {}\n", marks[static_cast<size_t>(row.state)], row.what, row.text);
      if (!row.hint.empty()) std::cout << fmt::format("{:>27}{}\n", "", row.hint);
    }
  }
  Json json() const {
    const char* names[] = {"ok", "note", "missing"};
    Json list = Json::array();
    for (const Row& row : rows_)
      list.push_back({{"state", names[static_cast<size_t>(row.state)]},
                      {"what", row.what},
                      {"text", row.text},
                      {"hint", row.hint}});
    return {{"findings", list}, {"missing", missing_}};
  }

 private:
  struct Row {
    State state;
    std::string what, text, hint;
  };
  std::vector<Row> rows_;
  int missing_ = 0;
};

// Asks for the device before anything touches ATen.
std::string look_at_device(const std::string& wanted, Findings& out) {
  if (wanted == "cpu") {
    out.add(State::note, "GPU", "not asked for (train.device = \"cpu\")");
    return "cpu";
  }
  try {
    model::choose_device("cuda");
    for (int i = 0; i < model::gpu_count(); ++i) {
      const model::GpuInfo gpu = model::use_gpu(i);
      out.add(State::ok, fmt::format("GPU {}", i),
              fmt::format("{}, {:.0f} GiB, compute capability {}.{}", gpu.name,
                          static_cast<double>(gpu.memory_bytes) / kGiB, gpu.major, gpu.minor));
    }
    model::use_gpu(0);
    return "cuda";
  } catch (const Error& problem) {
    const bool needed = wanted == "cuda";
    out.add(needed ? State::missing : State::note, "GPU", problem.message(), needed ? problem.hint() : "");
    return "cpu";
  }
}

void look_at_machine(Findings& out) {
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  out.add(State::ok, "machine",
          fmt::format("{} cores, {:.0f} GiB of memory", std::thread::hardware_concurrency(), memory / kGiB));
}

void look_at_attention(const model::LlamaConfig& shape, const std::string& dtype, const std::string& device,
                       Findings& out) {
  out.look("attention", [&] {
    const model::SelfTest test = model::self_test(shape, dtype, device);
    return fmt::format("{}, {}: {:.1e} from fp32 in its self-test; row kernels {}", test.backend, dtype,
                       test.error, device == "cuda" ? "cuda" : test.kernels);
  });
}

// What model.fused would take on this device; sets it, so that the attention that is looked at next is it.
void look_at_fused(const model::ModelConfig& config, const std::string& device, Findings& out) {
  try {
    const model::TeChoice choice = model::choose_fused(config.fused, config.te_library, config.dtype, device);
    if (choice.used)
      out.add(State::ok, "Transformer Engine", choice.path);
    else
      out.add(State::note, "Transformer Engine",
              "not used: " + (choice.why.empty() ? "model.fused = \"own\"" : choice.why));
  } catch (const Error& problem) {
    out.add(State::missing, "Transformer Engine", problem.message(), problem.hint());
  }
}

void look_at_sandbox(const SandboxConfig& config, Findings& out) {
  out.look("sandbox", [&] {
    const Sandbox sandbox(config);
    return config.mode == "none" ? std::string("none: programs of models run unconfined")
                                 : "bubblewrap confines a probe";
  });
}

// A path that the recipe names, or nothing if it names none.
void look_at_path(const std::string& what, const std::string& named, const std::string& inside,
                  const std::string& hint, Findings& out) {
  if (named.empty()) return;
  const fs::path path = resolve_path(named);
  const fs::path needed = inside.empty() ? path : path / inside;
  if (fs::exists(needed))
    out.add(State::ok, what, path.string());
  else
    out.add(State::missing, what, needed.string() + " does not exist", hint);
}

void look_at_endpoints(const std::string& role, const std::vector<std::string>& urls,
                       const std::string& key_env, Findings& out) {
  if (urls.empty())
    out.add(State::missing, role, "no endpoint is named", fmt::format("set {}.endpoints", role));
  if (!key_env.empty() && !std::getenv(key_env.c_str()))
    out.add(State::missing, role, fmt::format("the environment has no {}", key_env),
            fmt::format("export it; it is named by {}.api_key_env", role));
  HttpClient client;
  for (const std::string& url : urls) {
    HttpRequest request;
    request.method = "GET";
    request.url = url + (url.ends_with("/v1") ? "/models" : "/v1/models");
    request.connect_timeout_s = request.total_timeout_s = kEndpointPatience_s;
    if (const char* key = key_env.empty() ? nullptr : std::getenv(key_env.c_str())) request.bearer = key;
    client.start(request);
    const auto results = client.wait(2 * kEndpointPatience_s);
    if (results.empty() || results.front().failure != HttpFailure::none)
      out.add(State::missing, role,
              fmt::format("{}: {}", url, results.empty() ? "no answer" : results.front().message),
              "start the server, or name another endpoint");
    else if (results.front().status != 200)
      out.add(State::note, role, fmt::format("{} answers {} to /v1/models", url, results.front().status));
    else
      out.add(State::ok, role, url + " answers");
  }
}

void look_at_disk(const fs::path& run, Findings& out) {
  fs::path place = fs::absolute(run);
  while (!fs::exists(place) && place.has_parent_path()) place = place.parent_path();
  struct statvfs disk {};
  if (statvfs(place.c_str(), &disk) != 0) return;
  out.add(access(place.c_str(), W_OK) == 0 ? State::ok : State::missing, "run folder",
          fmt::format("{}, {:.0f} GiB free", run.string(),
                      static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize) / kGiB));
}

void look_at_recipe(const Recipe& recipe, Findings& out) {
  const auto model = recipe.get<model::ModelConfig>();
  const auto data = recipe.get<data::DataConfig>();
  const auto synth = recipe.get<synth::SynthConfig>();
  const auto search = recipe.get<synth::SearchConfig>();
  look_at_path("weights", model.path, "config.json",
               "download the model's Hugging Face folder, or `retrace import FILE.gguf DIR`", out);
  look_at_path("tokenizer", recipe.get<data::TokenizerConfig>().path, "",
               "name a tokenizer.model, a tokenizer.json or a folder with one", out);
  look_at_path("repositories", synth.input, "",
               "scripts/run fetches what recipes of this project name; else give synth.input=PATH", out);
  for (const auto& domain : data::extra_domains(data))
    if (domain.weight > 0)
      look_at_path("data " + domain.name, domain.folder.string(), "index.json",
                   "fetch the MDS data set and name its folder in data.mds_folders", out);
  for (const auto& domain : data::text_domains(data))
    if (domain.weight > 0)
      look_at_path("text " + domain.name, domain.folder.string(), "",
                   "scripts/fetch-text brings what recipes of this project name", out);
  const bool served = !search.serve_command.empty();  // by the loop, when its time comes
  if (synth.generator == "http" && !(served && search.serve_generator)) {
    const auto config = recipe.get<synth::GeneratorConfig>();
    look_at_endpoints("generator", config.endpoints, config.api_key_env, out);
  }
  if (search.preset != "none" && search.scorer == "http" && !served) {
    const auto config = recipe.get<synth::ScorerConfig>();
    look_at_endpoints("scorer", config.endpoints, config.api_key_env, out);
  }
  look_at_disk(run_folder_of(recipe), out);
}

int doctor(const Call& call, const Schema& schema) {
  Findings findings;
  look_at_machine(findings);
  if (call.words.empty()) {
    const std::string device = look_at_device("auto", findings);
    look_at_fused(model::ModelConfig(), device, findings);
    look_at_attention(model::resolve_llama_config(model::ModelConfig(), 4096), "bfloat16", device, findings);
    look_at_sandbox(SandboxConfig(), findings);
  } else {
    const Recipe recipe = load_recipe(call, schema);
    const auto model = recipe.get<model::ModelConfig>();
    const std::string device = look_at_device(recipe.get<train::TrainConfig>().device, findings);
    const bool here = model.path.empty() || fs::exists(resolve_path(model.path) / "config.json");
    look_at_fused(model, device, findings);
    if (here)
      look_at_attention(model::resolve_llama_config(model, recipe.get<data::TokenizerConfig>().vocab_size),
                        model.dtype, device, findings);
    look_at_sandbox(recipe.get<SandboxConfig>(), findings);
    look_at_recipe(recipe, findings);
  }
  if (call.has("json"))
    std::cout << to_text(findings.json(), 1) << std::endl;
  else
    findings.print();
  std::cout.flush();
  if (findings.missing() == 0) return 0;
  throw Error(Code::incomplete, fmt::format("{} thing(s) are missing", findings.missing()),
              "the lines marked MISSING say what and where to get it");
}

}  // namespace

Verb doctor_verb() {
  return {
      "doctor",
      "[RECIPE [key=value ...]]",
      "what this machine has and lacks, alone or for a recipe: devices, backends, sandbox, weights, data, "
      "endpoints",
      {{"json", "", "the findings as JSON"}},
      false,
      doctor};
}

}  // namespace retrace::loop
