// A git repository as an object database and nothing more: its configuration, hooks, index, alternates and
// working tree are never opened, so that a stranger's repository has no say in what is read or run.
#include <git2.h>
#include <git2/sys/repository.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <memory>
#include <vector>

#include "core/error.h"
#include "synth/input/beneath.h"
#include "synth/input/git_refs.h"
#include "synth/input/source.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

namespace fs = std::filesystem;
constexpr size_t kMaxTreeDepth = 64;

template <class T, void (*release)(T*)>
struct Release {
  void operator()(T* object) const { release(object); }
};
template <class T, void (*release)(T*)>
using Owned = std::unique_ptr<T, Release<T, release>>;
using OwnedRepository = Owned<git_repository, git_repository_free>;
using OwnedOdb = Owned<git_odb, git_odb_free>;
using OwnedObject = Owned<git_object, git_object_free>;
using OwnedTree = Owned<git_tree, git_tree_free>;
using OwnedBlob = Owned<git_blob, git_blob_free>;

void start_library() {
  static const int started = git_libgit2_init();
  ensure(started > 0, "libgit2 starts");
}

std::string last_git_error() {
  const git_error* error = git_error_last();
  return error != nullptr && error->message != nullptr ? error->message : "unknown error";
}

// The folder that holds HEAD, objects and refs.
fs::path git_folder_of(const fs::path& repository) {
  const fs::path inner = repository / ".git";
  const fs::file_status status = fs::symlink_status(inner);
  if (fs::is_directory(status)) return inner;
  if (fs::exists(status))
    throw Error(Code::input, ".git is a link or a pointer to another folder, which is not followed",
                "name the main repository instead, with @revision for a branch of it", repository.string());
  return repository;
}

void refuse_links(const fs::path& git_folder) {
  auto check = [&](const fs::path& path) {
    if (fs::is_symlink(fs::symlink_status(path)))
      throw Error(Code::input, "a symbolic link inside a git object database is not followed",
                  "repack the repository with its objects inside", path.string());
  };
  const fs::path objects = git_folder / "objects";
  check(objects);
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(objects, ignored)) check(entry.path());
  for (const auto& entry : fs::directory_iterator(objects / "pack", ignored)) check(entry.path());
}

std::string utc_text(git_time_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (gmtime_r(&time, &parts) == nullptr) return "";
  char text[40];
  return std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0 ? text : "";
}

class GitSource : public Source {
 public:
  GitSource(const fs::path& repository, const std::string& revision)
      : where_(repository.string()), git_folder_(git_folder_of(repository)) {
    start_library();
    refuse_links(git_folder_);
    open_objects();
    find_commit(revision);
  }

  std::string kind() const override { return "git"; }
  std::string revision() const override { return revision_; }
  std::string date() const override { return date_; }

  std::vector<SourceEntry> list(const SourceLimits& limits) override {
    entries_.clear();
    ids_.clear();
    size_t n_trees = 0;
    struct Pending {
      std::string folder;
      git_oid id;
      size_t depth;
    };
    std::vector<Pending> pending{{"", root_, 0}};
    while (!pending.empty()) {
      const Pending now = std::move(pending.back());
      pending.pop_back();
      const OwnedTree tree = look_up_tree(now.id);
      for (size_t i = 0; i < git_tree_entrycount(tree.get()); ++i) {
        const git_tree_entry* entry = git_tree_entry_byindex(tree.get(), i);
        if (entries_.size() + ++n_trees > limits.max_entries)
          throw Error(Code::input, fmt::format("more than {} entries in the tree", limits.max_entries),
                      "archive the part that is meant, and name that", where_);
        const std::string name = git_tree_entry_name(entry);
        const std::string path = now.folder.empty() ? name : now.folder + "/" + name;
        const bool is_tree = git_tree_entry_type(entry) == GIT_OBJECT_TREE;
        if (is_tree && now.depth + 1 < kMaxTreeDepth && path_problem(path).empty())
          pending.push_back({path, *git_tree_entry_id(entry), now.depth + 1});
        else
          add(path, entry, is_tree);
      }
    }
    return entries_;
  }

