// Snapshots of git repositories, built here object by object so that they may break git's own rules.
#include <git2.h>

#include <catch2/catch_test_macros.hpp>

#include "tests/synth/input/input_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::testing;

namespace {

class Repository {
 public:
  explicit Repository(const fs::path& folder, bool bare = false) : git_(bare ? folder : folder / ".git") {
    git_libgit2_init();
    fs::create_directories(git_ / "objects/pack");
    fs::create_directories(git_ / "refs/heads");
    put(git_ / "HEAD", "ref: refs/heads/main\n");
    put(git_ / "config", "[this is no configuration\n");  // must never be read
    REQUIRE(git_odb_new(&odb_) == 0);
    git_odb_backend* loose = nullptr;
    REQUIRE(git_odb_backend_loose(&loose, (git_ / "objects").c_str(), -1, 0, 0, 0) == 0);
    REQUIRE(git_odb_add_backend(odb_, loose, 1) == 0);
  }
  ~Repository() { git_odb_free(odb_); }
  Repository(const Repository&) = delete;
  Repository& operator=(const Repository&) = delete;

  std::string write(const std::string& bytes, git_object_t type) {
    git_oid id;
    REQUIRE(git_odb_write(&id, odb_, bytes.data(), bytes.size(), type) == 0);
    return git_oid_tostr_s(&id);
  }
  std::string blob(const std::string& bytes) { return write(bytes, GIT_OBJECT_BLOB); }
  // Lines "mode name id", written as they are: no sorting, no checking.
  std::string tree(const std::vector<std::vector<std::string>>& entries) {
    std::string bytes;
    for (const auto& entry : entries) {
      git_oid id;
      REQUIRE(git_oid_fromstr(&id, entry[2].c_str()) == 0);
      bytes += entry[0] + " " + entry[1] + std::string(1, '\0');
      bytes.append(reinterpret_cast<const char*>(id.id), 20);
    }
    return write(bytes, GIT_OBJECT_TREE);
  }
  std::string commit(const std::string& tree, const std::string& branch = "main") {
    const std::string id = write("tree " + tree +
                                     "\nauthor A <a@example.com> 1700000000 +0100\n"
                                     "committer A <a@example.com> 1700000000 +0100\n\nmessage\n",
                                 GIT_OBJECT_COMMIT);
    put(git_ / "refs/heads" / branch, id + "\n");
    return id;
  }
  const fs::path& git() const { return git_; }

 private:
  fs::path git_;
  git_odb* odb_ = nullptr;
};

std::string plain_tree(Repository& repository, const std::string& content) {
  return repository.tree({{"100644", "a.py", repository.blob(content)}});
}

}  // namespace

TEST_CASE("a git repository is read from its objects, whatever lies in the working tree", "[unit]") {
  TempFolder folder;
  Repository repository(folder.path());
  const std::string inner = repository.tree({{"100755", "run.py", repository.blob("print(1)\n")}});
  const std::string commit =
      repository.commit(repository.tree({{"100644", "a.py", repository.blob("X = 1\n")},
                                         {"120000", "link.py", repository.blob("/etc/passwd")},
                                         {"160000", "module", std::string(40, '1')},
                                         {"40000", "tools", inner}}));
  put(folder / "a.py", "X = 'uncommitted'\n");
  put(folder / "untracked.py", "X = 1\n");
  put(repository.git() / "hooks/post-checkout", "#!/bin/sh\ntouch ran\n");
  const Snapshot snapshot = take_snapshot(folder.path().string(), {});
  REQUIRE(snapshot.kind == "git");
  REQUIRE(snapshot.revision == commit);
  REQUIRE(snapshot.date == "2023-11-14T22:13:20Z");
  REQUIRE(paths_of(snapshot) == std::vector<std::string>{"a.py", "tools/run.py"});
  REQUIRE(file_of(snapshot, "a.py")->content == "X = 1\n");
  REQUIRE(file_of(snapshot, "tools/run.py")->mode == 0755);
  REQUIRE(reason_of(snapshot, "link.py") == "symlink");
  REQUIRE(reason_of(snapshot, "module") == "submodule");
  REQUIRE(list_repositories(folder.path().string()).size() == 1);
}

