// Recipe sections [tokenizer] and [data].
#pragma once

#include "core/recipe/recipe.h"
#include "data/document.h"
#include "data/mixture/mixture.h"

namespace retrace::data {

struct TokenizerConfig {
  static constexpr const char* kSection = "tokenizer";
  static constexpr const char* kAbout = "Tokenizer: a file or folder, or one trained on the first slice";
  std::string path = "", type = "bpe";
  int64_t vocab_size = 4096;
  std::vector<std::string> special = {"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                                      "<|end_header_id|>", "<|eot_id|>",      "<|pad|>"};
  static auto fields();
};

struct DataConfig {
  static constexpr const char* kSection = "data";
  static constexpr const char* kAbout = "Packing and mixing";
  int64_t seq_len = 65536, shard_mib = 64;
  bool zstd = true, add_bos = true, add_eos = true;
  double trajectories = 1;
  std::map<std::string, double> loss_weights = default_loss_weights();
  std::vector<std::string> mds_folders, mds_names, text_sources, text_names;
  std::vector<double> mds_weights, text_weights;
  static auto fields();
};

// The data sets of data.mds_folders with their names and weights, and the texts of data.text_sources likewise
// (`folder` is the source; text_domain.h makes the data set). Error{recipe} if three lists that belong
// together differ in length, or a name stands twice.
std::vector<MixtureDomain> extra_domains(const DataConfig& config);
std::vector<MixtureDomain> text_domains(const DataConfig& config);

// The id that fills up samples: <|pad|> or <pad>, else the end-of-text token, else 0. It never carries loss.
TokenId pad_token(const Tokenizer& tokenizer);

}  // namespace retrace::data

namespace retrace {
extern template data::TokenizerConfig Recipe::get<data::TokenizerConfig>() const;
extern template Section describe<data::TokenizerConfig>();
extern template data::DataConfig Recipe::get<data::DataConfig>() const;
extern template Section describe<data::DataConfig>();
}  // namespace retrace
