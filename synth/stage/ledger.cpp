#include "synth/stage/ledger.h"

#include "core/error.h"
#include "core/files/files.h"
#include "core/files/sqlite.h"

namespace retrace::synth {

namespace {

constexpr const char* kVersion = "1";
constexpr int64_t kChangesPerCommit = 2048;
constexpr int64_t kRowsPerChunk = 512;

}  // namespace

struct Ledger::State {
  explicit State(const std::filesystem::path& file) : db(file, Database::Mode::journal) {
    db.exec(
        "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS sources(source TEXT PRIMARY KEY, place TEXT NOT NULL,"
        " file TEXT NOT NULL, at INTEGER NOT NULL, size_bytes INTEGER NOT NULL, stamp TEXT NOT NULL,"
        " state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', tree TEXT NOT NULL DEFAULT '',"
        " facts TEXT NOT NULL DEFAULT '', signature BLOB, listing INTEGER NOT NULL);"
        "CREATE TABLE IF NOT EXISTS files(source TEXT PRIMARY KEY, facts TEXT NOT NULL, duplicates TEXT NOT "
        "NULL DEFAULT '');"
        "CREATE INDEX IF NOT EXISTS by_place ON sources(place);");
  }

  std::string meta(const char* key) {
    Statement get(db, "SELECT value FROM meta WHERE key = ?");
    get.bind(1, std::string_view(key));
    return get.step() ? get.text(0) : "";
  }

  void set_meta(const char* key, std::string_view value) {
    Statement put(db, "INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value");
    put.bind(1, std::string_view(key)).bind(2, value).run();
  }

  void changed(bool results_too = true) {
    if (results_too && !dirty) set_meta("judged", "");
    dirty = dirty || results_too;
    if (++changes >= kChangesPerCommit) commit();
  }

  void begin() {
    if (!transaction) transaction = std::make_unique<Transaction>(db);
  }

  void commit() {
    if (transaction) {
      announce_file_operation("fsync", "ledger");
      transaction->commit();
    }
    transaction.reset();
    changes = 0;
  }

