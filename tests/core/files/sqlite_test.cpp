// The SQLite wrapper: who may open a file beside whom, what survives, and what a broken file is.
#include "core/files/sqlite.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "tests/shared.h"

using namespace retrace;
using namespace retrace::tests;

TEST_CASE("sqlite: owned files survive, are held alone; immutable ones are read by all", "[unit]") {
  const TempFolder folder;
  const auto path = folder.path() / "a?b#c%.db";
  {
    Database db(path, Database::Mode::wal);
    db.exec("CREATE TABLE t (k BLOB PRIMARY KEY, v INTEGER)");
    Statement put(db, "INSERT INTO t VALUES (?, ?)");
    for (int64_t i = 0; i < 3; ++i)
      put.bind_blob(1, std::string("k\0x", 3) + std::to_string(i)).bind(2, i).run();
    try {
      Database other(path, Database::Mode::wal);
      other.exec("CREATE TABLE u (k)");
      FAIL("two owners");
    } catch (const Error& error) {
      REQUIRE(error.code() == Code::io);
    }
  }
  REQUIRE_FALSE(std::filesystem::exists(path.string() + "-wal"));
  Database one(path, Database::Mode::immutable), two(path, Database::Mode::immutable);
  Statement get(two, "SELECT k, v FROM t ORDER BY v DESC");
  REQUIRE(get.step());
  REQUIRE(get.text(0) == std::string("k\0x2", 4));
  REQUIRE(get.number(1) == 2);
  REQUIRE_THROWS_AS(one.exec("DELETE FROM t"), Error);
}

TEST_CASE("sqlite: a file that is no database is corrupt", "[unit]") {
  const TempFolder folder;
  const auto path = folder.path() / "x.db";
  FILE* file = fopen(path.c_str(), "w");
  fputs(std::string(5000, 'x').c_str(), file);
  fclose(file);
  try {
    Database(path, Database::Mode::immutable).exec("SELECT * FROM sqlite_master");
    FAIL("accepted");
  } catch (const Error& error) {
    REQUIRE(error.code() == Code::corrupt);
  }
}

TEST_CASE("sqlite: a transaction that is not committed leaves nothing, in either journal mode", "[unit]") {
  const TempFolder folder;
  for (const auto mode : {Database::Mode::wal, Database::Mode::journal}) {
    const auto path = folder.path() / (mode == Database::Mode::wal ? "wal.db" : "journal.db");
    Database db(path, mode);
    db.exec("CREATE TABLE t (name TEXT, data BLOB)");
    {
      const Transaction transaction(db);
      Statement(db, "INSERT INTO t VALUES (?, ?)").bind(1, "lost").bind_blob(2, "x").run();
    }
    {
      Transaction transaction(db);
      Statement(db, "INSERT INTO t VALUES (?, ?)").bind(1, "kept").bind_blob(2, std::string(1, '\0')).run();
      transaction.commit();
    }
    Statement rows(db, "SELECT name, data, typeof(name), typeof(data) FROM t");
    REQUIRE(rows.step());
    REQUIRE((rows.text(0) == "kept" && rows.text(1) == std::string(1, '\0')));
    REQUIRE((rows.text(2) == "text" && rows.text(3) == "blob"));
    REQUIRE_FALSE(rows.step());
  }
}

TEST_CASE("sqlite: a scratch database begins anew, whatever its file held", "[unit]") {
  const TempFolder folder;
  const auto path = folder.path() / "scratch.db";
  { Database(path, Database::Mode::scratch).exec("CREATE TABLE t (x)"); }
  Database again(path, Database::Mode::scratch);
  again.exec("CREATE TABLE t (x)");  // an error if the old one were there
  Statement rows(again, "SELECT count(*) FROM t");
  REQUIRE(rows.step());
  REQUIRE(rows.number(0) == 0);
}
