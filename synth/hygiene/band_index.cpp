#include "synth/hygiene/band_index.h"

#include "synth/hygiene/minhash.h"

namespace retrace::synth {

namespace {

Database& with_table(Database& db) {
  db.exec("CREATE TABLE bands(band INTEGER, id INTEGER, PRIMARY KEY(band, id)) WITHOUT ROWID;");
  return db;
}

}  // namespace

BandIndex::BandIndex(Database& db)
    : add_(with_table(db), "INSERT OR IGNORE INTO bands VALUES(?, ?)"),
      find_(db, "SELECT id FROM bands WHERE band = ?") {}

void BandIndex::add(int64_t id, const std::string& signature) {
  for (const uint64_t band : band_keys(signature)) add_.bind(1, static_cast<int64_t>(band)).bind(2, id).run();
}

std::set<int64_t> BandIndex::sharing(const std::string& signature) {
  std::set<int64_t> ids;
  for (const uint64_t band : band_keys(signature)) {
    find_.bind(1, static_cast<int64_t>(band));
    while (find_.step()) ids.insert(find_.number(0));
    find_.reset();
  }
  return ids;
}

}  // namespace retrace::synth
