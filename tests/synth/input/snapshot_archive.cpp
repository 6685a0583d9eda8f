// Snapshots of archives, honest and hostile.
#include <catch2/catch_test_macros.hpp>

#include "tests/synth/input/input_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

TEST_CASE("every archive format gives the same tree, its single top folder stripped", "[unit]") {
  TempFolder folder;
  const std::vector<Member> members = {{"thing-1.0/setup.py", "from setuptools import setup\nsetup()\n"},
                                       {"thing-1.0/pkg/m.py", "X = 1\n"},
                                       {"thing-1.0/docs/\xe5\x8f\xaf.md", "# text\n"},
                                       {"thing-1.0/link.py", "", '2', "/etc/passwd"}};
  std::string first;
  for (const auto& [name, format] : std::vector<std::pair<std::string, std::string>>{{"a.tar", ""},
                                                                                     {"a.tar.gz", "gzip"},
                                                                                     {"a.tar.xz", "xz"},
                                                                                     {"a.tar.bz2", "bzip2"},
                                                                                     {"a.tar.zst", "zstd"},
                                                                                     {"a.zip", "zip"}}) {
    write_archive(folder / name, format, members);
    const Snapshot snapshot = take_snapshot((folder / name).string(), {});
    REQUIRE(snapshot.kind == "archive");
    REQUIRE(snapshot.origin == name);
    REQUIRE(paths_of(snapshot) == std::vector<std::string>{"docs/\xe5\x8f\xaf.md", "pkg/m.py", "setup.py"});
    REQUIRE(reason_of(snapshot, "link.py") == "symlink");
    if (first.empty()) first = snapshot.tree_hash;
    REQUIRE(snapshot.tree_hash == first);
  }
}

TEST_CASE("hostile names in a tar never become files", "[unit]") {
  TempFolder folder;
  const std::string long_name = std::string(99, 'n');
  put(folder / "x.tar", tar_bytes({{"good.py", "X = 1\n"},
                                   {"../escape.py", "X = 1\n"},
                                   {"/etc/absolute.py", "X = 1\n"},
                                   {"a/../../b.py", "X = 1\n"},
                                   {"a//b.py", "X = 1\n"},
                                   {"c:/windows.py", "X = 1\n"},
                                   {"sub/.GIT/config.py", "X = 1\n"},
                                   {".git/hooks/post-checkout", "#!/bin/sh\n"},
                                   {"git~1/x.py", "X = 1\n"},
                                   {std::string("nul\0byte.py", 11), "X = 1\n"},
                                   {"GOOD.py", "X = 2\n"},
                                   {"twice.py", "X = 1\n"},
                                   {"twice.py", "X = 2\n"},
                                   {"hard.py", "", '1', "good.py"},
                                   {"soft.py", "", '2', "../../etc/passwd"},
                                   {"pipe.py", "", '6'},
                                   {"clash", "text\n"},
                                   {"clash/inner.py", "X = 1\n"},
                                   {"./dotted.py", "X = 1\n"}}));
  const Snapshot snapshot = take_snapshot((folder / "x.tar").string(), {});
  REQUIRE(paths_of(snapshot) ==
          std::vector<std::string>{"GOOD.py", "clash/inner.py", "dotted.py", "nul", "twice.py"});
  REQUIRE(file_of(snapshot, "twice.py")->content == "X = 2\n");
  for (const char* path : {"../escape.py", "/etc/absolute.py", "a/../../b.py", "a//b.py", "c:/windows.py"})
    REQUIRE(reason_of(snapshot, path) == "unsafe_path");
  for (const char* path : {"sub/.GIT/config.py", ".git/hooks/post-checkout", "git~1/x.py"})
    REQUIRE(reason_of(snapshot, path) == "vcs");
  REQUIRE(reason_of(snapshot, "good.py") == "case_twin");
  REQUIRE(reason_of(snapshot, "twice.py") == "duplicate");
  REQUIRE(reason_of(snapshot, "hard.py") == "hardlink");
  REQUIRE(reason_of(snapshot, "soft.py") == "symlink");
  REQUIRE(reason_of(snapshot, "pipe.py") == "special_file");
  REQUIRE(reason_of(snapshot, "clash") == "path_conflict");
  REQUIRE_FALSE(fs::exists(folder.path().parent_path() / "escape.py"));
}

