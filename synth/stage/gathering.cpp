#include "synth/stage/gathering.h"

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/process/signals.h"
#include "core/recipe/run_config.h"
#include "synth/hygiene/duplicate_files.h"
#include "synth/stage/selection.h"
#include "synth/stage/stage_key.h"

namespace retrace::synth {

namespace {

constexpr size_t kReadTogether = 64;                  // repositories in an item to read
constexpr int64_t kReadItemBytes = int64_t{4} << 20;  // of JSONL lines, in such an item
constexpr size_t kNamed = 100;                        // failures, and duplicates, that a summary names

std::string basis_of(const SynthJob& job, const ReadResultOptions& wanted) {
  const SnapshotOptions& o = job.reading;
  std::string text =
      fmt::format("{} {} {} {} {} {} {} {} {}", kSynthCode, o.max_file_bytes, o.max_repository_bytes,
                  o.max_entries, o.keep_documentation, o.keep_tests, o.keep_vendored, o.keep_generated,
                  job.contamination ? job.contamination->digest() : "none");
  const HygieneConfig& h = wanted.hygiene;
  if (h.duplicate_files != "keep")
    text += fmt::format(" files {} {}", h.duplicate_files, h.duplicate_min_words);
  if (wanted.cluster_signature) text += " clusters";
  if (job.slice) text += " slice";
  return sha256_hex(text);
}

}  // namespace

Gathering::Gathering(const Recipe& recipe, const SynthJob& job, std::string key)
    : job_(job),
      reading_(without_contamination(job.reading, job.contamination)),
      items_(job.out / "items"),
      key_(std::move(key)),
      timeout_s_(recipe.get<RunConfig>().timeout_s) {
  ensure(static_cast<bool>(job.list) != static_cast<bool>(job.slice), "a job names its sources in one way");
  wanted_.hygiene = recipe.get<HygieneConfig>();
  wanted_.cluster_signature = job.cluster_signatures;
  const HygieneConfig& h = wanted_.hygiene;
  basis_ = basis_of(job, wanted_);
  rules_ = sha256_hex(fmt::format("{} {} {} {} {}", h.near_duplicates, h.jaccard, to_text(Json(h.licences)),
                                  h.duplicate_files, h.file_jaccard));
}

void Gathering::list() {
  first_rank_does(job_.ranks, key_ + "listed", timeout_s_, [&] {
    list_sources();
    write_read_queue();
  });
}

void Gathering::read() {
  const WorkQueue queue(items_ / "read");
  queue.share(
      job_.ranks, key_ + "read/", "reading repositories", "groups",
      [&](const WorkItem& item) { return fs::exists(result_file(item)); }, 1,
      [&](size_t, const WorkItem& item, const auto& tick, const auto&) { read_item(item, tick); });
  meet(job_.ranks, key_ + "all-read", timeout_s_);
}

void Gathering::select(const std::function<void()>& then) {
  first_rank_does(job_.ranks, key_ + "judged", timeout_s_, [&] {
    record_results();
    if (!job_.slice && !ledger_->is_selected(rules_)) select_all();
    fs::remove_all(items_ / "facts");
    fs::remove_all(items_ / "read");
    then();
  });
}

fs::path Gathering::result_file(const WorkItem& item) const {
  return items_ / "facts" / (item.name + ".jsonl");
}

Snapshot Gathering::read_source(const SourceRef& source) {
  return job_.take ? job_.take(source) : reader_.take(source, reading_);
}

Snapshot Gathering::take(const SourceRef& source, const std::string& tree, const Json& duplicates) {
  const std::lock_guard lock(taking_);
  Snapshot snapshot = read_source(source);
  if (snapshot.tree_hash != tree && job_.slice) throw changed_since_the_cut(source);
  if (snapshot.tree_hash != tree)
    throw Error(Code::io, "the repository changed while it was worked on",
                "run the same command again when nothing writes into it", source.source);
  if (!duplicates.is_null()) remove_duplicates(&snapshot, duplicates_from_json(duplicates, "order"));
  return snapshot;
}

void Gathering::list_sources() {
  make_folders(job_.out);
  ledger_ = std::make_unique<Ledger>(job_.out / "ledger.db", basis_);
  Progress progress("listing repositories", 0, "repositories");
  const auto add = [&](const SourceRef& source) {
    throw_if_stopped();
    ledger_->add(source);
    progress.add();
  };
  ledger_->begin_listing();
  if (job_.slice)
    job_.slice([&](const LedgerRow& row) { add(row.source); });
  else
    job_.list(add);
  ledger_->end_listing();
  if (job_.slice) job_.slice([&](const LedgerRow& row) { ledger_->record(row); });
}

void Gathering::write_read_queue() {
  WorkQueueWriter writer(items_ / "read");
  WorkItem item;
  std::string names;
  int64_t size_bytes = 0;
  const auto finish = [&] {
    if (item.sources.empty()) return;
    item.name = sha256_hex(basis_ + names);
    writer.add(item);
    item = {};
    names.clear();
    size_bytes = 0;
  };
  ledger_->each([&](const LedgerRow& row) {
    if (row.state != "listed") return;
    names += row.source.source + "\n" + row.source.stamp + "\n";
    size_bytes += row.source.size_bytes;
    item.sources.push_back(row.source);
    if (item.sources.size() >= kReadTogether || size_bytes >= kReadItemBytes) finish();
  });
  finish();
  writer.finish();
}

void Gathering::read_item(const WorkItem& item, const std::function<void()>& tick) {
  std::string lines;
  for (const SourceRef& source : item.sources) {
    tick();
    const auto take = [&](const SourceRef& s) { return read_source(s); };
    lines += read_result_line(try_read(source, take, wanted_)) + "\n";
  }
  make_folders(items_ / "facts");
  publish_file(result_file(item), lines);
}

// What the ranks found, into the ledger.
void Gathering::record_results() {
  WorkQueue(items_ / "read").each([&](const WorkItem& item) {
    const std::string text = read_file(result_file(item)), where = "facts " + item.name;
    size_t begin = 0;
    for (const SourceRef& source : item.sources) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const LedgerRow row =
          read_result_from_line(source, text.substr(std::min(begin, end), end - std::min(begin, end)), where);
      if (row.state == "failed")
        warn("{} is left out: {}", fs::path(source.source).filename().string(), row.reason);
      ledger_->record(row);
      begin = end + 1;
    }
  });
  ledger_->flush();
}

