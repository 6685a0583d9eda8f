#include "synth/stage/selection.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/files/files.h"
#include "core/files/sqlite.h"
#include "synth/hygiene/band_index.h"
#include "synth/hygiene/minhash.h"
#include "synth/paths.h"

namespace retrace::synth {

namespace {

// Recursive descent over an SPDX expression: OR of AND of (ids, "id WITH exception", parentheses).
class Expression {
 public:
  Expression(const std::string& text, const std::vector<std::string>& allowed) : allowed_(allowed) {
    std::string word;
    for (const char c : text + " ") {
      if (c != ' ' && c != '(' && c != ')') {
        word += c;
        continue;
      }
      if (!word.empty()) words_.push_back(std::move(word));
      word.clear();
      if (c != ' ') words_.emplace_back(1, c);
    }
  }

  bool allowed() {
    const bool result = any();
    return result && at_ == words_.size();
  }

 private:
  bool any() {
    bool result = all();
    while (take("OR")) result = all() || result;
    return result;
  }
  bool all() {
    bool result = one();
    while (take("AND")) result = one() && result;
    return result;
  }
  bool one() {
    if (take("(")) {
      const bool result = any();
      return take(")") && result;
    }
    if (at_ >= words_.size()) return false;
    const std::string id = lower_ascii(words_[at_++]);
    if (take("WITH")) ++at_;
    return std::any_of(allowed_.begin(), allowed_.end(),
                       [&](const std::string& a) { return lower_ascii(a) == id; });
  }
  bool take(const char* word) {
    if (at_ >= words_.size() || words_[at_] != word) return false;
    ++at_;
    return true;
  }

  const std::vector<std::string>& allowed_;
  std::vector<std::string> words_;
  size_t at_ = 0;
};

}  // namespace

bool licence_allowed(const std::string& licence, const std::vector<std::string>& allowed) {
  return allowed.empty() || Expression(licence, allowed).allowed();
}

struct RepositorySelection::State {
  State(HygieneConfig c, const fs::path& scratch, Ledger& l)
      : config(std::move(c)), ledger(l), db(scratch, Database::Mode::scratch) {
    db.exec(
        "CREATE TABLE trees(tree TEXT PRIMARY KEY) WITHOUT ROWID;"
        "CREATE TABLE kept(id INTEGER PRIMARY KEY, place TEXT);");
    bands = std::make_unique<BandIndex>(kDuplicateBands, db);
    db.exec("BEGIN;");
    add_tree = std::make_unique<Statement>(db, "INSERT OR IGNORE INTO trees VALUES(?) RETURNING 1");
    add_kept = std::make_unique<Statement>(db, "INSERT INTO kept VALUES(?, ?)");
    find_kept = std::make_unique<Statement>(db, "SELECT place FROM kept WHERE id = ?");
    if (config.duplicate_files != "keep")
      files = std::make_unique<DuplicateFiles>(config, scratch.string() + ".files");
  }

  bool is_near_duplicate(const std::string& signature) {
    if (signature.empty()) return false;
    for (const int64_t id : bands->sharing(signature)) {
      find_kept->bind(1, id);
      ensure(find_kept->step(), "a band names a kept repository");
      const std::string place = find_kept->text(0);
      find_kept->reset();
      if (packed_jaccard(ledger.signature_of(place), signature) >= config.jaccard) return true;
    }
    return false;
  }

  void keep(const LedgerRow& row) {
    ++n_kept;
    if (config.near_duplicates == "keep" || row.signature.empty()) return;
    add_kept->bind(1, n_kept).bind(2, row.source.place).run();
    bands->add(n_kept, row.signature);
  }

  HygieneConfig config;
  Ledger& ledger;
  Database db;
  std::unique_ptr<Statement> add_tree, add_kept, find_kept;
  std::unique_ptr<BandIndex> bands;
  std::unique_ptr<DuplicateFiles> files;  // null: duplicates among files are kept
  int64_t n_kept = 0;
};

RepositorySelection::RepositorySelection(const HygieneConfig& config, const fs::path& scratch, Ledger& ledger)
    : state_(std::make_unique<State>(config, scratch, ledger)) {}
RepositorySelection::~RepositorySelection() = default;

RepositorySelection::Decision RepositorySelection::decide(const LedgerRow& row) {
  State& s = *state_;
  if (get<int64_t>(row.read_result, "files", "ledger") == 0) return {"empty_repository", {}};
  if (!licence_allowed(get<std::string>(row.read_result, "licence", "ledger"), s.config.licences))
    return {"licence", {}};
  s.add_tree->bind(1, row.tree);
  const bool is_new = s.add_tree->step();
  s.add_tree->reset();
  if (!is_new) return {"duplicate_repository", {}};
  if (s.config.near_duplicates == "drop" && s.is_near_duplicate(row.signature))
    return {"near_duplicate_repository", {}};
  Decision decision;
  if (s.files) {
    const auto files = file_signatures_from_json(s.ledger.files_of(row.source.source), "ledger");
    decision.duplicates = s.files->find(get<std::string>(row.read_result, "origin", "ledger"), files);
    if (!files.empty() && decision.duplicates.size() == files.size()) return {"duplicate_files", {}};
  }
  s.keep(row);
  return decision;
}

}  // namespace retrace::synth
