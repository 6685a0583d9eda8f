#include "core/sqlite.h"

#include <sqlite3.h>

#include "core/error.h"

namespace retrace {

namespace {

[[noreturn]] void fail_with(int code, const char* message, const std::string& name) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw Error(Code::corrupt, fmt::format("the database is broken: {}", message), "", name);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(Code::io, "the database is held by another process", "end that process, or try again later",
                  name);
    case SQLITE_FULL:
      throw Error(Code::io, "the disk is full", "free some space and try again", name);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      throw Error(Code::io, fmt::format("the database cannot be used: {}", message), "", name);
    default:
      throw Error(Code::internal, fmt::format("SQLite: {}", message), "", name);
  }
}

// A file: URI; what has a meaning there is escaped.
std::string uri(const std::filesystem::path& path) {
  std::string out = "file:";
  for (char c : path.string()) {
    if (c == '%' || c == '?' || c == '#')
      out += fmt::format("%{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + "?mode=ro&immutable=1";
}

}  // namespace

void Database::Close::operator()(sqlite3* handle) const {
  sqlite3_close_v2(handle);
}

Database::Database(const std::filesystem::path& path, Mode mode) : name_(path.filename().string()) {
  const bool reads = mode == Mode::immutable;
  const int flags =
      reads ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(reads ? uri(path).c_str() : path.c_str(), &handle, flags, nullptr);
  handle_.reset(handle);
  if (code != SQLITE_OK) fail_with(code, handle ? sqlite3_errmsg(handle) : "no memory", name_);
  sqlite3_extended_result_codes(handle, 1);
  if (mode == Mode::owned)
    run("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
  if (mode == Mode::scratch) run("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF");
}

void Database::run(const char* sql) {
  const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail_with(code, sqlite3_errmsg(handle_.get()), name_);
}

Statement Database::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(handle_.get(), sql, -1, &statement, nullptr);
  if (code != SQLITE_OK) fail_with(code, sqlite3_errmsg(handle_.get()), name_);
  return {name_, statement};
}

void Statement::Finalize::operator()(sqlite3_stmt* handle) const {
  sqlite3_finalize(handle);
}

Statement& Statement::bind(int parameter, int64_t value) {
  const int code = sqlite3_bind_int64(handle_.get(), parameter + 1, value);
  if (code != SQLITE_OK) fail_with(code, sqlite3_errstr(code), name_);
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view bytes) {
  const char* data = bytes.empty() ? "" : bytes.data();
  const int code = sqlite3_bind_blob64(handle_.get(), parameter + 1, data, bytes.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) fail_with(code, sqlite3_errstr(code), name_);
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) fail_with(code, sqlite3_errmsg(sqlite3_db_handle(handle_.get())), name_);
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

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}

std::string Statement::bytes(int column) const {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  const int size = sqlite3_column_bytes(handle_.get(), column);
  return data == nullptr ? "" : std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

}  // namespace retrace
