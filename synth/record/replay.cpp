// Replay: the record's invariants, walked step by step. Whatever breaks one is Error{corrupt}.
#include <map>
#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "synth/record/trajectory.h"

namespace retrace::synth {

namespace {

template <class... Args>
[[noreturn]] void broken(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(Code::corrupt, "replay: " + fmt::format(format, std::forward<Args>(args)...));
}

class Replay {
 public:
  explicit Replay(const Trajectory& t)
      : t_(t), rebuilt_(t.tree.size()), first_write_(t.tree.size(), -1), last_write_(t.tree.size(), -1) {}

  void run() {
    check_tree();
    check_plan();
    check_agents();
    for (const Step& step : t_.steps) check_step(step);
    check_slots();
    for (const auto& [read, times] : answers_)
      if (times != 1) broken("the read of step {} is answered {} times", read, times);
    check_files();
    check_order();
  }

 private:
  void check_tree() {
    if (t_.tree.empty()) broken("the tree is empty");
    std::set<std::string> paths, used;
    for (const TreeFile& file : t_.tree) {
      if (file.path.empty() || file.path.front() == '/' || !is_valid_utf8(file.path))
        broken("'{}' is no relative path in UTF-8", utf8_lossy(file.path));
      for (std::string_view part : split(file.path, '/'))
        if (part.empty() || part == "." || part == "..") broken("path '{}' is not plain", file.path);
      if (!paths.insert(file.path).second) broken("path '{}' stands in the tree twice", file.path);
      const auto blob = t_.blobs.find(file.blob);
      if (blob == t_.blobs.end()) broken("the content of '{}' is missing", file.path);
      if (blob->second.size() != file.size) broken("the size of '{}' is wrong", file.path);
      used.insert(file.blob);
    }
    for (const auto& [hash, bytes] : t_.blobs) {
      if (sha256_hex(bytes) != hash) broken("content {} does not have its hash", hash.substr(0, 12));
      if (!used.count(hash)) broken("content {} belongs to no file", hash.substr(0, 12));
    }
  }

  void check_plan() {
    std::set<int> seen;
    for (int file : t_.order) {
      check_file(file, "the order");
      if (!seen.insert(file).second) broken("file {} stands in the order twice", file);
    }
    if (seen.size() != t_.tree.size()) broken("the order names {} of {} files", seen.size(), t_.tree.size());
    if (t_.plan.size() != t_.order.size()) broken("the plan has {} lines", t_.plan.size());
    for (size_t i = 0; i < t_.plan.size(); ++i) {
      if (t_.plan[i].file != t_.order[i]) broken("the plan's line {} is not in writing order", i);
      if (!is_valid_utf8(t_.plan[i].purpose)) broken("the plan's line {} is not UTF-8", i);
    }
    std::set<std::pair<int, int>> edges;
    for (const Dependency& d : t_.dependencies) {
      check_file(d.from, "a dependency");
      check_file(d.to, "a dependency");
      if (d.from == d.to || !edges.insert({d.from, d.to}).second)
        broken("dependency {} -> {} is doubled or a loop", d.from, d.to);
    }
    for (const RedactionMark& r : t_.redactions) {
      check_file(r.file, "a redaction");
      if (r.offset > t_.tree[static_cast<size_t>(r.file)].size) broken("a redaction lies outside its file");
    }
  }

  void check_agents() {
    if (t_.agents.empty()) broken("there is no main agent");
    std::set<int> files;
    for (size_t i = 0; i < t_.agents.size(); ++i) {
      const Agent& a = t_.agents[i];
      if (a.agent != static_cast<int>(i)) broken("agent {} stands at place {}", a.agent, i);
      if (i == 0) {
        if (a.parent != -1 || a.call_step != -1 || a.file != -1)
          broken("the main agent has a caller or a file");
        continue;
      }
      if (a.parent < 0 || a.parent >= a.agent) broken("agent {} has no earlier parent", i);
      check_file(a.file, "an agent");
      if (!files.insert(a.file).second) broken("two agents write file {}", a.file);
      if (a.call_step < 0 || a.call_step >= static_cast<int64_t>(t_.steps.size()) ||
          t_.steps[static_cast<size_t>(a.call_step)].kind != Kind::delegate)
        broken("agent {} was not called by a delegation", i);
      if (!called_at_.emplace(a.call_step, a.agent).second) broken("step {} calls two agents", a.call_step);
    }
  }

  void check_step(const Step& step) {
    if (step.seq != next_seq_++) broken("step {} stands at place {}", step.seq, next_seq_ - 1);
    if (step.agent < 0 || step.agent >= static_cast<int>(t_.agents.size()))
      broken("step {} has no agent", step.seq);
    check_body_type(step);
    const Agent& agent = t_.agents[static_cast<size_t>(step.agent)];
    const bool main_kind = step.kind != Kind::think && step.kind != Kind::read &&
                           step.kind != Kind::observe && step.kind != Kind::write;
    if (main_kind != (step.agent == 0))
      broken("step {} ({}) belongs to the wrong kind of agent", step.seq, data::kind_name(step.kind));
    if (step.agent != 0 && step.agent != running_)
      broken("step {} is not inside the call of its agent", step.seq);
    if (step.agent == 0) running_ = -1;
    if (step.kind == Kind::delegate) {
      const auto called = called_at_.find(step.seq);
      if (called == called_at_.end() || t_.agents[static_cast<size_t>(called->second)].parent != step.agent)
        broken("the delegation of step {} calls nobody", step.seq);
      running_ = called->second;
    }
    if (step.kind != Kind::observe && step.answers != -1)
      broken("step {} answers, but observes nothing", step.seq);
    if (step.kind == Kind::read) check_read(step);
    if (step.kind == Kind::observe) check_observation(step);
    if (step.kind == Kind::write) check_write(step, agent);
  }

