#include "data/config.h"

#include "core/error.h"

namespace retrace::data {

std::vector<MixtureDomain> extra_domains(const DataConfig& config) {
  const size_t n = config.mds_folders.size();
  if (config.mds_names.size() != n || config.mds_weights.size() != n)
    throw Error(Code::recipe,
                fmt::format("data.mds_folders, mds_names and mds_weights have {}, {} and {} entries", n,
                            config.mds_names.size(), config.mds_weights.size()),
                "give one name and one weight for each folder", "data");
  std::vector<MixtureDomain> domains;
  for (size_t i = 0; i < n; ++i)
    domains.push_back({config.mds_names[i], config.mds_folders[i], config.mds_weights[i]});
  return domains;
}

TokenId pad_token(const Tokenizer& tokenizer) {
  for (const char* name : {"<|pad|>", "<pad>", "<|finetune_right_pad_id|>"})
    if (auto id = tokenizer.special(name)) return *id;
  return tokenizer.eos().value_or(0);
}

}  // namespace retrace::data
