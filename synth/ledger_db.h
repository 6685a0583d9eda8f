// SQLite behind three small types. Errors become Error: a full disk or a failing one is Code::io (status 75),
// a file that is no database Code::corrupt. One process at a time opens a database for writing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace retrace::synth {

class Database;

// A prepared statement, bound from 1 and read from 0, used again after reset().
class Statement {
 public:
  Statement(Database& database, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, int64_t number);
  Statement& bind_bytes(int index, std::string_view bytes);
  bool step();  // true while there is a row
  void run();   // to its end, then reset()
  void reset();
  std::string text(int column) const;  // also of blobs
  int64_t number(int column) const;

 private:
  Database& database_;
  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  // durable: a rollback journal and fsync at each commit, safe where shared memory is not. scratch: no
  // journal and no fsync, for what can be made again. read_only: never written, never locked.
  enum class Mode { durable, scratch, read_only };
  Database(const std::filesystem::path& file, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  void exec(const char* sql);
  sqlite3* handle() const { return handle_; }
  [[noreturn]] void fail() const;

 private:
  std::filesystem::path file_;
  sqlite3* handle_ = nullptr;
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

}  // namespace retrace::synth