  void check_body_type(const Step& step) {
    using Type = Body::Type;
    Type wanted = Type::slot;
    if (step.kind == Kind::read || step.kind == Kind::observe || step.kind == Kind::write)
      wanted = Type::span;
    if (step.kind == Kind::context || step.kind == Kind::frame) wanted = Type::text;
    if (step.kind == Kind::plan && step.body.type == Type::text) wanted = Type::text;
    if (step.kind == Kind::text || step.body.type != wanted)
      broken("step {} ({}) has a body of the wrong type", step.seq, data::kind_name(step.kind));
    if (step.body.type == Type::span) {
      check_file(step.body.file, "a slice");
      if (step.body.begin > step.body.end ||
          step.body.end > t_.tree[static_cast<size_t>(step.body.file)].size)
        broken("the slice of step {} lies outside its file", step.seq);
    } else if (step.body.type == Type::slot) {
      if (step.body.slot < 0 || step.body.slot >= static_cast<int>(t_.slots.size()))
        broken("step {} has no slot", step.seq);
      if (t_.slots[static_cast<size_t>(step.body.slot)].step != step.seq ||
          !slots_used_.insert(step.body.slot).second)
        broken("slot {} belongs to another step", step.body.slot);
    } else if (!is_valid_utf8(step.body.text)) {
      broken("the text of step {} is not UTF-8", step.seq);
    }
  }

  void check_read(const Step& step) {
    const Body& body = step.body;
    if (body.begin == body.end || body.end > rebuilt_[static_cast<size_t>(body.file)].size())
      broken("step {} reads '{}' [{}, {}), which is not written yet", step.seq,
             t_.tree[static_cast<size_t>(body.file)].path, body.begin, body.end);
    answers_.emplace(step.seq, 0);
  }

  void check_observation(const Step& step) {
    const auto read = answers_.find(step.answers);
    if (read == answers_.end()) broken("the observation of step {} answers no read", step.seq);
    ++read->second;
    const Step& question = t_.steps[static_cast<size_t>(step.answers)];
    if (question.agent != step.agent || question.body.file != step.body.file ||
        question.body.begin != step.body.begin || question.body.end != step.body.end)
      broken("step {} does not show what step {} asked to read", step.seq, step.answers);
  }

  void check_write(const Step& step, const Agent& agent) {
    const Body& body = step.body;
    const auto file = static_cast<size_t>(body.file);
    if (agent.file != body.file) broken("step {} writes the file of another agent", step.seq);
    if (body.begin != rebuilt_[file].size() || (first_write_[file] >= 0 && body.begin == body.end) ||
        (body.begin == body.end && t_.tree[file].size != 0))
      broken("the writes of '{}' do not partition it (step {})", t_.tree[file].path, step.seq);
    rebuilt_[file] += t_.body_text(step);
    if (first_write_[file] < 0) first_write_[file] = step.seq;
    last_write_[file] = step.seq;
  }

  void check_slots() {
    for (size_t i = 0; i < t_.slots.size(); ++i) {
      const Slot& slot = t_.slots[i];
      if (!slots_used_.count(static_cast<int>(i))) broken("slot {} belongs to no step", i);
      for (const std::string* text : {&slot.initial, &slot.chosen}) {
        if (!is_valid_utf8(*text)) broken("slot {} is not UTF-8", i);
        if (text->find("<|") != std::string::npos) broken("slot {} has a control token", i);
      }
      if (!slot.drop.empty() && !slot.chosen.empty()) broken("slot {} is dropped, but has a text", i);
    }
  }

  void check_files() {
    for (size_t i = 0; i < t_.tree.size(); ++i) {
      if (first_write_[i] < 0) broken("'{}' is never written", t_.tree[i].path);
      if (sha256_hex(rebuilt_[i]) != t_.tree[i].blob)
        broken("the writes do not rebuild '{}'", t_.tree[i].path);
    }
  }

  void check_order() {
    for (const Dependency& d : t_.dependencies)
      if (!d.broken && last_write_[static_cast<size_t>(d.to)] > first_write_[static_cast<size_t>(d.from)])
        broken("'{}' is written before '{}', on which it depends", t_.tree[static_cast<size_t>(d.from)].path,
               t_.tree[static_cast<size_t>(d.to)].path);
    int64_t last = -1;
    for (int file : t_.order) {
      if (first_write_[static_cast<size_t>(file)] < last) broken("file {} is not written in order", file);
      last = first_write_[static_cast<size_t>(file)];
    }
  }

  void check_file(int file, const char* what) const {
    if (file < 0 || file >= static_cast<int>(t_.tree.size())) broken("{} names file {}", what, file);
  }

  const Trajectory& t_;
  std::vector<std::string> rebuilt_;
  std::vector<int64_t> first_write_, last_write_;
  std::map<int64_t, int> answers_, called_at_;
  std::set<int> slots_used_;
  int64_t next_seq_ = 0;
  int running_ = -1;
};

}  // namespace

void replay(const Trajectory& t) {
  Replay(t).run();
}

}  // namespace retrace::synth
