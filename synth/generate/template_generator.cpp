// The generator without an LLM. A text is a list of lines: an opening, facts, a closing. Candidates choose
// other wordings; with an incumbent they edit its lines.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "synth/generate/template_facts.h"
#include "synth/generate/template_phrases.h"
#include "synth/generate/template_project.h"
#include "synth/record/plan_table.h"
#include "synth/record/prose.h"

namespace retrace::synth {

namespace {

constexpr size_t kNamed = 3, kOffered = 4;

class Writer {
 public:
  explicit Writer(const SlotRequest& request)
      : r_(request),
        stream_(stream_id(request.trajectory->id + ":" + std::to_string(request.step->seq))),
        candidate_(static_cast<uint64_t>(std::max(0, request.candidate))) {}

  Lines lines() {
    switch (r_.step->kind) {
      case Kind::requirements:
        return project(phrases::kRequirements, project_name(*r_.trajectory), requirement_lines(r_));
      case Kind::plan:
        return project(phrases::kPlanOpening, counted(r_.trajectory->order.size(), "file", "files"),
                       plan_lines(r_));
      case Kind::review:
        return project(phrases::kReview, counted(r_.trajectory->order.size(), "file", "files"),
                       review_lines(r_));
      case Kind::delegate:
        return brief();
      case Kind::think:
        break;
      default:
        fail(Code::internal, "no template for a slot of kind {}", data::kind_name(r_.step->kind));
    }
    return r_.incumbent.empty() ? thought() : improved();
  }

 private:
  uint64_t draw(uint64_t index) const { return random_u64(r_.seed, stream_, index); }

  // A wording drawn for the slot, shifted by `shift`: successive shifts give every wording once.
  template <size_t N>
  const char* pick(const std::array<const char*, N>& wordings, uint64_t index, uint64_t shift) const {
    return wordings[(draw(index) % N + shift) % N];
  }

  template <size_t N>
  Lines project(const std::array<const char*, N>& wordings, const std::string& what, Lines rest) const {
    Lines out = {fmt::format(fmt::runtime(pick(wordings, 0, candidate_)), what)};
    out.insert(out.end(), rest.begin(), rest.end());
    return out;
  }

  Lines brief() const {
    const FileFacts facts = gather_facts(r_);
    Lines out = {
        fmt::format(fmt::runtime(pick(phrases::kBrief, 0, candidate_)), ticked(facts.path), facts.purpose)};
    add_named(out, phrases::kUsers, 1, facts.users);
    if (facts.written.empty() && facts.pending.empty())
      out.emplace_back(pick(phrases::kNothingNeeded, 2, candidate_));
    else if (!facts.written.empty())
      out.push_back("It may use " + names(facts.written) + ".");
    add_named(out, phrases::kPending, 3, facts.pending);
    return out;
  }

  static std::string names(const std::vector<std::string>& paths) {
    std::vector<std::string> out;
    for (const std::string& path : paths) out.push_back(ticked(path));
    return list_of(out, kNamed);
  }

  template <size_t N>
  void add_named(Lines& out, const std::array<const char*, N>& wordings, uint64_t index,
                 const std::vector<std::string>& paths) const {
    if (!paths.empty())
      out.push_back(fmt::format(fmt::runtime(pick(wordings, index, candidate_)), names(paths)));
  }

  // Opening and closing count through their wordings as the digits of the candidate's number.
  Lines thought() const {
    const FileFacts facts = gather_facts(r_);
    const uint64_t tens = candidate_ / phrases::kBeforeWriting.size();
    Lines out;
    if (r_.before_reading) {
      out.push_back(opening(phrases::kBeforeReading, facts, candidate_));
      add_named(out, phrases::kLookFirst, 1, facts.written);
      add_named(out, phrases::kPending, 2, facts.pending);
      out.emplace_back(pick(phrases::kWhatToLookFor, 3, tens));
      return out;
    }
    out.push_back(opening(phrases::kBeforeWriting, facts, candidate_));
    if (facts.read.empty()) {
      if (facts.written.empty() && facts.pending.empty())
        out.emplace_back(pick(phrases::kNothingNeeded, 1, candidate_));
      add_named(out, phrases::kPending, 2, facts.pending);
    } else {
      add_offer(out, facts);
    }
    add_named(out, phrases::kUsers, 4, facts.users);
    out.emplace_back(pick(phrases::kClosing, 5, tens));
    return out;
  }

