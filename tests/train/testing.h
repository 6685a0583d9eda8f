// Tiny data, tiny models and whole jobs for the tests of training. A job is this test program started again:
// its hidden test case "job" runs the train verb as the binary would, alone or as one of several ranks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/process/process.h"
#include "core/recipe/recipe.h"
#include "model/llama_config.h"
#include "tests/shared.h"
#include "train/ranks/collectives.h"

namespace retrace::train::testing {

namespace fs = std::filesystem;

using tests::TempFolder;

const Schema& schema();
model::LlamaConfig tiny_config(bool tied = false);
// Samples of 32 tokens below 300 in two or three documents, the last of them sometimes padding.
void write_tiny_data(const fs::path& folder, int samples, uint64_t seed = 1);

// A folder with data/, tiny.toml and room for runs.
struct Bench {
  TempFolder temp;
  Bench();
  // Overrides that every run has: its folder, and `more`.
  std::vector<std::string> arguments(const std::string& run, const std::vector<std::string>& more) const;
  // Starts `nproc` ranks of the train verb; status and all output. No assertion of the test's: any thread may
  // call it.
  ProcessResult start(const fs::path& recipe, const std::string& run, int nproc,
                      const std::vector<std::string>& more,
                      const std::map<std::string, std::string>& environment) const;
  // The same, and it must end in time.
  ProcessResult train(const std::string& run, int nproc, const std::vector<std::string>& more = {},
                      const std::map<std::string, std::string>& environment = {}) const;
  ProcessResult train_recipe(const fs::path& recipe, const std::string& run, int nproc,
                             const std::vector<std::string>& more = {},
                             const std::map<std::string, std::string>& environment = {}) const;
  // Several trainings, one after the other, by one set of ranks; `more` of each, by run.
  using Runs = std::vector<std::pair<std::string, std::vector<std::string>>>;
  ProcessResult train_all(int nproc, const Runs& runs) const;
  fs::path run(const std::string& name) const { return temp.path() / name; }
  std::vector<double> losses(const std::string& run) const;  // one a step, checked to be 1, 2, 3, ...
  // Of the steps after `first`, checked to be first + 1, first + 2, ...
  std::vector<double> metric(const std::string& run, const char* name, int64_t first = 0) const;
  std::string root(const std::string& run) const;  // of the newest checkpoint, which must verify
};

bool contains(const ProcessResult& result, const std::string& text);
void expect_ok(const ProcessResult& result);
// The largest |a / b - 1| of two runs' values, which must be as many.
double worst_ratio(const std::vector<double>& a, const std::vector<double>& b);
// Nothing in the run's checkpoints that is neither a checkpoint nor the hint.
void expect_no_leftovers(const fs::path& run);

// One of `size` ranks that never meet: for what needs no communication.
class LonelyCollectives final : public Collectives {
 public:
  LonelyCollectives(int rank, int size) : rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::unique_ptr<Pending> start_all_gather(const at::Tensor&, const at::Tensor&) override;
  std::unique_ptr<Pending> start_reduce_scatter(const at::Tensor&, const at::Tensor&) override;
  std::unique_ptr<Pending> start_all_reduce(const at::Tensor&) override;
  std::unique_ptr<Pending> start_all_to_all(const at::Tensor&, const at::Tensor&) override;
  std::unique_ptr<Collectives> subgroup(const std::vector<int>&) override;
  std::vector<double> gather(const std::vector<double>& part) override;
  void broadcast(std::vector<double>&, int) override {}
  void barrier() override {}

 private:
  int rank_, size_;
};

}  // namespace retrace::train::testing