  Database db;
  std::unique_ptr<Transaction> transaction;
  std::unique_ptr<Statement> find, insert, update;
  int64_t changes = 0, listing = 0;
  bool dirty = false;
};

Ledger::Ledger(const std::filesystem::path& file, const std::string& basis) {
  make_folders(file.parent_path());
  state_ = std::make_unique<State>(file);
  State& s = *state_;
  const std::string version = s.meta("version");
  if (!version.empty() && version != kVersion)
    throw Error(Code::corrupt, "the ledger has version " + version, "remove the file; it is made again",
                file.string());
  s.begin();
  if (s.meta("basis") != basis) {
    s.set_meta("judged", "");
    s.db.exec(
        "UPDATE sources SET state = 'listed', reason = '', tree = '', facts = '', signature = NULL;"
        "DELETE FROM files;");
  }
  s.set_meta("version", kVersion);
  s.set_meta("basis", basis);
  s.commit();
}

Ledger::~Ledger() {
  try {
    flush();
  } catch (const Error&) {  // what could not be written is done again
  }
}

void Ledger::begin_listing() {
  State& s = *state_;
  s.commit();
  const std::string last = s.meta("listing");
  s.listing = last.empty() ? 1 : std::stoll(last) + 1;
  s.begin();
  s.set_meta("listing", std::to_string(s.listing));
  s.find =
      std::make_unique<Statement>(s.db, "SELECT listing, at, stamp, place FROM sources WHERE source = ?");
  s.insert = std::make_unique<Statement>(
      s.db,
      "INSERT INTO sources(place, source, file, at, size_bytes, stamp, state, listing)"
      " VALUES(?, ?, ?, ?, ?, ?, 'listed', ?) ON CONFLICT(source) DO UPDATE SET place = excluded.place,"
      " file = excluded.file, at = excluded.at, size_bytes = excluded.size_bytes, stamp = excluded.stamp,"
      " state = 'listed', reason = '', tree = '', facts = '', signature = NULL, listing = excluded.listing");
  s.update = std::make_unique<Statement>(
      s.db, "UPDATE sources SET place = ?, at = ?, size_bytes = ?, listing = ? WHERE source = ?");
}

void Ledger::add(const SourceRef& source) {
  State& s = *state_;
  s.begin();
  s.find->bind(1, source.source);
  bool same = false, is_twin = false;
  if (s.find->step()) {
    is_twin = s.find->number(0) == s.listing;
    if (is_twin && s.find->number(1) != source.at)
      throw Error(Code::input, "the files of repository '" + source.source + "' do not stand together",
                  "sort the file by repository; scripts/parquet-to-jsonl writes it so", source.file);
    same = !source.stamp.empty() && s.find->text(2) == source.stamp;
  }
  s.find->reset();
  if (is_twin) return;
  if (same)
    s.update->bind(1, source.place)
        .bind(2, source.at)
        .bind(3, source.size_bytes)
        .bind(4, s.listing)
        .bind(5, source.source)
        .run();
  else
    s.insert->bind(1, source.place)
        .bind(2, source.source)
        .bind(3, source.file)
        .bind(4, source.at)
        .bind(5, source.size_bytes)
        .bind(6, source.stamp)
        .bind(7, s.listing)
        .run();
  s.changed(!same);
}

void Ledger::end_listing() {
  State& s = *state_;
  s.begin();
  Statement gone(s.db, "DELETE FROM sources WHERE listing <> ? RETURNING 1");
  gone.bind(1, s.listing);
  const bool any_gone = gone.step();
  gone.run();
  if (any_gone) {
    s.db.exec("DELETE FROM files WHERE source NOT IN (SELECT source FROM sources)");
    s.changed();
  }
  s.find.reset();
  s.insert.reset();
  s.update.reset();
  s.commit();
}

void Ledger::each(const std::function<void(const LedgerRow&)>& use) {
  State& s = *state_;
  std::string last;
  std::vector<LedgerRow> rows;
  do {
    rows.clear();
    Statement select(
        s.db,
        "SELECT place, s.source, file, at, size_bytes, stamp, state, reason, tree, s.facts, signature,"
        " f.duplicates FROM sources s LEFT JOIN files f ON f.source = s.source"
        " WHERE place > ? ORDER BY place LIMIT ?");
    select.bind(1, last).bind(2, kRowsPerChunk);
    while (select.step()) {
      LedgerRow row;
      row.source = {select.text(0),   select.text(1),   select.text(2),
                    select.number(3), select.number(4), select.text(5)};
      row.state = select.text(6);
      row.reason = select.text(7);
      row.tree = select.text(8);
      const std::string read_result = select.text(9);
      if (!read_result.empty()) row.read_result = parse_json(read_result, "ledger");
      row.signature = select.text(10);
      const std::string duplicates = select.text(11);
      if (!duplicates.empty()) row.duplicates = parse_json(duplicates, "ledger");
      rows.push_back(std::move(row));
    }
    if (!rows.empty()) last = rows.back().source.place;
    select.reset();
    for (const LedgerRow& row : rows) use(row);
  } while (!rows.empty());
}

std::string Ledger::signature_of(const std::string& place) {
  Statement select(state_->db, "SELECT signature FROM sources WHERE place = ?");
  select.bind(1, place);
  return select.step() ? select.text(0) : "";
}

Json Ledger::files_of(const std::string& source) {
  Statement select(state_->db, "SELECT facts FROM files WHERE source = ?");
  select.bind(1, source);
  const std::string text = select.step() ? select.text(0) : "";
  return text.empty() ? Json() : parse_json(text, "ledger");
}

void Ledger::record(const LedgerRow& row) {
  State& s = *state_;
  s.begin();
  Statement put(
      s.db, "UPDATE sources SET state = ?, reason = ?, tree = ?, facts = ?, signature = ? WHERE place = ?");
  put.bind(1, row.state)
      .bind(2, row.reason)
      .bind(3, row.tree)
      .bind(4, row.read_result.is_null() ? std::string() : to_text(row.read_result))
      .bind_blob(5, row.signature)
      .bind(6, row.source.place)
      .run();
  Statement forget(s.db, "DELETE FROM files WHERE source = ?");
  forget.bind(1, row.source.source).run();
  if (!row.files.is_null() || !row.duplicates.is_null()) {
    Statement add(s.db, "INSERT INTO files VALUES(?, ?, ?)");
    add.bind(1, row.source.source)
        .bind(2, row.files.is_null() ? std::string() : to_text(row.files))
        .bind(3, row.duplicates.is_null() ? std::string() : to_text(row.duplicates))
        .run();
  }
  s.changed();
}

void Ledger::set_duplicates(const std::string& source, const Json& duplicates) {
  State& s = *state_;
  s.begin();
  Statement put(s.db, "UPDATE files SET duplicates = ? WHERE source = ?");
  put.bind(1, duplicates.is_null() ? std::string() : to_text(duplicates)).bind(2, source).run();
  s.changed(false);
}

void Ledger::set_state(const std::string& place, const std::string& state, const std::string& reason) {
  State& s = *state_;
  s.begin();
  Statement put(s.db, "UPDATE sources SET state = ?, reason = ? WHERE place = ?");
  put.bind(1, state).bind(2, reason).bind(3, place).run();
  s.changed(false);
}

void Ledger::replace_state(const std::string& from, const std::string& to) {
  State& s = *state_;
  s.begin();
  Statement put(s.db, "UPDATE sources SET state = ? WHERE state = ?");
  put.bind(1, to).bind(2, from).run();
  s.commit();
}

std::map<std::string, int64_t> Ledger::counts() {
  std::map<std::string, int64_t> counts;
  Statement select(state_->db, "SELECT state, count(*) FROM sources GROUP BY state");
  while (select.step()) counts[select.text(0)] = select.number(1);
  return counts;
}

bool Ledger::is_selected(const std::string& rules) {
  return state_->meta("judged") == rules;
}

void Ledger::mark_selected(const std::string& rules) {
  state_->begin();
  state_->set_meta("judged", rules);
  state_->dirty = false;
  state_->commit();
}

void Ledger::flush() {
  state_->commit();
}

std::map<std::string, int64_t> ledger_counts(const std::filesystem::path& file) {
  std::map<std::string, int64_t> counts;
  if (!std::filesystem::exists(file)) return counts;
  Database db(file, Database::Mode::read_only);
  Statement select(db, "SELECT state, reason, count(*) FROM sources GROUP BY state, reason");
  while (select.step()) {
    counts[select.text(0)] += select.number(2);
    if (!select.text(1).empty()) counts[select.text(0) + ": " + select.text(1)] += select.number(2);
  }
  return counts;
}

}  // namespace retrace::synth
