// SQLite behind two small classes. Integers, texts and blobs; every failure is one Error (io: disk full or
// held by another process; corrupt: no database, or a broken one).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace retrace {

class Statement;

class Database {
 public:
  enum class Mode {
    owned,      // made if absent; write-ahead log; held alone by this process until it is closed
    scratch,    // a new file without a journal: worth nothing until it is renamed to its place
    immutable,  // read only, by any number of processes; the file must not change meanwhile
  };
  Database(const std::filesystem::path& path, Mode mode);
  Database(Database&&) noexcept = default;
  void run(const char* sql);  // without parameters or results
  Statement prepare(const char* sql);
  const std::string& name() const { return name_; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  std::string name_;
  std::unique_ptr<sqlite3, Close> handle_;
};

// Usable while its Database lives. Parameters and columns count from 0.
class Statement {
 public:
  Statement& bind(int parameter, int64_t value);
  Statement& bind(int parameter, std::string_view bytes);  // as a blob
  bool step();                                             // true: a row is there
  void run();                                              // steps to the end, then reset
  void reset();                                            // to be bound and run again
  int64_t integer(int column) const;
  std::string bytes(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  Statement(std::string name, sqlite3_stmt* handle) : name_(std::move(name)), handle_(handle) {}
  std::string name_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

}  // namespace retrace
