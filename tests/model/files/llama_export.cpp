// The program's side of comparisons with transformers: loss, each label's nll and all gradients of a HF
// folder on a given batch, as raw fp32 files. RETRACE_GRAD_MODEL = folder, RETRACE_GRAD_BATCH = JSON {"ids",
// "labels", "weights", "starts", "recompute"}, RETRACE_GRAD_OUT = folder to fill with NAME.f32, nll.bin and
// loss.txt.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>

#include "core/files/files.h"
#include "core/json.h"
#include "model/files/weights.h"
#include "tests/model/llama_testing.h"

using namespace retrace;
using namespace retrace::model;
using namespace retrace::model::testing;

namespace {

FlatModel model_of(const fs::path& folder) {
  const LlamaConfig config = read_llama_config(folder);
  const auto source = open_hf_weights(folder, config);
  FlatModel model;
  model.config = config;
  for (const UnitSpec& spec : unit_specs(config)) {
    const UnitLayout layout = layout_of(spec);
    at::Tensor flat = at::zeros({layout.size});
    for (size_t p = 0; p < layout.offsets.size(); ++p)
      source->read(spec.parameters[p], 0, spec.parameters[p].size(),
                   flat.data_ptr<float>() + layout.offsets[p]);
    model.layouts.push_back(layout);
    model.weights.push_back(flat);
    model.gradients.push_back(at::zeros_like(flat));
  }
  return model;
}

template <class T>
at::Tensor tensor_of(const Json& json, const char* key) {
  return at::tensor(get<std::vector<T>>(json, key, "batch"));
}

}  // namespace

TEST_CASE("gradients of a HF folder, written for the comparison with transformers", "[.][job]") {
  const char* const folder = std::getenv("RETRACE_GRAD_MODEL");
  const char* const batch_file = std::getenv("RETRACE_GRAD_BATCH");
  const char* const out = std::getenv("RETRACE_GRAD_OUT");
  if (!folder || !batch_file || !out) SKIP("RETRACE_GRAD_MODEL, _BATCH and _OUT are set by tests/peers");
  const Json json = parse_json(read_file(batch_file), batch_file);
  const Batch batch = {tensor_of<int64_t>(json, "ids"),
                       tensor_of<int64_t>(json, "labels"),
                       tensor_of<float>(json, "weights"),
                       {get<std::vector<int64_t>>(json, "starts", "batch")}};
  FlatModel model = model_of(folder);
  ComputeOptions options;
  options.recompute = get<std::string>(json, "recompute", "batch");
  const auto result = train_pass(Llama(model.config, options), model, batch);
  for (const auto& [name, gradient] : model.named(model.gradients))
    write_file(fs::path(out) / (name + ".f32"),
               {static_cast<const char*>(gradient.data_ptr()), static_cast<size_t>(gradient.nbytes())});
  write_file(fs::path(out) / "nll.bin",
             {static_cast<const char*>(result.nll_t.data_ptr()), static_cast<size_t>(result.nll_t.nbytes())});
  write_file(fs::path(out) / "loss.txt", fmt::format("{:.17g}\n", result.loss_sum));
}
