// Snapshots of folders: what is kept, what is dropped and why, and that nothing outside is touched.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>

#include "tests/synth/input/input_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

TEST_CASE("a folder becomes sorted files with languages, modes and a tree hash", "[unit]") {
  TempFolder folder;
  put(folder / "pkg/b.py", "import a\n");
  put(folder / "pkg/a.py", "X = 1\n");
  put(folder / "tool", "#!/usr/bin/env python3\nprint(1)\n");
  fs::permissions(folder / "tool", fs::perms::owner_all);
  put(folder / "README.md", "# Thing\n");
  put(folder / "core.h", "int f(void);\n");
  Snapshot snapshot = take_snapshot(folder.path().string(), {});
  REQUIRE(paths_of(snapshot) ==
          std::vector<std::string>{"README.md", "core.h", "pkg/a.py", "pkg/b.py", "tool"});
  REQUIRE(snapshot.kind == "folder");
  REQUIRE(snapshot.origin == folder.path().filename().string());
  REQUIRE(snapshot.revision.empty());
  REQUIRE(file_of(snapshot, "tool")->language == "python");
  REQUIRE(file_of(snapshot, "tool")->mode == 0755);
  REQUIRE(file_of(snapshot, "pkg/a.py")->mode == 0644);
  REQUIRE(file_of(snapshot, "core.h")->language == "c");
  REQUIRE(snapshot.bytes_by_language.at("python") == 9 + 6 + 32);
  REQUIRE(snapshot.bytes_by_language.at("text") == 8);
  REQUIRE(snapshot.tree_hash.size() == 64);
  REQUIRE(take_snapshot(folder.path().string() + "/", {}).tree_hash == snapshot.tree_hash);

  SECTION("a header is C++ once the tree has C++ sources") {
    put(folder / "core.cpp", "int g();\n");
    REQUIRE(file_of(take_snapshot(folder.path().string(), {}), "core.h")->language == "cpp");
  }
  SECTION("the tree hash sees content, mode and path") {
    fs::permissions(folder / "tool", fs::perms::owner_read);
    const std::string other_mode = take_snapshot(folder.path().string(), {}).tree_hash;
    REQUIRE(other_mode != snapshot.tree_hash);
    fs::rename(folder / "core.h", folder / "core2.h");
    REQUIRE(take_snapshot(folder.path().string(), {}).tree_hash != other_mode);
  }
}

TEST_CASE("nothing outside a folder is opened, and links and devices are counted", "[unit]") {
  TempFolder folder, outside;
  put(outside / "secret.py", "SECRET = 1\n");
  put(folder / "a.py", "X = 1\n");
  fs::create_symlink(outside / "secret.py", folder / "link.py");
  fs::create_directory_symlink(outside.path(), folder / "linked");
  fs::create_symlink("a.py", folder / "inner.py");
  REQUIRE(::mkfifo((folder / "pipe.py").c_str(), 0600) == 0);
  Canary canary(outside.path());
  const Snapshot snapshot = take_snapshot(folder.path().string(), {});
  REQUIRE(canary.n_accesses() == 0);
  REQUIRE(paths_of(snapshot) == std::vector<std::string>{"a.py"});
  REQUIRE(reason_of(snapshot, "link.py") == "symlink");
  REQUIRE(reason_of(snapshot, "linked") == "symlink");
  REQUIRE(reason_of(snapshot, "inner.py") == "symlink");
  REQUIRE(reason_of(snapshot, "pipe.py") == "special_file");
  REQUIRE(fs::exists(outside / "secret.py"));
}

TEST_CASE("folders of version control, hidden files and unsafe names are dropped with their reason",
          "[unit]") {
  TempFolder folder;
  put(folder / "a.py", "X = 1\n");
  put(folder / ".hg/store", "x\n");
  put(folder / "sub/.svn/entries", "x\n");
  put(folder / "CVS/Root", "x\n");
  put(folder / ".github/ci.yml", "x: 1\n");
  put(folder / "back\\slash.py", "X = 1\n");
  put(folder / "new\nline.py", "X = 1\n");
  put(folder / "latin\xe9.py", "X = 1\n");
  put(folder / "jane@example.com/x.py", "X = 1\n");
  put(folder / "Twin.py", "X = 1\n");
  put(folder / "twin.py", "X = 2\n");
  const Snapshot snapshot = take_snapshot(folder.path().string(), {});
  REQUIRE(paths_of(snapshot) == std::vector<std::string>{"Twin.py", "a.py"});
  REQUIRE(reason_of(snapshot, ".hg") == "vcs");
  REQUIRE(reason_of(snapshot, "sub/.svn") == "vcs");
  REQUIRE(reason_of(snapshot, "CVS") == "vcs");
  REQUIRE(reason_of(snapshot, ".github") == "hidden");
  REQUIRE(reason_of(snapshot, "back\\x5cslash.py") == "unsafe_path");
  REQUIRE(reason_of(snapshot, "new\\x0aline.py") == "unsafe_path");
  REQUIRE(reason_of(snapshot, "latin\\xe9.py") == "unsafe_path");
  REQUIRE(reason_of(snapshot, "<EMAIL>/x.py") == "secret_in_path");
  REQUIRE(reason_of(snapshot, "twin.py") == "case_twin");
}

