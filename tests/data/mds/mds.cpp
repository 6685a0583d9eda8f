// MDS shards: what is written is read, what others write is read, what is broken is refused by shard and
// sample.
#include "data/mds/mds.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/files/files.h"
#include "core/json.h"
#include "data/mds/mds_format.h"
#include "tests/data/testing.h"

namespace retrace::data {
namespace {

using namespace testing;

std::vector<Sample> write_samples(const fs::path& folder, int count, MdsOptions options, bool fractional,
                                  uint64_t seed) {
  Random random(seed, 11);
  std::vector<Sample> samples;
  MdsWriter writer(folder, options);
  for (int i = 0; i < count; ++i) {
    samples.push_back(
        random_sample(random, 1 + static_cast<int64_t>(random.below(400)), fractional && i % 3 == 0));
    writer.add(samples.back());
  }
  writer.finish();
  return samples;
}

// One raw shard made by hand: columns (name, encoding, fixed size or 0) and one sample's values.
struct HandMade {
  struct Column {
    std::string name, encoding;
    int64_t fixed = 0;
    std::string bytes;
  };
  std::vector<Column> columns;

  void write(const fs::path& folder) const {
    std::string sizes, values;
    Json names = Json::array(), encodings = Json::array(), fixed = Json::array();
    for (const Column& column : columns) {
      names.push_back(column.name);
      encodings.push_back(column.encoding);
      fixed.push_back(column.fixed == 0 ? Json(nullptr) : Json(column.fixed));
      if (column.fixed == 0) append_u32(column.bytes.size(), sizes);
      values += column.bytes;
    }
    std::string raw;
    append_u32(1, raw);
    append_u32(14, raw);
    append_u32(14 + sizes.size() + values.size(), raw);
    raw += "{}" + sizes + values;
    write_file(folder / "shard.00000.mds", raw);
    const Json shard = {
        {"version", 2},
        {"format", "mds"},
        {"compression", nullptr},
        {"hashes", Json::array()},
        {"size_limit", 67108864},
        {"samples", 1},
        {"raw_data", {{"basename", "shard.00000.mds"}, {"bytes", raw.size()}, {"hashes", Json::object()}}},
        {"zip_data", nullptr},
        {"column_names", names},
        {"column_encodings", encodings},
        {"column_sizes", fixed}};
    write_file(folder / "index.json", to_text(Json{{"version", 2}, {"shards", Json::array({shard})}}));
  }
};

template <class T>
std::string plain(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string told(const std::vector<Sample>& samples) {
  Json list = Json::array();
  for (const Sample& sample : samples)
    list.push_back({{"input_ids", sample.input_ids},
                    {"spans", sample.spans},
                    {"weights", sample.weights},
                    {"domain", sample.domain}});
  return to_text(list);
}

Sample read_one(const fs::path& folder) {
  return MdsReader(folder).read(0);
}

}  // namespace

TEST_CASE("samples come back from shards, raw and packed, with and without fractions", "[unit]") {
  for (const bool zstd : {false, true}) {
    for (const bool fractional : {false, true}) {
      const TempFolder folder;
      const auto samples = write_samples(folder / "set", 120, {20000, zstd}, fractional, 3);
      const MdsReader reader(folder / "set");
      REQUIRE(reader.size() == 120);
      REQUIRE(reader.num_shards() > 3);
      REQUIRE(reader.shard_range(0).first == 0);
      for (int s = 1; s < reader.num_shards(); ++s)
        REQUIRE(reader.shard_range(s).first == reader.shard_range(s - 1).second);
      for (int64_t i = 119; i >= 0; --i) REQUIRE(same(reader.read(i), samples[static_cast<size_t>(i)]));
      for (const std::string& name : list_folder(folder / "set"))
        if (name.ends_with(".mds")) REQUIRE(fs::file_size(folder / "set" / name) <= 20000);
      REQUIRE(error_of([&] { reader.read(120); }).code() == Code::input);
      std::vector<std::thread> threads;
      std::vector<int> wrong(3, 0);
      for (size_t t = 0; t < wrong.size(); ++t)
        threads.emplace_back([&, t] {
          for (size_t i = t; i < samples.size(); i += 2)
            wrong[t] += !same(reader.read(static_cast<int64_t>(i)), samples[i]);
        });
      for (std::thread& thread : threads) thread.join();
      REQUIRE(wrong == std::vector<int>{0, 0, 0});
    }
  }
}

TEST_CASE("the same samples give the same files, and writing again replaces the set", "[unit]") {
  const TempFolder a, b;
  write_samples(a.path(), 40, {9000, false}, true, 4);
  write_samples(b.path(), 90, {9000, true}, true, 5);
  const std::string before = MdsReader(b.path()).fingerprint();
  write_samples(b.path(), 40, {9000, false}, true, 4);
  REQUIRE(list_folder(a.path()) == list_folder(b.path()));
  for (const std::string& name : list_folder(a.path())) REQUIRE(read_file(a / name) == read_file(b / name));
  REQUIRE(MdsReader(a.path()).fingerprint() == MdsReader(b.path()).fingerprint());
  REQUIRE(MdsReader(b.path()).fingerprint() != before);
}

TEST_CASE("a set whose writing broke off is no data set", "[unit]") {
  const TempFolder folder;
  write_samples(folder.path(), 5, {}, false, 6);
  {
    Random random(1, 12);
    MdsWriter writer(folder.path(), {1000, false});
    for (int i = 0; i < 20; ++i) writer.add(random_sample(random, 50, false));
  }
  REQUIRE(error_of([&] { MdsReader reader(folder.path()); }).code() == Code::input);
  int operations = 0;
  set_file_operation_hook([&](const char* operation, const fs::path& path) {
    if (std::string(operation) == "rename" && path.filename().string().find("index") != std::string::npos)
      ++operations;
    if (operations > 0) throw Error(Code::io, "disk full");
  });
  const Error error = error_of([&] { write_samples(folder.path(), 5, {}, false, 6); });
  set_file_operation_hook(nullptr);
  REQUIRE(error.code() == Code::io);
  REQUIRE(!fs::exists(folder / "index.json"));
}

TEST_CASE("a broken shard is refused by name", "[unit]") {
  for (const bool zstd : {false, true}) {
    const TempFolder folder;
    write_samples(folder.path(), 30, {4000, zstd}, false, 7);
    const std::string name = zstd ? "shard.00001.mds.zstd" : "shard.00001.mds";
    const std::string good = read_file(folder / name);
    const int64_t sample = MdsReader(folder.path()).shard_range(1).first;
    auto require_refused = [&](const std::string& what) {
      const Error error = error_of([&] { MdsReader(folder.path()).read(sample); });
      INFO(what << ": " << error.what());
      REQUIRE(error.code() == Code::corrupt);
      REQUIRE(std::string(error.what()).find("shard.00001") != std::string::npos);
    };
    for (size_t size : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 1}) {
      write_file(folder / name, good.substr(0, size));
      require_refused("cut");
    }
    for (size_t at : {size_t{0}, size_t{5}, good.size() / 2, good.size() - 1}) {
      std::string flipped = good;
      flipped[at] = static_cast<char>(flipped[at] ^ 1);
      write_file(folder / name, flipped);
      require_refused("flipped");
    }
    write_file(folder / name, good + "x");
    require_refused("longer");
    fs::remove(folder / name);
    require_refused("missing");
    write_file(folder / name, good);
    MdsReader(folder.path()).read(sample);
  }
}

TEST_CASE("a shard whose inside lies is refused, hash or no hash", "[unit]") {
  const TempFolder folder;
  write_samples(folder.path(), 3, {}, false, 8);
  const Json index = parse_json(read_file(folder / "index.json"), "");
  const std::string good = read_file(folder / "shard.00000.mds");
  auto store = [&](std::string shard, bool zipped, uint64_t said) {
    Json changed = index;
    Json& entry = changed["shards"][0];
    entry["raw_data"]["hashes"] = Json::object();
    entry["raw_data"]["bytes"] = said;
    if (zipped) {
      entry["compression"] = "zstd";
      entry["zip_data"] = {{"basename", "s.zstd"}, {"bytes", shard.size()}, {"hashes", Json::object()}};
      fs::remove(folder / "shard.00000.mds");
      write_file(folder / "s.zstd", shard);
    } else {
      write_file(folder / "shard.00000.mds", shard);
    }
    write_file(folder / "index.json", to_text(changed));
  };
  auto patched = [&](size_t at, uint32_t value) {
    std::string shard = good;
    std::memcpy(shard.data() + at, &value, 4);
    return shard;
  };
  const uint32_t first = read_u32(good, 4), second = read_u32(good, 8);
  const std::vector<std::string> liars = {
      patched(0, 2),               // number of samples
      patched(4, 3),               // offset inside the table
      patched(8, 0xFFFFFFFF),      // offset outside the file
      patched(8, first + 1),       // sample cut short
      patched(first, 0xFFFFFF00),  // size of a column
      patched(first + 8, read_u32(good, first + 8) - 4),
      patched(second - 4, 0x7F7F7F7F),  // mask values: still a mask
  };
  for (size_t i = 0; i + 1 < liars.size(); ++i) {
    store(liars[i], false, good.size());
    const Error error = error_of([&] { MdsReader(folder.path()).read(0); });
    INFO(i << ": " << error.what());
    REQUIRE(error.code() == Code::corrupt);
    REQUIRE(std::string(error.what()).find("shard.00000.mds") != std::string::npos);
    if (i >= 3) REQUIRE(std::string(error.what()).find("sample 0") != std::string::npos);
  }
  store(liars.back(), false, good.size());
  MdsReader(folder.path()).read(0);
  for (const auto& [bytes, said] :
       std::vector<std::pair<std::string, uint64_t>>{{"no zstd at all", good.size()},
                                                     {std::string("\x28\xb5\x2f\xfd\x20\x05"
                                                                  "abcdefgh",
                                                                  14),
                                                      5}}) {
    store(bytes, true, std::max<uint64_t>(said, 8));
    REQUIRE(error_of([&] { MdsReader(folder.path()).read(0); }).code() == Code::corrupt);
  }
}

TEST_CASE("an index that breaks the format is refused", "[unit]") {
  const TempFolder folder;
  write_samples(folder.path(), 3, {}, false, 9);
  const Json good = parse_json(read_file(folder / "index.json"), "");
  struct Case {
    const char* pointer;
    Json value;
    Code code;
  };
  const std::vector<Case> cases = {{"/version", 1, Code::input},
                                   {"/shards", 3, Code::corrupt},
                                   {"/shards/0/format", "json", Code::input},
                                   {"/shards/0/version", 3, Code::input},
                                   {"/shards/0/samples", -1, Code::corrupt},
                                   {"/shards/0/samples", "3", Code::corrupt},
                                   {"/shards/0/samples", 1e18, Code::corrupt},
                                   {"/shards/0/raw_data/basename", "../../etc/passwd", Code::corrupt},
                                   {"/shards/0/raw_data/basename", "..", Code::corrupt},
                                   {"/shards/0/raw_data/bytes", -5, Code::corrupt},
                                   {"/shards/0/raw_data/bytes", 99999999999, Code::corrupt},
                                   {"/shards/0/raw_data", nullptr, Code::corrupt},
                                   {"/shards/0/column_names", Json::array({"a"}), Code::corrupt},
                                   {"/shards/0/column_names/2", "text", Code::input},
                                   {"/shards/0/column_sizes/0", -1, Code::corrupt},
                                   {"/shards/0/column_encodings/2", 7, Code::corrupt}};
  for (const Case& c : cases) {
    Json bad = good;
    bad[Json::json_pointer(c.pointer)] = c.value;
    write_file(folder / "index.json", to_text(bad));
    const Error error = error_of([&] { MdsReader reader(folder.path()); });
    INFO(c.pointer << ": " << error.what());
    REQUIRE(error.code() == c.code);
    REQUIRE(error.where().find("index.json") != std::string::npos);
  }
  Json zipped = good;
  zipped["shards"][0]["compression"] = "br";
  zipped["shards"][0]["zip_data"] = zipped["shards"][0]["raw_data"];
  write_file(folder / "index.json", to_text(zipped));
  REQUIRE(error_of([&] { MdsReader reader(folder.path()); }).code() == Code::input);
  write_file(folder / "index.json", "{\"version\": 2, \"shards\": [");
  REQUIRE(error_of([&] { MdsReader reader(folder.path()); }).code() == Code::corrupt);
}

TEST_CASE("ids of other widths are read; what ProLong leaves out is filled in", "[unit]") {
  const TempFolder folder;
  const std::vector<int32_t> expected = {5, 70, 65535, 3};
  const std::string head("\x04\x04", 2);  // one dimension, sizes of one byte: 4
  const std::vector<std::pair<std::string, std::string>> forms = {
      {"ndarray:uint16", head + plain(std::vector<uint16_t>{5, 70, 65535, 3})},
      {"ndarray:uint32", head + plain(std::vector<uint32_t>{5, 70, 65535, 3})},
      {"ndarray:int32", head + plain(std::vector<int32_t>{5, 70, 65535, 3})},
      {"ndarray:int64", head + plain(std::vector<int64_t>{5, 70, 65535, 3})},
      {"ndarray:uint16:4", plain(std::vector<uint16_t>{5, 70, 65535, 3})},
      {"ndarray", "\x10" + head + plain(std::vector<uint16_t>{5, 70, 65535, 3})},
      {"ndarray::2,2", "\x21" + plain(std::vector<int32_t>{5, 70, 65535, 3})}};
  for (const auto& [encoding, bytes] : forms) {
    HandMade{{{"domain", "str", 0, "books"},
              {"input_ids", encoding, 0, bytes},
              {"length", "int", 8, plain(std::vector<int64_t>{4})}}}
        .write(folder.path());
    const Sample sample = read_one(folder.path());
    INFO(encoding);
    REQUIRE(sample.input_ids == expected);
    REQUIRE(sample.spans == std::vector<std::pair<uint32_t, uint32_t>>{{0, 4}});
    REQUIRE(sample.weights == std::vector<float>{0, 1, 1, 1});
    REQUIRE(sample.domain == "books");
  }
  const std::string ids = head + plain(std::vector<uint32_t>{5, 70, 65535, 3});
  // Spans with a gap and an empty one: the gap is a span of weight 0.
  HandMade{{{"indices", "ndarray:int64", 0,
             std::string("\x08\x03\x02", 3) + plain(std::vector<int64_t>{0, 2, 2, 2, 3, 4})},
            {"input_ids", "ndarray:uint32", 0, ids}}}
      .write(folder.path());
  REQUIRE(read_one(folder.path()).spans ==
          std::vector<std::pair<uint32_t, uint32_t>>{{0, 2}, {2, 3}, {3, 4}});
  REQUIRE(read_one(folder.path()).weights == std::vector<float>{0, 1, 0, 0});
  HandMade{{{"input_ids", "ndarray:uint32", 0, ids},
            {"mask", "ndarray:int64", 0, head + plain(std::vector<int64_t>{1, 1, 0, 1})},
            {"other", "pkl", 0, "ignored"}}}
      .write(folder.path());
  REQUIRE(read_one(folder.path()).weights == std::vector<float>{0, 1, 0, 1});
}

TEST_CASE("values that make no sample are refused by column", "[unit]") {
  const TempFolder folder;
  const std::string head("\x04\x04", 2), pairs("\x08\x02\x02", 3);
  const std::string ids = head + plain(std::vector<uint32_t>{5, 70, 80, 3});
  const HandMade::Column good{"input_ids", "ndarray:uint32", 0, ids};
  const std::vector<std::pair<std::vector<HandMade::Column>, const char*>> cases = {
      {{{"input_ids", "ndarray:float32", 0, ids}}, "whole number"},
      {{{"input_ids", "str", 0, ids}}, "input_ids"},
      {{{"input_ids", "ndarray:uint32", 0, head + plain(std::vector<uint32_t>{1, 2, 3, 0x80000000u})}},
       "input_ids"},
      {{{"input_ids", "ndarray:int32", 0, head + plain(std::vector<int32_t>{1, 2, 3, -1})}}, "input_ids"},
      {{{"input_ids", "ndarray:uint32", 0, ids.substr(0, 9)}}, "input_ids"},
      {{{"input_ids", "ndarray:uint32", 0, ""}}, "input_ids"},
      {{{"input_ids", "ndarray:uint32", 0, std::string("\xff\xff\xff\xff", 4)}}, "input_ids"},
      {{{"input_ids", "ndarray", 0, "\x63" + ids}}, "input_ids"},
      {{{"input_ids", "ndarray:uint32", 0, std::string("\x07\xff\xff\xff\xff\xff\xff\xff\xff", 9)}},
       "input_ids"},
      {{{"indices", "ndarray:uint32", 0, pairs + plain(std::vector<uint32_t>{0, 3, 2, 4})}, good}, "indices"},
      {{{"indices", "ndarray:uint32", 0, pairs + plain(std::vector<uint32_t>{0, 2, 2, 5})}, good}, "indices"},
      {{{"indices", "ndarray:uint32", 0, pairs + plain(std::vector<uint32_t>{2, 1, 2, 4})}, good}, "indices"},
      {{{"indices", "ndarray:uint32", 0, std::string("\x04\x03", 2) + plain(std::vector<uint32_t>{0, 1, 2})},
        good},
       "indices"},
      {{good, {"mask", "ndarray:uint8", 0, std::string("\x04\x03\x01\x01\x01", 5)}}, "mask"},
      {{good, {"weight", "ndarray:float32", 0, head + plain(std::vector<float>{1, 1, -1, 1})}}, "weight"},
      {{good, {"weight", "ndarray:float32", 0, head + plain(std::vector<float>{1, 1, NAN, 1})}}, "weight"}};
  for (size_t i = 0; i < cases.size(); ++i) {
    HandMade{cases[i].first}.write(folder.path());
    const Error error = error_of([&] { read_one(folder.path()); });
    INFO(i << ": " << error.what());
    REQUIRE(error.code() == Code::corrupt);
    REQUIRE(error.message().find(cases[i].second) != std::string::npos);
    REQUIRE(error.where().find("sample 0") != std::string::npos);
  }
}

TEST_CASE("half floats are read as weights", "[unit]") {
  const TempFolder folder;
  const std::string head("\x04\x04", 2);
  HandMade{
      {{"input_ids", "ndarray:uint32", 0, head + plain(std::vector<uint32_t>{1, 2, 3, 4})},
       {"weight", "ndarray:float16", 0, head + plain(std::vector<uint16_t>{0x3C00, 0x3800, 0x0001, 0x4248})}}}
      .write(folder.path());
  REQUIRE(read_one(folder.path()).weights == std::vector<float>{0, 0.5f, 0x1p-24f, 3.140625f});
}

// The Python peer test sets the variables: it has the reference library read what is written here, and the
// reverse.
TEST_CASE("shards exchanged with the reference library", "[unit]") {
  const char* out = std::getenv("RETRACE_MDS_OUT");
  const TempFolder fallback;
  const fs::path folder = out ? fs::path(out) : fallback.path();
  const auto samples = write_samples(folder / "raw", 40, {12000, false}, true, 21);
  write_samples(folder / "zstd", 40, {12000, true}, true, 21);
  write_file(folder / "samples.json", told(samples));
  write_file(folder / "plain.json", told(write_samples(folder / "plain", 40, {12000, false}, false, 22)));
  const char* in = std::getenv("RETRACE_MDS_IN");
  const fs::path from = in ? fs::path(in) : folder;
  const Json expected = parse_json(read_file(from / "samples.json"), "samples.json");
  int sets = 0;
  for (const std::string& name : list_folder(from)) {
    if (!fs::exists(from / name / "index.json") || name == "plain") continue;
    ++sets;
    const MdsReader reader(from / name);
    REQUIRE(reader.size() == static_cast<int64_t>(expected.size()));
    for (size_t i = 0; i < expected.size(); ++i) {
      const Sample sample = reader.read(static_cast<int64_t>(i));
      const Json& want = expected[i];
      INFO(name << " sample " << i);
      REQUIRE(sample.input_ids == want.at("input_ids").get<std::vector<int32_t>>());
      REQUIRE(sample.spans == want.at("spans").get<std::vector<std::pair<uint32_t, uint32_t>>>());
      REQUIRE(sample.weights == want.at("weights").get<std::vector<float>>());
      REQUIRE(sample.domain == want.at("domain").get<std::string>());
    }
  }
  REQUIRE(sets >= 2);
}

}  // namespace retrace::data