TEST_CASE("hostile names in a git tree never become files", "[unit]") {
  TempFolder folder;
  Repository repository(folder.path(), true);
  const std::string blob = repository.blob("X = 1\n");
  const std::string inner = repository.tree({{"100644", "config.py", blob}});
  repository.commit(repository.tree({{"100644", "..", blob},
                                     {"40000", "../up", inner},
                                     {"100644", "/abs.py", blob},
                                     {"40000", ".GIT", inner},
                                     {"40000", ".g\xe2\x80\x8cit", inner},  // a zero-width non-joiner inside
                                     {"40000", "GIT~1", inner},
                                     {"100644", std::string(4000, 'n') + ".py", blob},
                                     {"100644", "Twin.py", blob},
                                     {"100644", "twin.py", blob},
                                     {"100644", "a/b.py", blob},
                                     {"100644", "both", blob},
                                     {"40000", "both", inner},
                                     {"100644", "ok.py", blob}}));
  const Snapshot snapshot = take_snapshot(folder.path().string(), {});
  REQUIRE(paths_of(snapshot) == std::vector<std::string>{"Twin.py", "a/b.py", "both/config.py", "ok.py"});
  REQUIRE(reason_of(snapshot, "..") == "unsafe_path");
  REQUIRE(reason_of(snapshot, "../up") == "unsafe_path");
  REQUIRE(reason_of(snapshot, "/abs.py") == "unsafe_path");
  REQUIRE(reason_of(snapshot, ".GIT") == "vcs");
  REQUIRE(reason_of(snapshot, ".g\xe2\x80\x8cit") == "vcs");
  REQUIRE(reason_of(snapshot, "GIT~1") == "vcs");
  REQUIRE(reason_of(snapshot, "twin.py") == "case_twin");
  REQUIRE(reason_of(snapshot, "both") == "path_conflict");
  bool long_name = false;
  for (const auto& dropped : snapshot.dropped) long_name |= dropped.reason == "path_too_long";
  REQUIRE(long_name);
}

TEST_CASE("a tree that contains itself many times over is refused", "[unit]") {
  TempFolder folder;
  Repository repository(folder.path());
  std::string tree = repository.tree({{"100644", "a.py", repository.blob("X = 1\n")}});
  for (int depth = 0; depth < 12; ++depth) {
    std::vector<std::vector<std::string>> entries;
    for (char name = 'a'; name <= 'j'; ++name) entries.push_back({"40000", std::string(1, name), tree});
    tree = repository.tree(entries);
  }
  repository.commit(tree);  // 10^12 files
  SnapshotOptions options;
  options.max_entries = 20000;
  REQUIRE(error_of([&] { take_snapshot(folder.path().string(), options); }).code() == Code::input);
}

TEST_CASE("folders nested deeper than 64 are counted, not followed", "[unit]") {
  TempFolder folder;
  Repository repository(folder.path());
  std::string tree = repository.tree({{"100644", "deep.py", repository.blob("X = 1\n")}});
  for (int depth = 0; depth < 300; ++depth) tree = repository.tree({{"40000", "d", tree}});
  tree = repository.tree({{"100644", "a.py", repository.blob("X = 1\n")}, {"40000", "d", tree}});
  repository.commit(tree);
  const Snapshot snapshot = take_snapshot(folder.path().string(), {});
  REQUIRE(paths_of(snapshot) == std::vector<std::string>{"a.py"});
  REQUIRE(snapshot.dropped.size() == 1);
  REQUIRE(snapshot.dropped[0].reason == "too_deep");
}

TEST_CASE("a large blob is refused by its header", "[unit]") {
  TempFolder folder;
  Repository repository(folder.path());
  repository.commit(repository.tree({{"100644", "a.py", repository.blob("X = 1\n")},
                                     {"100644", "big.py", repository.blob(std::string(64 << 20, '#'))}}));
  REQUIRE(reason_of(take_snapshot(folder.path().string(), {}), "big.py") == "too_large");
}

