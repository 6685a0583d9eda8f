#include "synth/view/search_log.h"

#include "core/error.h"
#include "core/files/files.h"
#include "core/text.h"

namespace retrace::synth {

namespace {

constexpr const char* kFile = "candidates.jsonl";

std::optional<double> nll_of(const Json& json, const char* key) {
  if (!json.contains(key)) return std::nullopt;
  return get<double>(get<Json>(json, key, kFile), "nll", kFile);
}

void add_line(const Json& json, const Trajectory& t, SearchLog& log) {
  const int slot = get<int>(json, "slot", kFile);
  if (slot < 0 || static_cast<size_t>(slot) >= t.slots.size())
    throw Error(Code::corrupt, fmt::format("a candidate names slot {}, which the record has not", slot), "",
                kFile);
  if (json.contains("controls")) {  // a line of its own, after the slot's candidates
    const auto found = log.find(slot);
    if (found == log.end()) throw Error(Code::corrupt, "controls of a slot without candidates", "", kFile);
    found->second.controls = get<decltype(SlotSearch::controls)>(json, "controls", kFile);
    return;
  }
  TriedText tried;
  tried.n = get<int>(json, "n", kFile);
  tried.parent = get<int>(json, "parent_n", kFile);
  tried.iteration = get<int>(json, "iteration", kFile);
  tried.text = get<std::string>(json, "text", kFile);
  tried.author = get<std::string>(json, "author", kFile);
  tried.mode = get<std::string>(json, "mode", kFile);
  tried.verdict = get<std::string>(json, "verdict", kFile);
  tried.nll = nll_of(json, "score");
  const Json gates = get<Json>(json, "gates", kFile);
  tried.verbatim_lines = get<int64_t>(gates, "verbatim_lines", kFile);
  tried.ngram13 = get<double>(gates, "ngram13", kFile);
  SlotSearch& search = log[slot];
  if (tried.n != static_cast<int>(search.tried.size()))
    throw Error(Code::corrupt, fmt::format("candidates of slot {} are not in order", slot), "", kFile);
  if (tried.n == 0) {
    search.none_nll = nll_of(json, "score_none");
    search.dropped = get_or<std::string>(json, "slot_dropped", "", kFile);
    if (json.contains("score")) {
      const auto target = get<std::vector<int64_t>>(json.at("score"), "target", kFile);
      if (target.size() != 3 || target[0] < 0 || static_cast<size_t>(target[0]) >= t.tree.size())
        throw Error(Code::corrupt, "a score's target is no slice of the record", "", kFile);
      search.target.file = static_cast<int>(target[0]);
      search.target.begin = static_cast<uint64_t>(target[1]);
      search.target.end = static_cast<uint64_t>(target[2]);
      search.target_bytes = get<int64_t>(json.at("score"), "n_bytes", kFile);
    }
  }
  search.tried.push_back(std::move(tried));
}

}  // namespace

const TriedText& SlotSearch::chosen() const {
  for (size_t i = tried.size(); i-- > 0;)
    if (tried[i].verdict == "accepted") return tried[i];
  return tried.front();
}

SearchLog read_search_log(const std::filesystem::path& shard, const Trajectory& t) {
  SearchLog log;
  const fs::path file = shard.parent_path() / kFile;
  if (!fs::exists(file) || fs::file_size(file) == 0) return log;
  const MappedFile map(file);
  const std::string begin = fmt::format("{{\"trajectory\":\"{}\",", t.id);
  for (std::string_view line : split_lines(map.bytes()))
    if (line.starts_with(begin)) add_line(parse_json(line, kFile), t, log);
  return log;
}

std::string verdict_in_words(const TriedText& tried) {
  static const std::map<std::string, std::string> words = {
      {"initial", "first draft"},
      {"accepted", "taken: the code became likelier than after any text before it"},
      {"superseded", "better than the text before it, but another of its batch was best"},
      {"rejected", "the code became no likelier"},
      {"duplicate", "the same text as one before"},
      {"no_answer", "the generator gave no usable answer"},
      {"too_long", "too long to score"},
      {"margin", "its gain lies within the engine's noise"},
      {"charge", "its gain does not pay for its length"}};
  if (tried.verdict == "leak")
    return fmt::format("it copies the code ({} lines, {:.0f} % of its 13-grams)", tried.verbatim_lines,
                       tried.ngram13 * 100);
  const auto found = words.find(tried.verdict);
  return found == words.end() ? tried.verdict : found->second;
}

SearchTotals search_totals(const Trajectory& t, const SearchLog& log) {
  SearchTotals out;
  for (const Slot& slot : t.slots)
    out.thoughts += t.steps[static_cast<size_t>(slot.step)].kind == Kind::think;
  for (const auto& [slot, search] : log) {
    ++out.searched;
    out.replaced += search.dropped.empty() && search.chosen().n != 0;
    out.dropped += !search.dropped.empty();
    out.tried += static_cast<int64_t>(search.tried.size()) - 1;
    for (const TriedText& tried : search.tried)
      if (tried.n != 0) ++out.verdicts[tried.verdict];
    const auto now = search.dropped.empty() ? search.chosen().nll : search.none_nll;
    if (!search.first().nll || !now) continue;
    out.target_bytes += search.target_bytes;
    out.gain_nats += *search.first().nll - *now;
  }
  return out;
}

}  // namespace retrace::synth
