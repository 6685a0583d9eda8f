#include "synth/ledger_db.h"

#include <sqlite3.h>

#include "core/error.h"
#include "core/files.h"

namespace retrace::synth {

Statement::Statement(Database& database, const char* sql) : database_(database) {
  if (sqlite3_prepare_v2(database_.handle(), sql, -1, &statement_, nullptr) != SQLITE_OK) database_.fail();
}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

Statement& Statement::bind(int index, std::string_view text) {
  if (sqlite3_bind_text64(statement_, index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8) !=
      SQLITE_OK)
    database_.fail();
  return *this;
}

Statement& Statement::bind(int index, int64_t number) {
  if (sqlite3_bind_int64(statement_, index, number) != SQLITE_OK) database_.fail();
  return *this;
}

Statement& Statement::bind_bytes(int index, std::string_view bytes) {
  if (sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(), SQLITE_TRANSIENT) != SQLITE_OK)
    database_.fail();
  return *this;
}

bool Statement::step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) database_.fail();
  return false;
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

void Statement::reset() {
  sqlite3_reset(statement_);
}

std::string Statement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

int64_t Statement::number(int column) const {
  return sqlite3_column_int64(statement_, column);
}

Database::Database(const std::filesystem::path& file, Mode mode) : file_(file) {
  announce_file_operation("open", file_);
  const int flags =
      mode == Mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  if (sqlite3_open_v2(file_.c_str(), &handle_, flags, nullptr) != SQLITE_OK) {
    const std::string why = handle_ ? sqlite3_errmsg(handle_) : "out of memory";
    sqlite3_close(handle_);
    throw Error(Code::io, "the database cannot be opened: " + why, "", file_.string());
  }
  try {
    if (mode == Mode::durable)
      exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=FULL;");
    if (mode == Mode::scratch)
      exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;");
    exec("PRAGMA cache_size=-16384; PRAGMA temp_store=FILE;");
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

Database::~Database() {
  sqlite3_close(handle_);
}

void Database::exec(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

void Database::fail() const {
  const int code = sqlite3_errcode(handle_) & 0xff;
  const std::string why = sqlite3_errmsg(handle_);
  if (code == SQLITE_FULL)
    throw Error(Code::io, "no space is left for the database", "free space on the disk and run it again",
                file_.string());
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
    throw Error(Code::corrupt, "the database is damaged: " + why, "remove the file; it is made again",
                file_.string());
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
    throw Error(Code::io, "another process holds the database", "let it end, then run it again",
                file_.string());
  throw Error(Code::io, "the database failed: " + why, "", file_.string());
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.exec("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (open_) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.exec("COMMIT");
  open_ = false;
}

}  // namespace retrace::synth
