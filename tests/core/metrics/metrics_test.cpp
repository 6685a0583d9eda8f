// core/metrics/metrics.h: metrics.jsonl is the truth, the TensorBoard file says the same.
#include "core/metrics/metrics.h"

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/metrics/tensorboard.h"
#include "tests/core/testing.h"

using namespace retrace;
using namespace retrace::testing;

namespace {

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& name : list_folder(folder))
    if (name.starts_with("events.out.tfevents.")) out.push_back(folder / name);
  return out;
}

template <class T>
T at(const std::string& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

uint32_t masked(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

// The messages of an event file; every checksum is verified.
std::vector<std::string> messages(const fs::path& path) {
  const std::string bytes = slurp(path);
  std::vector<std::string> out;
  for (size_t offset = 0; offset < bytes.size();) {
    REQUIRE(offset + 12 <= bytes.size());
    const auto length = at<uint64_t>(bytes, offset);
    REQUIRE(at<uint32_t>(bytes, offset + 8) == masked(bytes.substr(offset, 8)));
    REQUIRE(offset + 16 + length <= bytes.size());
    out.push_back(bytes.substr(offset + 12, length));
    REQUIRE(at<uint32_t>(bytes, offset + 12 + length) == masked(out.back()));
    offset += 16 + length;
  }
  return out;
}

bool has_tag(const std::string& message, const std::string& tag) {
  return message.find(tag) != std::string::npos;
}

}  // namespace

TEST_CASE("tensorboard: CRC-32C gives the published values", "[unit]") {
  REQUIRE(crc32c("123456789") == 0xE3069283U);  // the check value of the Castagnoli polynomial
  REQUIRE(crc32c("") == 0);
  REQUIRE(crc32c(std::string(32, '\0')) == 0x8A9136AAU);  // RFC 3720, B.4
  REQUIRE(crc32c(std::string(32, '\xff')) == 0x62A8AB43U);
}

TEST_CASE("tensorboard: a scalar record is framed as TFRecord around an Event", "[unit]") {
  const std::string record = tensorboard_scalar_record(1.5, 300, "train/loss", 2.25F);
  const auto length = at<uint64_t>(record, 0);
  REQUIRE(record.size() == length + 16);
  const std::string message = record.substr(12, length);
  // wall_time = 1.5, step = 300 (two-byte varint), summary { value { tag, simple_value } }
  std::string expected(
      "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f\x10\xac\x02\x2a\x13\x0a\x11\x0a\x0atrain/"
      "loss\x15\x00\x00\x10\x40",
      12 + 4 + 2 + 10 + 5);
  REQUIRE(message == expected);
  REQUIRE(tensorboard_version_record(0).find("brain.Event:2") != std::string::npos);
}

TEST_CASE("metrics: one flat line a record, and the same numbers as events", "[unit]") {
  TempFolder temp;
  {
    Metrics metrics(temp / "run");
    metrics.record("train", 1, 0, 10,
                   {{"loss", 3.5}, {"tokens", 4096}, {"note", "x"}, {"bad", std::nan("")}});
    metrics.record("eval", 1, 0, 10, {{"accuracy", 0.5}, {"skipped", nullptr}, {"done", true}});
    metrics.flush();
  }
  const auto lines = read_jsonl(temp / "run/metrics.jsonl");
  REQUIRE(lines.size() == 2);
  REQUIRE(lines[0]["stage"] == "train");
  REQUIRE(lines[0]["round"] == 1);
  REQUIRE(lines[0]["step"] == 0);
  REQUIRE(lines[0]["global_step"] == 10);
  REQUIRE(lines[0]["loss"] == 3.5);
  REQUIRE(lines[0]["tokens"].is_number_integer());
  REQUIRE(lines[0]["bad"].is_null());
  REQUIRE(lines[0]["time"].get<double>() > 1.6e9);
  const auto files = event_files(temp / "run");
  REQUIRE(files.size() == 1);
  const auto events = messages(files[0]);
  REQUIRE(events.size() == 5);  // version, loss, tokens, the non-finite number, accuracy
  REQUIRE(has_tag(events[0], "brain.Event:2"));
  REQUIRE(has_tag(events[1], "train/loss"));
  REQUIRE(has_tag(events[4], "eval/accuracy"));
}

TEST_CASE("metrics: what is not flat or takes a reserved name is our own error", "[unit]") {
  TempFolder temp;
  Metrics metrics(temp.path());
  for (const Json& bad :
       {Json{{"a", Json::array({1})}}, Json{{"a", Json::object()}}, Json{{"step", 1}}, Json(3)})
    REQUIRE(error_of([&] { metrics.record("train", 0, 0, 0, bad); }).code() == Code::internal);
  REQUIRE(slurp(temp / "metrics.jsonl").empty());
  REQUIRE(event_files(temp.path()).empty());
}

TEST_CASE("metrics: a run that continues leaves one line a step", "[fault]") {
  TempFolder temp;
  {
    Metrics metrics(temp.path());
    for (int step = 0; step < 5; ++step) metrics.record("train", 1, step, step, {{"loss", step}});
    metrics.record("train", 2, 4, 9, {{"loss", 9}});
    metrics.record("eval", 1, 4, 4, {{"accuracy", 1}});
  }
  spill(temp / "metrics.jsonl", slurp(temp / "metrics.jsonl") + "{\"stage\": \"tr");  // killed while writing
  Captured log(STDERR_FILENO);
  {
    Metrics metrics(temp.path());
    metrics.truncate("train", 1, 3);
    metrics.truncate("train", 7, 0);
    for (int step = 3; step < 6; ++step) metrics.record("train", 1, step, step, {{"loss", 100 + step}});
  }
  std::vector<std::pair<int, int>> seen;
  for (const Json& line : read_jsonl(temp / "metrics.jsonl"))
    if (line["stage"] == "train" && line["round"] == 1) seen.emplace_back(line["step"], line["loss"]);
  REQUIRE(seen == std::vector<std::pair<int, int>>{{0, 0}, {1, 1}, {2, 2}, {3, 103}, {4, 104}, {5, 105}});
  REQUIRE(read_jsonl(temp / "metrics.jsonl").size() == 8);
  const auto files = event_files(temp.path());
  REQUIRE(files.size() == 1);
  REQUIRE(messages(files[0]).size() == 1 + 8);
}

TEST_CASE("metrics: a fault while truncating keeps metrics.jsonl whole", "[fault]") {
  for (int nth = 1;; ++nth) {
    TempFolder temp;
    Metrics metrics(temp.path());
    for (int step = 0; step < 4; ++step) metrics.record("train", 1, step, step, {{"loss", step}});
    int count = 0;
    set_file_operation_hook([&](const char*, const fs::path&) {
      if (++count == nth) throw Error(Code::io, "injected");
    });
    bool failed = false;
    try {
      metrics.truncate("train", 1, 2);
    } catch (const Error&) {
      failed = true;
    }
    set_file_operation_hook(nullptr);
    const size_t lines = read_jsonl(temp / "metrics.jsonl").size();
    REQUIRE((lines == 4 || lines == 2));
    if (!failed) {
      REQUIRE(lines == 2);
      REQUIRE(nth > 5);
      return;
    }
  }
}

TEST_CASE("metrics: threads may record at once", "[unit]") {
  TempFolder temp;
  Metrics metrics(temp.path());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&metrics, t] {
      for (int i = 0; i < 50; ++i) metrics.record("s" + std::to_string(t), 0, i, i, {{"v", i}});
    });
  for (auto& thread : threads) thread.join();
  REQUIRE(read_jsonl(temp / "metrics.jsonl").size() == 200);
  REQUIRE(messages(event_files(temp.path()).at(0)).size() == 201);
}

