#include "core/files/sqlite.h"

#include <sqlite3.h>

#include "core/error.h"
#include "core/files/files.h"

namespace retrace {

namespace {

// A file: URI; what has a meaning there is escaped.
std::string immutable_uri(const std::string& path) {
  std::string out = "file:";
  for (char c : path) {
    if (c == '%' || c == '?' || c == '#')
      out += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + "?mode=ro&immutable=1";
}

const char* pragmas_of(Database::Mode mode) {
  switch (mode) {
    case Database::Mode::wal:
      return "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;";
    case Database::Mode::journal:
      return "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=FULL;";
    case Database::Mode::scratch:
      return "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;";
    case Database::Mode::read_only:
    case Database::Mode::immutable:
      return "";
  }
  return "";
}

}  // namespace

void Database::Close::operator()(sqlite3* handle) const {
  sqlite3_close_v2(handle);
}

Database::Database(const fs::path& file, Mode mode) : file_(file.string()) {
  if (mode == Mode::scratch) remove_file(file);
  announce_file_operation("open", file);
  const bool reads = mode == Mode::read_only || mode == Mode::immutable;
  const int flags =
      reads ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const std::string name = mode == Mode::immutable ? immutable_uri(file_) : file_;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags, nullptr);
  handle_.reset(handle);
  if (code != SQLITE_OK) fail(code);
  sqlite3_extended_result_codes(handle, 1);
  exec(pragmas_of(mode));
  exec("PRAGMA cache_size=-16384; PRAGMA temp_store=FILE;");
}

void Database::exec(const char* sql) {
  const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

void Database::fail(int code) const {
  const std::string why = handle_ ? sqlite3_errmsg(handle_.get()) : "out of memory";
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw Error(Code::corrupt, "the database is damaged: " + why, "remove the file; it is made again",
                  file_);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(Code::io, "another process holds the database", "let it end, then run it again", file_);
    case SQLITE_FULL:
      throw Error(Code::io, "no space is left for the database", "free space on the disk and run it again",
                  file_);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      throw Error(Code::io, "the database cannot be used: " + why, "", file_);
    default:
      throw Error(Code::internal, "SQLite: " + why, "", file_);
  }
}

void Statement::Finalize::operator()(sqlite3_stmt* handle) const {
  sqlite3_finalize(handle);
}

Statement::Statement(Database& database, const char* sql) : database_(&database) {
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v2(database.handle(), sql, -1, &handle, nullptr);
  if (code != SQLITE_OK) database.fail(code);
  handle_.reset(handle);
}

Statement& Statement::bind(int parameter, int64_t number) {
  const int code = sqlite3_bind_int64(handle_.get(), parameter, number);
  if (code != SQLITE_OK) database_->fail(code);
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  const char* data = text.empty() ? "" : text.data();
  const int code =
      sqlite3_bind_text64(handle_.get(), parameter, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) database_->fail(code);
  return *this;
}

Statement& Statement::bind_blob(int parameter, std::string_view bytes) {
  const char* data = bytes.empty() ? "" : bytes.data();
  const int code = sqlite3_bind_blob64(handle_.get(), parameter, data, bytes.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) database_->fail(code);
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_->fail(code);
  return false;
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

void Statement::reset() {
  sqlite3_reset(handle_.get());
  sqlite3_clear_bindings(handle_.get());
}

int64_t Statement::number(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}

std::string Statement::text(int column) const {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  const int size = sqlite3_column_bytes(handle_.get(), column);
  return data == nullptr ? "" : std::string(static_cast<const char*>(data), static_cast<size_t>(size));
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

}  // namespace retrace
