#include "synth/generate/prompts.h"

#include <fmt/core.h>

#include <array>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/text.h"
#include "synth/generate/template_facts.h"
#include "synth/generate/template_project.h"
#include "synth/record/plan_table.h"
#include "synth/record/prose.h"

extern const std::map<std::string, std::string> kRetracePrompts;  // scripts/cmake/embed.cmake

namespace retrace::synth {

namespace {

constexpr size_t kNamesAFile = 12, kLongestName = 120;

// Placeholders that stand for quotations, and what a quotation is called; the others are names on a line.
const std::map<std::string, std::string> kQuotations = {{"tree", "file tree"},
                                                        {"readme", "front of the readme"},
                                                        {"symbols", "what each file will define"},
                                                        {"facts", "what is known"},
                                                        {"requirements", "requirements of the project"},
                                                        {"plan", "plan of the files"},
                                                        {"purpose", "what the plan says of the file"},
                                                        {"readings", "what was read just now"},
                                                        {"outline", "outline of the file to come"},
                                                        {"incumbent", "first version"}};
constexpr std::array kNames = {"project", "path"};

using Values = std::map<std::string, std::string>;

// Calls text(piece) and value(name) in turn; placeholders inside of values are not looked at.
template <class Text, class Value>
void for_each_piece(const std::string& prompt, Text text, Value value) {
  size_t at = 0;
  for (;;) {
    const size_t open = prompt.find("{{", at);
    const size_t close = open == std::string::npos ? open : prompt.find("}}", open);
    if (close == std::string::npos) break;
    text(prompt.substr(at, open - at));
    value(prompt.substr(open + 2, close - open - 2));
    at = close + 2;
  }
  text(prompt.substr(at));
}

void check_placeholders(const std::string& name, const std::string& prompt) {
  for_each_piece(
      prompt, [](const std::string&) {},
      [&](const std::string& placeholder) {
        if (kQuotations.count(placeholder)) return;
        if (std::find(kNames.begin(), kNames.end(), placeholder) != kNames.end()) return;
        throw Error(Code::recipe,
                    fmt::format("{}.txt has the unknown placeholder {{{{{}}}}}", name, placeholder),
                    "the built-in prompts under synth/prompts show what there is", "generator.prompts");
      });
}

// The front of a text, cut at a line.
std::string front(const std::string& text, size_t most) {
  if (text.size() <= most) return text;
  const size_t line = text.rfind('\n', most);
  size_t end = line == std::string::npos || line < most / 2 ? most : line;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80) --end;
  return text.substr(0, end) + "\n(the rest is left out)";
}

// Between two marks that the text cannot contain.
std::string fenced(const std::string& title, const std::string& text) {
  std::string mark = sha256_hex(text).substr(0, kQuoteMarkDigits);
  while (text.find(mark) != std::string::npos) mark = sha256_hex(mark + text).substr(0, kQuoteMarkDigits);
  return fmt::format("{0}{1}: {2}]\n{3}\n{0}{1}: end]", kQuoteMark, mark, title, text);
}

std::string filled(const std::string& prompt, const Values& values) {
  std::string out;
  for_each_piece(
      prompt, [&](const std::string& text) { out += text; },
      [&](const std::string& name) {
        const auto value = values.find(name);
        if (value == values.end() || value->second.empty()) return;
        const auto title = kQuotations.find(name);
        out += title == kQuotations.end() ? value->second : fenced(title->second, value->second);
      });
  for (size_t before = 0; before != out.size();) {
    before = out.size();
    out = replace_all(out, "\n\n\n", "\n\n");
  }
  return std::string(trim(out));
}

const Step* step_of(const Trajectory& t, Kind kind) {
  for (const Step& step : t.steps)
    if (step.kind == kind && step.body.type == Body::Type::slot) return &step;
  return nullptr;
}

std::string readme_of(const SlotRequest& r) {
  for (const SourceFile& file : r.snapshot->files)
    if (to_lower(file.path).starts_with("readme")) return fit_for_slot(file.content);
  return "";
}

std::string symbols_of(const SlotRequest& r) {
  std::string out;
  for (int file : r.trajectory->order) {
    std::vector<std::string> names;
    for (const Symbol& s : r.structure->files[static_cast<size_t>(file)].symbols) names.push_back(s.name);
    if (!names.empty())
      out += r.trajectory->tree[static_cast<size_t>(file)].path + ": " + list_of(names, kNamesAFile) + "\n";
  }
  return fit_for_slot(out);
}

// What this sub-agent has observed before the step, in order.
std::string readings_of(const SlotRequest& r) {
  const Trajectory& t = *r.trajectory;
  std::string out;
  for (int64_t seq = 0; seq < r.step->seq; ++seq) {
    const Step& step = t.steps[static_cast<size_t>(seq)];
    if (step.agent != r.step->agent || step.kind != Kind::observe) continue;
    out += t.tree[static_cast<size_t>(step.body.file)].path + ":\n" + t.body_text(step) + "\n";
  }
  return fit_for_slot(out);
}

std::string outline_of(const SlotRequest& r) {
  std::string out = join(outline_facts(r), "\n");
  for (const Symbol& s : r.structure->files[static_cast<size_t>(r.file)].symbols) {
    const std::string said = first_sentence(s.docstring, 160);
    if (!said.empty()) out += "\nOf `" + s.name + "`: " + said;
  }
  return fit_for_slot(out);
}

std::string tree_of(const Trajectory& t) {
  std::string out;
  for (const TreeFile& file : t.tree) out += file.path + "\n";
  return fit_for_slot(out);
}

Values values_of(const SlotRequest& r, size_t most) {
  const Trajectory& t = *r.trajectory;
  Values v = {{"project", ticked(shorten(clean_prose(project_name(t)), kLongestName))}};
  if (r.step->kind != Kind::requirements)
    if (const Step* step = step_of(t, Kind::requirements))
      v["requirements"] = front(t.body_text(*step), most / 4);
  if (r.file < 0) {
    v["tree"] = front(tree_of(t), most / 4);
    v["readme"] = front(readme_of(r), most / 4);
    v["symbols"] = front(symbols_of(r), most / 4);
    v["plan"] = front(fit_for_slot(plan_table(t)), most / 2);
    const Lines facts = r.step->kind == Kind::requirements ? requirement_lines(r)
                        : r.step->kind == Kind::plan       ? plan_lines(r)
                                                           : review_lines(r);
    v["facts"] = front(fit_for_slot(join(facts, "\n")), most / 4);
    return v;
  }
  const FileFacts facts = gather_facts(r);
  v["path"] = ticked(shorten(clean_prose(facts.path), kLongestName));
  v["purpose"] = clean_prose(facts.purpose);
  v["facts"] = front(fit_for_slot(join(context_facts(r, facts), "\n")), most / 4);
  if (r.step->kind == Kind::think && !r.before_reading) v["readings"] = front(readings_of(r), most / 2);
  if (r.oracle) v["outline"] = front(outline_of(r), most / 4);
  v["incumbent"] = front(r.incumbent, most / 4);
  return v;
}

std::string name_of(const SlotRequest& r) {
  if (r.step->kind == Kind::think) return r.before_reading ? "think_before" : "think_after";
  return data::kind_name(r.step->kind);
}

}  // namespace