TEST_CASE("metrics: reading lines names the bad one and leaves out an unfinished last one", "[unit]") {
  TempFolder temp;
  spill(temp / "a.jsonl", "{\"a\": 1}\n\n{\"a\": 2}\n{\"a\":");
  REQUIRE(read_jsonl(temp / "a.jsonl").size() == 2);
  spill(temp / "a.jsonl", "{\"a\": 1}\n{\"a\": 2}");
  REQUIRE(read_jsonl(temp / "a.jsonl").size() == 2);
  spill(temp / "a.jsonl", "{\"a\": 1}\n{\"a\":\n{}\n");
  const Error error = error_of([&] { read_jsonl(temp / "a.jsonl"); });
  REQUIRE(error.code() == Code::corrupt);
  REQUIRE(error.where().starts_with((temp / "a.jsonl").string() + ":2"));
  spill(temp / "a.jsonl", "");
  REQUIRE(read_jsonl(temp / "a.jsonl").empty());
}

// tests/peers/test_tensorboard.py runs this with RETRACE_EVENTS_OUT and reads the folder with TensorBoard.
TEST_CASE("tensorboard: a run folder for TensorBoard's own reader", "[unit]") {
  TempFolder temp;
  const char* wanted = std::getenv("RETRACE_EVENTS_OUT");
  const fs::path folder = wanted != nullptr ? fs::path(wanted) : temp.path();
  {
    Metrics metrics(folder);
    for (int step = 0; step < 200; ++step)
      metrics.record("train", 1, step, step, {{"loss", 4.0 / (step + 1)}, {"lr", 1e-5 * step}});
  }
  Metrics metrics(folder);
  metrics.truncate("train", 1, 150);
  for (int step = 150; step < 300; ++step)
    metrics.record("train", 1, step, step, {{"loss", 4.0 / (step + 1)}, {"lr", 1e-5 * step}});
  metrics.record("eval", 1, 0, 300, {{"humaneval pass@1", 0.25}, {"big", int64_t{1} << 40}});
  REQUIRE(read_jsonl(folder / "metrics.jsonl").size() == 301);
  REQUIRE(messages(event_files(folder).at(0)).size() == 1 + 2 * 301);
}
