#include "synth/hygiene/band_index.h"

#include "core/hash.h"
#include "synth/hygiene/minhash.h"

namespace retrace::synth {

std::vector<uint64_t> band_keys(std::string_view packed, size_t bands) {
  std::vector<uint64_t> keys;
  constexpr size_t kBandBytes = kBandRows * kPackedBytes;
  for (size_t band = 0; band < bands && (band + 1) * kBandBytes <= packed.size(); ++band)
    keys.push_back(xxh3_64(packed.substr(band * kBandBytes, kBandBytes), band));
  return keys;
}

BandIndex::BandIndex(size_t bands) : bands_(bands) {}

BandIndex::BandIndex(size_t bands, Database& database) : bands_(bands) {
  database.exec("CREATE TABLE bands(band INTEGER, id INTEGER, PRIMARY KEY(band, id)) WITHOUT ROWID;");
  add_ = std::make_unique<Statement>(database, "INSERT OR IGNORE INTO bands VALUES(?, ?)");
  find_ = std::make_unique<Statement>(database, "SELECT id FROM bands WHERE band = ?");
}

void BandIndex::add(int64_t id, const std::string& signature) {
  for (const uint64_t key : band_keys(signature, bands_)) {
    if (add_)
      add_->bind(1, static_cast<int64_t>(key)).bind(2, id).run();
    else
      in_memory_[key].push_back(id);
  }
}

std::set<int64_t> BandIndex::sharing(const std::string& signature) {
  std::set<int64_t> ids;
  for (const uint64_t key : band_keys(signature, bands_)) {
    if (!find_) {
      if (const auto found = in_memory_.find(key); found != in_memory_.end())
        ids.insert(found->second.begin(), found->second.end());
      continue;
    }
    find_->bind(1, static_cast<int64_t>(key));
    while (find_->step()) ids.insert(find_->number(0));
    find_->reset();
  }
  return ids;
}

}  // namespace retrace::synth
