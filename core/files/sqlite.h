// SQLite behind three small types. Every failure is one Error: io (status 75) where the disk is full, fails
// or another process holds the file; corrupt where the file is no database or a damaged one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace retrace {

class Database {
 public:
  enum class Mode {
    wal,        // read and written by this process alone; write-ahead log, fsync at each commit
    journal,    // the same with a rollback journal: also where shared memory is not to be trusted (network
                // folders)
    scratch,    // a new file, an old one goes; no journal, no fsync: for what can be made again
    read_only,  // never written; another process may be writing
    immutable,  // never written, never locked; the file must not change meanwhile
  };
  // Makes the file where it is absent, unless the mode only reads.
  Database(const std::filesystem::path& file, Mode mode);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  void exec(const char* sql);  // without parameters and results; several statements may follow one another
  sqlite3* handle() const { return handle_.get(); }
  [[noreturn]] void fail(int code) const;  // the Error of a result code of SQLite

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  std::string file_;
  std::unique_ptr<sqlite3, Close> handle_;
};

// A prepared statement, usable while its Database lives. Parameters count from 1 and columns from 0, as in
// SQLite.
class Statement {
 public:
  Statement(Database& database, const char* sql);
  Statement& bind(int parameter, int64_t number);
  Statement& bind(int parameter, std::string_view text);
  Statement& bind_blob(int parameter, std::string_view bytes);
  bool step();  // true while there is a row
  void run();   // to its end, then reset()
  void reset();
  int64_t number(int column) const;
  std::string text(int column) const;  // the bytes of a text or a blob

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

// Rolls back unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace retrace