TEST_CASE("archive bombs are refused before they unpack", "[unit]") {
  TempFolder folder;
  SECTION("by ratio") {
    put(folder / "bomb.tar.gz",
        gzip_bytes(tar_bytes({{"a.py", "X = 1\n"}, {"zeros.py", std::string(40 << 20, '0')}})));
    REQUIRE(fs::file_size(folder / "bomb.tar.gz") < 200000);
    const Error error = error_of([&] { take_snapshot((folder / "bomb.tar.gz").string(), {}); });
    REQUIRE(error.code() == Code::input);
    REQUIRE(error.message().find("times its size") != std::string::npos);
  }
  SECTION("by claimed size") {
    put(folder / "claim.tar", tar_bytes({{"zeros.py", "0", '0', "", uint64_t{8} << 30}}));
    REQUIRE(error_of([&] { take_snapshot((folder / "claim.tar").string(), {}); }).code() == Code::input);
  }
  SECTION("by total size") {
    SnapshotOptions small;
    small.max_repository_bytes = 1000;
    std::string noise(20000, ' ');
    uint32_t state = 1;
    for (char& c : noise) c = static_cast<char>('!' + (state = state * 1664525 + 1013904223) % 90);
    put(folder / "big.tar", tar_bytes({{"a.py", noise}}));
    REQUIRE(error_of([&] { take_snapshot((folder / "big.tar").string(), small); }).code() == Code::input);
  }
  SECTION("by number of entries") {
    SnapshotOptions few;
    few.max_entries = 50;
    std::vector<Member> members(60, {"x.py", "X = 1\n"});
    put(folder / "many.tar", tar_bytes(members));
    REQUIRE(error_of([&] { take_snapshot((folder / "many.tar").string(), few); }).code() == Code::input);
  }
  SECTION("a zip that inflates") {
    write_archive(folder / "bomb.zip", "zip",
                  {{"a.py", "X = 1\n"}, {"zeros.py", std::string(40 << 20, '0')}});
    REQUIRE(error_of([&] { take_snapshot((folder / "bomb.zip").string(), {}); }).code() == Code::input);
  }
}

TEST_CASE("a member above the file limit is dropped, the rest is kept", "[unit]") {
  TempFolder folder;
  put(folder / "x.tar",
      tar_bytes({{"a.py", "X = 1\n"}, {"big.py", std::string(2 << 20, '#')}, {"b.py", "Y = 1\n"}}));
  const Snapshot snapshot = take_snapshot((folder / "x.tar").string(), {});
  REQUIRE(paths_of(snapshot) == std::vector<std::string>{"a.py", "b.py"});
  REQUIRE(reason_of(snapshot, "big.py") == "too_large");
}

TEST_CASE("broken archives are corrupt input, never a crash", "[unit]") {
  TempFolder folder;
  const std::string good =
      gzip_bytes(tar_bytes({{"a.py", std::string(5000, 'x') + "\n"}, {"b.py", "Y = 1\n"}}));
  for (size_t cut : {size_t{1}, size_t{15}, good.size() / 2}) {
    put(folder / "cut.tar.gz", good.substr(0, cut));
    const Error error = error_of([&] { take_snapshot((folder / "cut.tar.gz").string(), {}); });
    REQUIRE(error.status() == 3);
    REQUIRE(error.where().find("cut.tar.gz") != std::string::npos);
  }
  put(folder / "text.zip", "this is no zip\n");
  REQUIRE(error_of([&] { take_snapshot((folder / "text.zip").string(), {}); }).status() == 3);
  put(folder / "empty.tar", "");
  REQUIRE(error_of([&] { take_snapshot((folder / "empty.tar").string(), {}); }).status() == 3);
}
