#include "model/endpoint/evidence.h"

#include <fcntl.h>
#include <unistd.h>

#include <random>
#include <set>

#include "core/error.h"
#include "core/files/files.h"
#include "core/files/sqlite.h"
#include "core/hash.h"

namespace retrace::model {

namespace {

constexpr const char* kTables =
    "CREATE TABLE IF NOT EXISTS answer (hash BLOB NOT NULL, attempt INTEGER NOT NULL, status INTEGER NOT "
    "NULL, "
    "body BLOB NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, "
    "PRIMARY KEY (hash, attempt)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS spending (id INTEGER PRIMARY KEY, role BLOB NOT NULL, "
    "prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL)";
constexpr const char* kFind =
    "SELECT status, body, prompt_tokens, completion_tokens FROM answer WHERE hash = ? AND attempt = ?";
constexpr const char* kPut = "INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?, ?, ?)";

std::optional<StoredAnswer> find_in(Database& db, const std::string& hash, int attempt) {
  Statement get(db, kFind);
  get.bind_blob(1, hash).bind(2, int64_t{attempt});
  if (!get.step()) return std::nullopt;
  return StoredAnswer{static_cast<int>(get.number(0)), get.text(1), {get.number(2), get.number(3)}};
}

// Of all processes that ever write to one stage: ids meet in the merged file.
int64_t fresh_id() {
  std::random_device device;
  return static_cast<int64_t>((uint64_t{device()} << 31 ^ device()) & 0x7fffffffffffffffULL);
}

void sync_file(const fs::path& path) {
  announce_file_operation("fsync", path);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool good = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0) ::close(fd);
  if (!good) throw Error(Code::io, "cannot make the file durable", "is the disk full?", path.string());
}

void copy_rows(Database& from, Database& to) {
  Statement answers(from, "SELECT * FROM answer ORDER BY hash, attempt");
  Statement put(to, kPut);
  while (answers.step()) {
    put.bind_blob(1, answers.text(0)).bind(2, answers.number(1)).bind(3, answers.number(2));
    put.bind_blob(4, answers.text(3)).bind(5, answers.number(4)).bind(6, answers.number(5)).run();
  }
  Statement spending(from, "SELECT * FROM spending ORDER BY id");
  Statement add(to, "INSERT OR IGNORE INTO spending VALUES (?, ?, ?, ?)");
  while (spending.step())
    add.bind(1, spending.number(0))
        .bind_blob(2, spending.text(1))
        .bind(3, spending.number(2))
        .bind(4, spending.number(3))
        .run();
}

}  // namespace

Usage& Usage::operator+=(const Usage& other) {
  prompt_tokens += other.prompt_tokens;
  completion_tokens += other.completion_tokens;
  return *this;
}

std::string request_hash(const std::string& method, const std::string& path, const std::string& body) {
  return sha256_hex(method + " " + path + "\n" + body);
}

struct Evidence::State {
  std::optional<Database> published, own;
  std::map<std::pair<std::string, int>, std::string> used;  // hash of each answer
  Usage usage;

  void note(const std::string& hash, int attempt, const StoredAnswer& answer) {
    const auto key = std::pair(hash, attempt);
    if (used.count(key)) return;
    used[key] = sha256_hex(std::to_string(answer.status) + "\n" + answer.body);
    usage += answer.usage;
  }
  Database& mine() {
    ensure(own.has_value(), "a repository's evidence is open");
    return *own;
  }
};

Evidence::Evidence(const fs::path& published) : state_(std::make_unique<State>()) {
  if (fs::exists(published)) state_->published.emplace(published, Database::Mode::immutable);
}

Evidence::~Evidence() = default;

void Evidence::open(const fs::path& file) {
  close();
  state_->own.emplace(file, Database::Mode::wal);
  state_->own->exec(kTables);
  state_->used.clear();
  state_->usage = {};
}

void Evidence::close() {
  state_->own.reset();
}

std::optional<StoredAnswer> Evidence::find(const std::string& hash, int attempt) {
  auto answer = find_in(state_->mine(), hash, attempt);
  if (!answer && state_->published) answer = find_in(*state_->published, hash, attempt);
  if (answer) state_->note(hash, attempt, *answer);
  return answer;
}

int64_t Evidence::will_spend(const std::string& role, const Usage& most) {
  const int64_t id = fresh_id();
  Statement put(state_->mine(), "INSERT INTO spending VALUES (?, ?, ?, ?)");
  put.bind(1, id).bind_blob(2, role).bind(3, most.prompt_tokens).bind(4, most.completion_tokens).run();
  return id;
}

void Evidence::record(const std::string& hash, int attempt, const StoredAnswer& answer, int64_t spending) {
  Database& db = state_->mine();
  try {
    Transaction transaction(db);
    Statement(db, kPut)
        .bind_blob(1, hash)
        .bind(2, int64_t{attempt})
        .bind(3, int64_t{answer.status})
        .bind_blob(4, answer.body)
        .bind(5, answer.usage.prompt_tokens)
        .bind(6, answer.usage.completion_tokens)
        .run();
    settle(spending, answer.usage);
    transaction.commit();
  } catch (...) {
    state_->own.reset();  // rolls back; the file is good, this process is done with it
    throw;
  }
  state_->note(hash, attempt, answer);
}

void Evidence::settle(int64_t spending, const Usage& actual) {
  Statement set(state_->mine(), "UPDATE spending SET prompt_tokens = ?, completion_tokens = ? WHERE id = ?");
  set.bind(1, actual.prompt_tokens).bind(2, actual.completion_tokens).bind(3, spending).run();
}

std::string Evidence::root() const {
  Sha256 sha;
  for (const auto& [key, answer] : state_->used)
    sha.add(key.first + " " + std::to_string(key.second) + " " + answer + "\n");
  return sha.hex();
}

Usage Evidence::used() const {
  return state_->usage;
}

std::map<std::string, Usage> spent_in(const std::vector<fs::path>& databases) {
  std::map<std::string, Usage> out;
  std::set<int64_t> seen;
  for (const fs::path& path : databases) {
    if (!fs::exists(path)) continue;
    // A killed owner's write-ahead log is read too; only the published file has none.
    Database db(path, path.filename() == "evidence.db" ? Database::Mode::immutable : Database::Mode::wal);
    Statement tables(db, "SELECT 1 FROM sqlite_master WHERE name = 'spending'");
    if (!tables.step()) continue;
    Statement rows(db, "SELECT id, role, prompt_tokens, completion_tokens FROM spending");
    while (rows.step())
      if (seen.insert(rows.number(0)).second) out[rows.text(1)] += Usage{rows.number(2), rows.number(3)};
  }
  return out;
}

void merge_evidence(const fs::path& published, const std::vector<fs::path>& items) {
  if (items.empty()) return;
  const fs::path fresh = published.string() + ".partial";
  {
    Database to(fresh, Database::Mode::scratch);
    to.exec(kTables);
    to.exec("BEGIN");
    if (fs::exists(published)) {
      Database old(published, Database::Mode::immutable);
      copy_rows(old, to);
    }
    for (const fs::path& path : items) {
      Database item(path, Database::Mode::wal);
      item.exec(kTables);
      copy_rows(item, to);
    }
    to.exec("COMMIT");
  }
  sync_file(fresh);
  rename_durably(fresh, published);
}

}  // namespace retrace::model
