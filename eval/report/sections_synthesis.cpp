// Search gains and verdicts, and tokens per role.
#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "eval/report/chart.h"
#include "eval/report/sections.h"

namespace retrace::eval {
namespace {

std::string percent(double part, double whole) {
  return whole > 0 && std::isfinite(part) ? fmt::format("{:.1f} %", 100 * part / whole) : "-";
}

void add_kinds(const Json& counts, const std::string& name, std::vector<Bar>& bars) {
  if (!counts.is_object()) return;
  Bar bar{name, {}};
  for (const auto& [kind, count] : counts.items())
    if (count.is_number() && count.get<double>() > 0) bar.parts.emplace_back(kind, count.get<double>());
  if (!bar.parts.empty()) bars.push_back(std::move(bar));
}

}  // namespace

void add_search(const Json& run, Page& page) {
  std::vector<std::vector<std::string>> rows = {
      {"round", "scorer", "thoughts", "searched", "accepted", "first draft kept", "gain, scorer (bits/byte)",
       "gain, judge (bits/byte)", "gain, byte model (nats)", "verbatim lines", "13-gram share"}};
  std::vector<std::vector<std::string>> verdicts = {{"round", "verdict on a candidate", "count", "share"}};
  for (const auto& item : run["main"]["rounds"]) {
    if (!item["synth"].is_object()) continue;
    const Json& search = item["synth"]["search"];
    const auto name = get<std::string>(item, "name", "round");
    const double searched = number_at(search, {"searched"}),
                 metered = number_at(search, {"leaks", "metered"});
    const auto per_byte = [&](const char* who, const char* bytes) {
      return -number_at(search, {who, "gain_nats"}) / number_at(search, {who, bytes}) / std::log(2.0);
    };
    const std::string scorer = item["round"].is_object()
                                   ? get_or<std::string>(item["round"], "scorer", "none", "round.json")
                                   : "none";
    rows.push_back(
        {name, scorer, show_number(number_at(search, {"thoughts"})), show_number(searched),
         show_number(number_at(search, {"accepted"})), show_number(number_at(search, {"kept_initial"})),
         searched > 0 ? show_number(per_byte("scorer", "target_bytes")) : "-",
         number_at(search, {"judge", "thoughts"}) > 0 ? show_number(per_byte("judge", "target_bytes")) : "-",
         metered > 0 ? show_number(number_at(search, {"leaks", "ppm_gain_nats"}), 1) : "-",
         metered > 0 ? show_number(number_at(search, {"leaks", "verbatim_lines"})) : "-",
         metered > 0 ? show_number(number_at(search, {"leaks", "ngram13"}) / metered) : "-"});
    double all = 0;
    for (const auto& [verdict, count] : search["verdicts"].items()) all += count.get<double>();
    for (const auto& [verdict, count] : search["verdicts"].items())
      verdicts.push_back({name, verdict, to_text(count), percent(count.get<double>(), all)});
  }
  if (rows.size() < 2) return;
  page.heading("Search");
  page.paragraph(
      "What the search changed, in bits per byte of the code that follows a thought (negative: the code "
      "became more likely). "
      "The scorer chose the thoughts, so its own gain is biased upwards; the judge is a model that took no "
      "part. The byte "
      "model copies well and understands nothing: where its gain is large and the judge's small, a thought "
      "leaked the code "
      "instead of explaining it.");
  page.table(rows);
  page.table(verdicts);
}

void add_tokens(const Json& run, Page& page) {
  std::vector<Bar> all, trained;
  std::vector<std::vector<std::string>> rows = {
      {"branch", "round", "documents", "samples", "tokens", "trained", "padding"}};
  auto add_branch = [&](const std::string& branch, const Json& data) {
    for (const auto& item : data["rounds"]) {
      const Json& pack = item["pack"];
      if (!pack.is_object()) continue;
      const auto round = get<std::string>(item, "name", "round");
      add_kinds(pack["tokens_by_kind"], branch + " " + round, all);
      add_kinds(pack["trained_tokens_by_kind"], branch + " " + round, trained);
      const double tokens = number_at(pack, {"tokens"}), padding = number_at(pack, {"padding_tokens"});
      rows.push_back({branch, round, show_number(number_at(pack, {"documents"})),
                      show_number(number_at(pack, {"samples"})), show_number(tokens),
                      percent(number_at(pack, {"trained_tokens"}), tokens),
                      percent(padding, tokens + padding)});
    }
  };
  add_branch("main", run["main"]);
  for (const auto& [name, branch] : run["compare"].items()) add_branch(name, branch);
  if (rows.size() < 2) return;
  page.heading("Tokens by role");
  page.html_only(bar_chart("All tokens, by kind of segment", all, "tokens"));
  page.html_only(bar_chart("Tokens that carry loss", trained, "tokens"));
  page.table(rows);
}

void add_sources(const Json& run, Page& page) {
  std::vector<std::vector<std::string>> totals = {
      {"round", "listed", "kept", "failed", "dropped, by reason"}};
  std::vector<std::vector<std::string>> duplicates = {{"round", "file that an earlier repository has too"}};
  std::vector<std::vector<std::string>> shares = {{"round", "of the kept sources", "count", "share"}};
  for (const auto& item : run["main"]["rounds"]) {
    if (!item["synth"].is_object() || !item["synth"].contains("sources")) continue;
    const Json& sources = item["synth"]["sources"];
    const auto round = get<std::string>(item, "name", "round");
    std::string reasons;
    for (const auto& [reason, count] : sources["dropped"].items())
      reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", reason, to_text(count));
    totals.push_back({round, show_number(number_at(sources, {"listed"})),
                      show_number(number_at(sources, {"kept"})), show_number(number_at(sources, {"failed"})),
                      reasons.empty() ? "-" : reasons});
    if (sources.contains("first_duplicate_files"))
      for (const auto& text : sources["first_duplicate_files"])
        duplicates.push_back({round, text.get<std::string>()});
    for (const char* what : {"licences", "bytes_by_language"}) {
      double all = 0;
      std::vector<std::pair<double, std::string>> counted;
      for (const auto& [name, count] : sources[what].items()) {
        counted.emplace_back(count.get<double>(), name);
        all += count.get<double>();
      }
      std::sort(counted.begin(), counted.end(), [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
      });
      for (const auto& [count, name] : counted)
        shares.push_back({round, (std::string_view(what) == "licences" ? "licence " : "bytes of ") + name,
                          show_number(count), percent(count, all)});
    }
  }
  if (totals.size() < 2) return;
  page.heading("Sources");
  page.table(totals);
  page.table(shares);
  if (duplicates.size() > 1) page.table(duplicates);
}

}  // namespace retrace::eval