void Gathering::select_all() {
  RepositorySelection selection(wanted_.hygiene, items_ / "judge.db", *ledger_);
  ledger_->each([&](const LedgerRow& row) {
    if (row.state == "failed" || row.state == "listed") return;
    throw_if_stopped();
    const RepositorySelection::Decision decision = selection.decide(row);
    const std::string state = decision.reason.empty() ? "planned" : "dropped";
    if (row.state != state || row.reason != decision.reason)
      ledger_->set_state(row.source.place, state, decision.reason);
    const Json duplicates = decision.duplicates.empty() ? Json() : to_json(decision.duplicates);
    if (row.duplicates != duplicates) ledger_->set_duplicates(row.source.source, duplicates);
  });
  ledger_->mark_selected(rules_);
  remove_file(items_ / "judge.db");
  remove_file(items_ / "judge.db.files");
}

std::string effective_tree(const LedgerRow& row) {
  return row.duplicates.is_null() ? row.tree : row.tree + " without " + sha256_hex(to_text(row.duplicates));
}

Json source_counts(Ledger& ledger) {
  std::map<std::string, int64_t> dropped, licences, languages, dropped_files;
  Json failed = Json::array(), duplicates = Json::array();
  int64_t n = 0, n_kept = 0, n_failed = 0;
  ledger.each([&](const LedgerRow& row) {
    ++n;
    if (row.state == "failed") {
      if (++n_failed <= static_cast<int64_t>(kNamed))
        failed.push_back(fs::path(row.source.source).filename().string());
      return;
    }
    for (const auto& [reason, count] : row.read_result.at("dropped_files").items())
      dropped_files[reason] += count.get<int64_t>();
    if (row.state == "dropped") {
      ++dropped[row.reason];
      return;
    }
    ++n_kept;
    ++licences[get<std::string>(row.read_result, "licence", "ledger")];
    for (const auto& [language, bytes] : row.read_result.at("languages").items())
      languages[language] += bytes.get<int64_t>();
    const auto origin = get<std::string>(row.read_result, "origin", "ledger");
    for (const DuplicateFile& d : duplicates_from_json(row.duplicates, "ledger")) {
      ++dropped_files[d.reason()];
      languages[d.language] -= d.size_bytes;
      if (duplicates.size() < kNamed)
        duplicates.push_back(
            fmt::format("{}:{} is a {}duplicate of {}", origin, d.path, d.near ? "near-" : "", d.of));
    }
  });
  Json out = {{"listed", n},
              {"kept", n_kept},
              {"dropped", Json::object()},
              {"failed", n_failed},
              {"first_failed", failed},
              {"licences", licences},
              {"bytes_by_language", languages},
              {"dropped_files", dropped_files}};
  for (const auto& [reason, count] : dropped) out["dropped"][reason] = count;
  if (!duplicates.empty()) out["first_duplicate_files"] = duplicates;
  return out;
}

Error changed_since_the_cut(const SourceRef& source) {
  return Error(Code::input,
               "repository " + fs::path(source.source).filename().string() + " changed since this run began",
               "restore it, or start another run with run.dir=PATH", source.source);
}

}  // namespace retrace::synth