Prompts load_prompts(const std::string& folder) {
  Prompts out{kRetracePrompts, ""};
  if (!folder.empty()) {
    if (!fs::is_directory(folder))
      throw Error(Code::recipe, fmt::format("no such folder: {}", folder), "", "generator.prompts");
    for (const std::string& file : list_folder(folder)) {
      const std::string name = fs::path(file).stem().string();
      if (fs::path(file).extension() != ".txt" || !out.texts.count(name))
        throw Error(Code::recipe, fmt::format("'{}' is not the name of a prompt", file),
                    "NAME.txt with one of the names under synth/prompts", "generator.prompts");
      out.texts[name] = read_file(fs::path(folder) / file, 1 << 20);
      if (!is_valid_utf8(out.texts[name])) fail(Code::recipe, "the prompt {} is not UTF-8", file);
    }
  }
  Sha256 sha;
  for (const auto& [name, text] : out.texts) {
    check_placeholders(name, text);
    sha.add(fmt::format("{} {}\n{}", name, text.size(), text));
  }
  out.fingerprint = sha.hex();
  return out;
}

Prompt make_prompt(const Prompts& prompts, const SlotRequest& request, size_t max_bytes) {
  const auto found = prompts.texts.find(name_of(request));
  ensure(found != prompts.texts.end(), "every kind of slot has a prompt");
  std::string user = found->second;
  if (!request.incumbent.empty()) user += prompts.texts.at("improve");
  const Values values = values_of(request, max_bytes);
  return {filled(prompts.texts.at("system"), values), filled(user, values)};
}

}  // namespace retrace::synth