  void read(const std::vector<bool>& wanted, const SourceLimits& limits, const Receive& receive) override {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (!wanted[i]) continue;
      git_blob* raw = nullptr;
      if (git_blob_lookup(&raw, repository_.get(), &ids_[i]) != 0)
        throw Error(Code::corrupt, "an object cannot be read: " + last_git_error(), "run git fsck on it",
                    where_ + ": " + printable_path(entries_[i].path));
      const OwnedBlob blob(raw);
      const auto size = static_cast<uint64_t>(git_blob_rawsize(blob.get()));
      receive(i, std::string(static_cast<const char*>(git_blob_rawcontent(blob.get())),
                             static_cast<size_t>(std::min(size, limits.max_file_bytes + 1))));
    }
  }

 private:
  void open_objects() {
    const std::string objects = (git_folder_ / "objects").string();
    git_odb* odb = nullptr;
    git_odb_backend* backend = nullptr;
    if (git_odb_new(&odb) != 0) fail(Code::internal, "libgit2: {}", last_git_error());
    odb_.reset(odb);
    if (git_odb_backend_pack(&backend, objects.c_str()) != 0 || git_odb_add_backend(odb, backend, 2) != 0)
      throw Error(Code::corrupt, "the packs cannot be opened: " + last_git_error(), "", where_);
    if (git_odb_backend_loose(&backend, objects.c_str(), -1, 0, 0, 0) != 0 ||
        git_odb_add_backend(odb, backend, 1) != 0)
      throw Error(Code::corrupt, "the objects cannot be opened: " + last_git_error(), "", where_);
    git_repository* repository = nullptr;
    if (git_repository_wrap_odb(&repository, odb) != 0) fail(Code::internal, "libgit2: {}", last_git_error());
    repository_.reset(repository);
  }

  void find_commit(const std::string& revision) {
    const Descriptor folder = open_root(git_folder_.string());
    if (!folder) throw Error(Code::input, "the git folder cannot be opened", "", where_);
    std::string id = resolve_ref(folder.get(), revision, where_);
    if (id.empty() && revision.size() >= 7) id = revision;  // perhaps an (abbreviated) commit id
    git_oid oid;
    git_object* raw = nullptr;
    if (id.empty() || id.size() > 40 || git_oid_fromstrn(&oid, id.c_str(), id.size()) != 0 ||
        git_object_lookup_prefix(&raw, repository_.get(), &oid, id.size(), GIT_OBJECT_ANY) != 0)
      throw_no_commit(revision, id);
    const OwnedObject object(raw);
    git_object* peeled = nullptr;
    if (git_object_peel(&peeled, object.get(), GIT_OBJECT_COMMIT) != 0)
      throw Error(Code::input, fmt::format("{} is not a commit", revision), "", where_);
    const OwnedObject owner(peeled);
    const auto* commit = reinterpret_cast<const git_commit*>(peeled);
    revision_ = git_oid_tostr_s(git_commit_id(commit));
    date_ = utc_text(git_commit_time(commit));
    root_ = *git_commit_tree_id(commit);
  }

  [[noreturn]] void throw_no_commit(const std::string& revision, const std::string& id) const {
    if (fs::exists(git_folder_ / "objects/info/alternates"))
      throw Error(Code::input, "the repository borrows objects from another one, which is not followed",
                  "run git repack -a -d and remove objects/info/alternates", where_);
    if (revision.empty() && id.empty())
      throw Error(Code::input, "the git repository has no commit yet",
                  "commit first, or name the files' folder", where_);
    if (revision.empty())
      throw Error(Code::corrupt, fmt::format("commit {} is missing", id), "run git fsck on it", where_);
    throw Error(Code::input, fmt::format("no revision '{}'", revision),
                "give a branch, a tag or at least 7 digits of a commit id", where_);
  }

  OwnedTree look_up_tree(const git_oid& id) const {
    git_tree* tree = nullptr;
    if (git_tree_lookup(&tree, repository_.get(), &id) != 0)
      throw Error(Code::corrupt,
                  fmt::format("tree {} cannot be read: {}", git_oid_tostr_s(&id), last_git_error()),
                  "run git fsck on it", where_);
    return OwnedTree(tree);
  }

  void add(const std::string& path, const git_tree_entry* entry, bool is_tree) {
    SourceEntry found;
    found.path = path;
    const git_filemode_t mode = git_tree_entry_filemode(entry);
    if (is_tree) {
      found.problem = path_problem(path).empty() ? "too_deep" : path_problem(path);
    } else if (mode == GIT_FILEMODE_LINK) {
      found.problem = "symlink";
    } else if (mode == GIT_FILEMODE_COMMIT) {
      found.problem = "submodule";
    } else {
      size_t size = 0;
      git_object_t type = GIT_OBJECT_INVALID;
      if (git_odb_read_header(&size, &type, odb_.get(), git_tree_entry_id(entry)) != 0 ||
          type != GIT_OBJECT_BLOB)
        throw Error(Code::corrupt, "an object of the tree is missing or not a file", "run git fsck on it",
                    where_ + ": " + printable_path(path));
      found.size_bytes = size;
      found.mode = mode == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644;
    }
    entries_.push_back(std::move(found));
    ids_.push_back(*git_tree_entry_id(entry));
  }

  std::string where_, revision_, date_;
  fs::path git_folder_;
  OwnedOdb odb_;
  OwnedRepository repository_;
  git_oid root_{};
  std::vector<SourceEntry> entries_;
  std::vector<git_oid> ids_;
};

}  // namespace

std::unique_ptr<Source> open_git(const fs::path& repository, const std::string& revision) {
  return std::make_unique<GitSource>(repository, revision);
}

bool is_git_repository(const fs::path& folder) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(folder / ".git", ignored))) return true;
  return fs::is_regular_file(folder / "HEAD", ignored) && fs::is_directory(folder / "objects", ignored) &&
         fs::is_directory(folder / "refs", ignored);
}

}  // namespace retrace::synth
