// The viewer and the exports are projections of the record.
#include <catch2/catch_test_macros.hpp>

#include <sstream>

#include "core/error.h"
#include "core/files/files.h"
#include "core/text.h"
#include "synth/export.h"
#include "synth/export/forms.h"
#include "synth/record/store.h"
#include "synth/show.h"
#include "tests/synth/record_testing.h"

using namespace retrace;
using namespace retrace::synth;
using namespace retrace::synth::handmade;

TEST_CASE("a shard is shown in three forms, another file is not taken for one", "[unit]") {
  const TempFolder folder;
  const fs::path file = folder.path() / "a.traj", other = folder.path() / "b.txt";
  const Trajectory t = make_trajectory(make_repository());
  TrajectoryWriter writer(file);
  writer.add(t);
  writer.finish();
  write_file(other, "text");
  std::ostringstream terminal, html, json, none;
  REQUIRE(show_trajectory(file, {0, "terminal"}, terminal));
  REQUIRE(terminal.str().find("+ def load_table(table_name):") != std::string::npos);
  REQUIRE(terminal.str().find(". def load_table(table_name):") != std::string::npos);
  REQUIRE(terminal.str().find('\033') == std::string::npos);
  REQUIRE(show_trajectory(file, {0, "html"}, html));
  REQUIRE(html.str().starts_with("<!doctype html>"));
  REQUIRE(show_trajectory(file, {0, "json"}, json));
  REQUIRE(trajectory_from_json(parse_json(trim(json.str()), "json"), "json").rev == t.rev);
  REQUIRE_FALSE(show_trajectory(other, {}, none));
  REQUIRE_THROWS_AS(show_trajectory(file, {1, "json"}, none), Error);
  REQUIRE_THROWS_AS(show_trajectory(file, {0, "pdf"}, none), Error);
}

TEST_CASE("messages: every call is answered next, and the writes rebuild the files", "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  const Json out = to_messages(t, Variant::repo2agent_search);
  std::map<std::string, std::string> files;
  const Json& messages = out["messages"];
  REQUIRE(messages[0]["role"] == "user");
  for (size_t i = 0; i < messages.size(); ++i) {
    const Json& m = messages[i];
    if (!m.contains("tool_calls")) continue;
    const Json& call = m["tool_calls"][0];
    REQUIRE(messages.at(i + 1)["tool_call_id"] == call["id"]);
    REQUIRE(messages.at(i + 1)["role"] == "tool");
    if (call["function"]["name"] != "write_file") continue;
    const Json arguments = parse_json(call["function"]["arguments"].get<std::string>(), "arguments");
    files[arguments["path"].get<std::string>()] += arguments["content"].get<std::string>();
  }
  for (const SourceFile& file : r.snapshot.files)
    if (is_valid_utf8(file.content)) REQUIRE(files[file.path] == file.content);
  REQUIRE(out["tools"].size() == 2);
}

TEST_CASE("ShareGPT alternates; text is the rendered document", "[unit]") {
  const Trajectory t = make_trajectory(make_repository());
  const Json out = to_sharegpt(t, Variant::repo2agent);
  const Json& turns = out["conversations"];
  REQUIRE(turns.size() % 2 == 0);
  for (size_t i = 0; i < turns.size(); ++i) {
    const auto from = turns[i]["from"].get<std::string>();
    REQUIRE((i % 2 == 1 ? from == "gpt" : i == 0 ? from == "human" : from == "observation"));
  }
  const Json text = to_text_record(t, {});
  REQUIRE(text["text"].get<std::string>().find("MARK = '<|eot_id|>'") != std::string::npos);
  REQUIRE_THROWS_AS(to_messages(t, Variant::raw_repos), Error);
}

TEST_CASE("a folder of shards is exported line by line", "[unit]") {
  const TempFolder folder;
  for (const char* name : {"a", "b"}) {
    TrajectoryWriter writer(folder.path() / (std::string(name) + ".traj"));
    writer.add(make_trajectory(make_repository(name)));
    writer.finish();
  }
  for (const char* format : {"messages", "sharegpt", "atif", "text", "json"}) {
    const fs::path to = folder.path() / "out.jsonl";
    REQUIRE(export_trajectories(folder.path(), format, {}, to) == 2);
    REQUIRE(split_lines(read_file(to)).size() == 2);
  }
  REQUIRE_THROWS_AS(export_trajectories(folder.path(), "parquet", {}, folder.path() / "x"), Error);
}

TEST_CASE("ATIF: steps are numbered, results answer calls, references resolve, writes rebuild the files",
          "[unit]") {
  const Repository r = make_repository();
  const Trajectory t = make_trajectory(r);
  const Json out = to_atif(t, Variant::repo2agent_search);
  REQUIRE(out["schema_version"] == "ATIF-v1.7");
  std::map<std::string, const Json*> embedded;
  for (const Json& sub : out["subagent_trajectories"])
    REQUIRE(embedded.emplace(sub["trajectory_id"].get<std::string>(), &sub).second);
  REQUIRE(embedded.size() == t.tree.size());
  std::map<std::string, std::string> files;
  size_t n_reads = 0, n_thoughts = 0;
  const auto check = [&](const Json& one, const auto& self) -> void {
    int64_t next = 1;
    for (const Json& step : one["steps"]) {
      REQUIRE(step["step_id"] == next++);
      if (step["source"] != "agent") REQUIRE_FALSE(step.contains("reasoning_content"));
      n_thoughts += step.contains("reasoning_content");
      if (!step.contains("tool_calls")) continue;
      const Json &call = step["tool_calls"][0], &result = step["observation"]["results"][0];
      REQUIRE(result["source_call_id"] == call["tool_call_id"]);
      if (call["function_name"] == "delegate")
        self(*embedded.at(result["subagent_trajectory_ref"][0]["trajectory_id"].get<std::string>()), self);
      if (call["function_name"] == "write_file")
        files[call["arguments"]["path"].get<std::string>()] +=
            call["arguments"]["content"].get<std::string>();
      n_reads += call["function_name"] == "read_file";
    }
  };
  check(out, check);
  for (const SourceFile& file : r.snapshot.files)
    if (is_valid_utf8(file.content)) REQUIRE(files[file.path] == file.content);
  size_t reads = 0;
  for (const Step& step : t.steps) reads += step.kind == Kind::read;
  REQUIRE(n_reads == reads);
  REQUIRE(n_thoughts > 0);
  REQUIRE_THROWS_AS(to_atif(t, Variant::raw_repos), Error);
}