  template <size_t N>
  std::string opening(const std::array<const char*, N>& wordings, const FileFacts& facts,
                      uint64_t shift) const {
    return fmt::format(fmt::runtime(pick(wordings, 0, shift)), ticked(facts.path), facts.purpose);
  }

  void add_offer(Lines& out, const FileFacts& facts) const {
    std::vector<std::string> offered;
    for (size_t i = 0; i < facts.seen.size() && offered.size() < kOffered; ++i) {
      const SeenSymbol& s = facts.seen[(draw(6) + candidate_ + i) % facts.seen.size()];
      offered.push_back(fmt::format("{} of {}", ticked(s.name),
                                    ticked(r_.trajectory->tree[static_cast<size_t>(s.file)].path)));
    }
    if (offered.empty())
      for (const std::string& path : facts.read) offered.push_back(ticked(path));
    out.push_back(
        fmt::format(fmt::runtime(pick(phrases::kCanUse, 7, candidate_)), list_of(offered, kOffered)));
  }

  // The incumbent with facts added (two candidates of three) or one line exchanged; without new facts, one
  // line fewer or another opening.
  Lines improved() const {
    Lines lines;
    for (std::string_view line : split_lines(r_.incumbent)) lines.emplace_back(line);
    const FileFacts facts = gather_facts(r_);
    size_t known = 0;  // facts that there are, fresh or not
    const Lines pool = fresh_facts(facts, lines, &known);
    const uint64_t roll = draw(100 + candidate_);
    const bool exchange = candidate_ % 3 == 2 && lines.size() > 2;
    if (!pool.empty()) {
      if (exchange) lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(1 + roll % (lines.size() - 2)));
      const size_t add = exchange ? 1 : std::min<size_t>(pool.size(), 1 + roll % 3);
      const size_t from = static_cast<size_t>(candidate_ * 3) % pool.size();
      for (size_t i = 0; i < add; ++i) lines.insert(lines.end() - 1, pool[(from + i) % pool.size()]);
      // Few facts would soon repeat a text: the opening changes too.
      if (pool.size() < 3) lines.front() = other_opening(facts, lines.front());
    } else if (known > 0 && lines.size() > 2) {
      const uint64_t line = (draw(100) + candidate_) % (lines.size() - 2);
      lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(1 + line));
    } else {
      return thought();
    }
    return lines;
  }

  // A wording that the candidate's number picks, not the one that stands there.
  std::string other_opening(const FileFacts& facts, const std::string& now) const {
    for (uint64_t shift = candidate_;; ++shift) {
      std::string other = r_.before_reading ? opening(phrases::kBeforeReading, facts, shift)
                                            : opening(phrases::kBeforeWriting, facts, shift);
      if (other != now) return other;
    }
  }

  Lines fresh_facts(const FileFacts& facts, const Lines& lines, size_t* known) const {
    Lines all = context_facts(r_, facts);
    if (r_.oracle) {
      const Lines outline = outline_facts(r_);
      all.insert(all.begin(), outline.begin(), outline.end());
    }
    *known = all.size();
    Lines pool;
    for (uint32_t i : permutation(static_cast<uint32_t>(all.size()), r_.seed, stream_))
      if (std::find(lines.begin(), lines.end(), all[i]) == lines.end()) pool.push_back(all[i]);
    return pool;
  }

  const SlotRequest& r_;
  uint64_t stream_, candidate_;
};

class TemplateGenerator : public Generator {
 public:
  std::string name() const override { return "template/1"; }
  std::string fill(const SlotRequest& request) override {
    return fit_for_slot(join(Writer(request).lines(), "\n"));
  }
};

}  // namespace

std::unique_ptr<Generator> make_template_generator() {
  return std::make_unique<TemplateGenerator>();
}

}  // namespace retrace::synth
