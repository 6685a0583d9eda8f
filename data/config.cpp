#include "data/config.h"

#include "core/error.h"

namespace retrace::data {

auto TokenizerConfig::fields() {
  return std::tuple{
      field("path", &TokenizerConfig::path,
            "tokenizer.model, tokenizer.json or a folder; empty = the model's own, or train one"),
      field("type", &TokenizerConfig::type, "What to train").choices({"bpe", "sentencepiece"}),
      field("vocab_size", &TokenizerConfig::vocab_size, "Vocabulary to train, special tokens included")
          .at_least(300),
      field("special", &TokenizerConfig::special, "Special tokens of a trained vocabulary")};
}

auto DataConfig::fields() {
  return std::tuple{
      field("seq_len", &DataConfig::seq_len, "Length of a training sequence").unit("tokens").at_least(16),
      field("shard_mib", &DataConfig::shard_mib, "Size of an MDS shard").unit("MiB").range(1, 4096),
      field("zstd", &DataConfig::zstd, "Compress shards"),
      field("add_bos", &DataConfig::add_bos, "BOS in front of each document, if the tokenizer has one"),
      field("add_eos", &DataConfig::add_eos, "EOS after each document, if the tokenizer has one"),
      field("trajectories", &DataConfig::trajectories, "Mixture weight of this run's own trajectories")
          .at_least(0),
      field("loss_weights", &DataConfig::loss_weights, "Loss weight of each kind of segment"),
      field("mds_folders", &DataConfig::mds_folders, "Further MDS data sets to mix in (local folders)"),
      field("mds_names", &DataConfig::mds_names, "Their domain names, in the same order"),
      field("mds_weights", &DataConfig::mds_weights, "Their mixture weights, in the same order"),
      field("text_sources", &DataConfig::text_sources,
            "Plain text to pack and mix in: folders of text files, or .jsonl(.zst) files of {\"text\"}"),
      field("text_names", &DataConfig::text_names, "Their domain names, in the same order"),
      field("text_weights", &DataConfig::text_weights, "Their mixture weights, in the same order")};
}

namespace {

std::vector<MixtureDomain> together(const char* what, const std::vector<std::string>& places,
                                    const std::vector<std::string>& names,
                                    const std::vector<double>& weights) {
  const size_t n = places.size();
  if (names.size() != n || weights.size() != n)
    throw Error(Code::recipe,
                fmt::format("data.{}, and their names and weights, have {}, {} and {} entries", what, n,
                            names.size(), weights.size()),
                "give one name and one weight for each", "data");
  std::vector<MixtureDomain> domains;
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k)
      if (names[k] == names[i])
        throw Error(Code::recipe, fmt::format("two domains are named '{}'", names[i]), "name them apart",
                    fmt::format("data.{}", what));
    domains.push_back({names[i], places[i], weights[i]});
  }
  return domains;
}

}  // namespace

std::vector<MixtureDomain> extra_domains(const DataConfig& config) {
  return together("mds_folders", config.mds_folders, config.mds_names, config.mds_weights);
}

std::vector<MixtureDomain> text_domains(const DataConfig& config) {
  return together("text_sources", config.text_sources, config.text_names, config.text_weights);
}

TokenId pad_token(const Tokenizer& tokenizer) {
  for (const char* name : {"<|pad|>", "<pad>", "<|finetune_right_pad_id|>"})
    if (auto id = tokenizer.special(name)) return *id;
  return tokenizer.eos().value_or(0);
}

}  // namespace retrace::data

namespace retrace {
template data::TokenizerConfig Recipe::get<data::TokenizerConfig>() const;
template Section describe<data::TokenizerConfig>();
template data::DataConfig Recipe::get<data::DataConfig>() const;
template Section describe<data::DataConfig>();
}  // namespace retrace