TEST_CASE("a sparse file of 8 GiB is refused by its size alone", "[unit]") {
  TempFolder folder;
  put(folder / "a.py", "X = 1\n");
  put(folder / "huge.py", "Y = 1\n");
  fs::resize_file(folder / "huge.py", uint64_t{8} << 30);
  REQUIRE(reason_of(take_snapshot(folder.path().string(), {}), "huge.py") == "too_large");
}

TEST_CASE("bad folders are one clear error each", "[unit]") {
  TempFolder folder;
  auto code_of = [&](const std::string& source) {
    const Error error = error_of([&] { take_snapshot(source, {}); });
    REQUIRE(!error.hint().empty());
    return error.code();
  };
  REQUIRE(code_of((folder / "missing").string()) == Code::input);
  REQUIRE(code_of(folder.path().string()) == Code::input);  // empty
  put(folder / "x/picture.png", "\x89PNG\n");
  REQUIRE(code_of((folder / "x").string()) == Code::input);  // nothing is left
  REQUIRE(error_of([&] { take_snapshot((folder / "x").string(), {}); }).message().find("1 binary") !=
          std::string::npos);
  put(folder / "note.txt", "hello\n");
  REQUIRE(code_of((folder / "note.txt").string()) == Code::input);  // neither folder nor archive
  put(folder / "y/a.py", "X = 1\n");
  REQUIRE(error_of([&] { take_snapshot((folder / "y").string() + "@main", {}); }).code() == Code::input);
}

TEST_CASE("limits on entries and on the whole repository", "[unit]") {
  TempFolder folder;
  for (int i = 0; i < 20; ++i) put(folder / ("f" + std::to_string(i) + ".py"), std::string(1000, '#') + "\n");
  SnapshotOptions few;
  few.max_entries = 10;
  REQUIRE(error_of([&] { take_snapshot(folder.path().string(), few); }).code() == Code::input);
  SnapshotOptions small;
  small.max_repository_bytes = 5000;
  REQUIRE(error_of([&] { take_snapshot(folder.path().string(), small); }).code() == Code::input);
  REQUIRE(take_snapshot(folder.path().string(), {}).files.size() == 20);
}

TEST_CASE("list_repositories: one repository, a folder of them, or an error", "[unit]") {
  TempFolder folder;
  REQUIRE(error_of([&] { list_repositories(folder.path().string()); }).code() == Code::input);
  put(folder / "many/b/x.py", "X = 1\n");
  put(folder / "many/a/y.py", "X = 1\n");
  put(folder / "many/c.tar.gz", "not looked into");
  put(folder / "many/README.md", "a collection\n");
  put(folder / "many/c.dsc", "not an archive");
  put(folder / "many/.hidden/z.py", "X = 1\n");
  const std::string many = (folder / "many").string();
  REQUIRE(list_repositories(many) == std::vector<std::string>{many + "/a", many + "/b", many + "/c.tar.gz"});
  REQUIRE(list_repositories(many + "/c.tar.gz") == std::vector<std::string>{many + "/c.tar.gz"});
  put(folder / "one/setup.cfg", "[metadata]\n");
  put(folder / "one/src/x.py", "X = 1\n");
  REQUIRE(list_repositories((folder / "one").string()).size() == 1);
  put(folder / "many/top.py", "X = 1\n");
  REQUIRE(list_repositories(many) == std::vector<std::string>{many});
  REQUIRE(error_of([&] { list_repositories((folder / "nowhere").string()); }).code() == Code::input);
  REQUIRE(error_of([&] { list_repositories(many + "/README.md"); }).code() == Code::input);
  put(folder / "list.txt", "# two\nmany/b\n\nmany/a\r\nmany/b\n");
  REQUIRE(list_repositories((folder / "list.txt").string()) ==
          std::vector<std::string>{many + "/a", many + "/b"});
  put(folder / "list.txt", "many/b\nmany/missing\n");
  REQUIRE(error_of([&] { list_repositories((folder / "list.txt").string()); }).where().find("list.txt:2") !=
          std::string::npos);
}