TEST_CASE("revisions: branch, tag, packed ref, abbreviated id", "[unit]") {
  TempFolder folder;
  Repository repository(folder.path());
  const std::string old = repository.commit(plain_tree(repository, "X = 'old'\n"), "old/branch");
  const std::string now = repository.commit(plain_tree(repository, "X = 'now'\n"));
  const std::string tag = repository.write(
      "object " + old + "\ntype commit\ntag v1\ntagger A <a@example.com> 1700000000 +0000\n\nold\n",
      GIT_OBJECT_TAG);
  put(repository.git() / "packed-refs", "# pack-refs with: peeled\n" + tag + " refs/tags/v1\n^" + old + "\n");
  auto at = [&](const std::string& revision) {
    return take_snapshot(folder.path().string() + "@" + revision, {}).revision;
  };
  REQUIRE(take_snapshot(folder.path().string(), {}).revision == now);
  REQUIRE(at("old/branch") == old);
  REQUIRE(at("main") == now);
  REQUIRE(at("v1") == old);
  REQUIRE(at("refs/tags/v1") == old);
  REQUIRE(at(old) == old);
  REQUIRE(at(old.substr(0, 9)) == old);
  for (const char* wrong : {"missing", "../../etc/passwd", "0123456789abcdef", "refs/../HEAD"})
    REQUIRE(error_of([&] { at(wrong); }).code() == Code::input);
}

TEST_CASE("git folders that point elsewhere or lack objects are refused", "[unit]") {
  TempFolder folder, outside;
  SECTION("no commit yet") {
    Repository repository(folder.path());
    REQUIRE(error_of([&] { take_snapshot(folder.path().string(), {}); }).code() == Code::input);
  }
  SECTION("a .git that is a pointer or a link") {
    Repository elsewhere(outside.path());
    elsewhere.commit(plain_tree(elsewhere, "SECRET = 1\n"));
    put(folder / "a/.git", "gitdir: " + elsewhere.git().string() + "\n");
    put(folder / "a/x.py", "X = 1\n");
    fs::create_directory(folder / "b");
    fs::create_directory_symlink(elsewhere.git(), folder / "b/.git");
    Canary canary(elsewhere.git());
    for (const char* name : {"a", "b"})
      REQUIRE(error_of([&] { take_snapshot((folder / name).string(), {}); }).code() == Code::input);
    REQUIRE(canary.n_accesses() == 0);
  }
  SECTION("objects borrowed from another repository") {
    Repository elsewhere(outside.path());
    const std::string commit = elsewhere.commit(plain_tree(elsewhere, "SECRET = 1\n"));
    Repository repository(folder.path());
    put(repository.git() / "refs/heads/main", commit + "\n");
    put(repository.git() / "objects/info/alternates", (elsewhere.git() / "objects").string() + "\n");
    Canary canary(elsewhere.git() / "objects");
    const Error error = error_of([&] { take_snapshot(folder.path().string(), {}); });
    REQUIRE(error.code() == Code::input);
    REQUIRE(error.message().find("borrows") != std::string::npos);
    REQUIRE(canary.n_accesses() == 0);
  }
  SECTION("objects behind a symbolic link") {
    Repository elsewhere(outside.path());
    const std::string commit = elsewhere.commit(plain_tree(elsewhere, "SECRET = 1\n"));
    Repository repository(folder.path());
    put(repository.git() / "refs/heads/main", commit + "\n");
    fs::remove_all(repository.git() / "objects");
    fs::create_directory_symlink(elsewhere.git() / "objects", repository.git() / "objects");
    REQUIRE(error_of([&] { take_snapshot(folder.path().string(), {}); }).code() == Code::input);
  }
  SECTION("a missing blob, a broken ref, a circle of refs") {
    Repository repository(folder.path());
    repository.commit(repository.tree({{"100644", "a.py", std::string(40, '2')}}));
    REQUIRE(error_of([&] { take_snapshot(folder.path().string(), {}); }).code() == Code::corrupt);
    put(repository.git() / "HEAD", "nonsense\n");
    REQUIRE(error_of([&] { take_snapshot(folder.path().string(), {}); }).code() == Code::corrupt);
    put(repository.git() / "HEAD", "ref: HEAD\n");
    REQUIRE(error_of([&] { take_snapshot(folder.path().string(), {}); }).code() == Code::corrupt);
    put(repository.git() / "HEAD", "ref: ../../../etc/hostname\n");
    REQUIRE(error_of([&] { take_snapshot(folder.path().string(), {}); }).code() == Code::corrupt);
  }
}
