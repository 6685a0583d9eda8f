// Initial weights, a pure function of (seed, name, element): any range at any rank count gives the same
// values.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/hash.h"
#include "core/random.h"
#include "model/files/weights.h"

namespace retrace::model {

namespace {

bool is_norm(const ParameterSpec& spec) {
  return spec.shape.size() == 1;
}

class RandomWeights : public WeightSource {
 public:
  RandomWeights(const LlamaConfig& config, uint64_t seed, double std)
      : seed_(seed), std_(std), shape_(to_text(to_hf_json(config, "float32"))) {}

  void read(const ParameterSpec& spec, int64_t begin, int64_t end, float* out) const override {
    ensure(begin >= 0 && begin <= end && end <= spec.size(), "a range of elements lies inside its tensor");
    if (is_norm(spec)) {
      std::fill(out, out + (end - begin), 1.0f);
      return;
    }
    const uint64_t stream = stream_id(spec.name);
    for (int64_t pair = begin / 2; pair * 2 < end; ++pair) {  // Box-Muller gives two values a pair of draws
      const uint64_t at = static_cast<uint64_t>(pair) * 2;
      const double radius = std_ * std::sqrt(-2 * std::log(1 - uniform(stream, at)));
      const double angle = 2 * std::numbers::pi * uniform(stream, at + 1);
      if (pair * 2 >= begin) out[pair * 2 - begin] = static_cast<float>(radius * std::cos(angle));
      if (pair * 2 + 1 < end) out[pair * 2 + 1 - begin] = static_cast<float>(radius * std::sin(angle));
    }
  }

  std::string fingerprint() const override {
    return sha256_hex(fmt::format("random weights, seed {}, std {}, shape {}", seed_, std_, shape_));
  }

 private:
  double uniform(uint64_t stream, uint64_t index) const {
    return static_cast<double>(random_u64(seed_, stream, index) >> 11) * 0x1.0p-53;
  }
  uint64_t seed_;
  double std_;
  std::string shape_;
};

}  // namespace

std::unique_ptr<WeightSource> random_weights(const LlamaConfig& config, uint64_t seed, double std) {
  return std::make_unique<RandomWeights>(config, seed, std);
}

}  // namespace retrace::model
