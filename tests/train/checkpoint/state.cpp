// The sharded state without communication: the grid, norms and roots that no world size changes, and files
// that any world size reads.
#include <ATen/core/Tensor.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <functional>

#include "core/error.h"
#include "core/files/files.h"
#include "core/random.h"
#include "model/llama/known_shapes.h"
#include "tests/train/testing.h"
#include "train/checkpoint.h"
#include "train/checkpoint/state_io.h"

using namespace retrace;
using namespace retrace::train;
using namespace retrace::train::testing;

namespace {

constexpr int64_t kChunkKib = 1;

// A world of ranks with made-up state: every element is a function of its place, so every world has the same.
struct MadeUp {
  FlatLayout layout;
  std::vector<std::unique_ptr<LonelyCollectives>> ranks;
  std::vector<std::unique_ptr<Shards>> shards;

  MadeUp(bool tied, int world, bool filled, int64_t chunk_kib = kChunkKib)
      : layout(tiny_config(tied), chunk_kib) {
    for (int r = 0; r < world; ++r) {
      ranks.push_back(std::make_unique<LonelyCollectives>(r, world));
      shards.push_back(std::make_unique<Shards>(layout, Sharding::zero3, false, *ranks.back()));
      if (filled) fill(*shards.back(), r);
    }
  }

  void fill(Shards& s, int rank) const {
    for (int u = 0; u < layout.num_units(); ++u) {
      const int64_t begin = rank * s.elements(u);
      for (const Piece& piece : layout.pieces(u, begin, begin + s.elements(u))) {
        for (int64_t i = 0; i < piece.count; ++i) {
          const auto at = static_cast<uint64_t>(piece.flat + i);
          const auto value = [&](uint64_t kind) {
            return static_cast<float>(random_u64(kind, static_cast<uint64_t>(u), at) >> 40) * 1e-6f;
          };
          for (int k = 0; k < kNumStateKinds; ++k)
            s.state(static_cast<StateKind>(k), u)[piece.flat + i - begin] = value(static_cast<uint64_t>(k));
          s.unit(u).gradient.mutable_data_ptr<float>()[piece.flat + i - begin] = value(9) - 8.0f;
        }
      }
    }
  }

  Manifest save(const fs::path& folder) {
    std::vector<WrittenPart> parts;
    make_folders(folder);
    for (auto& s : shards) parts.push_back(write_part(folder, view_of(*s), 1));
    Manifest manifest;
    manifest.world = static_cast<int64_t>(shards.size());
    assemble(layout, parts, manifest);
    write_file(folder / kManifestName, manifest_text(manifest));
    return manifest;
  }

  double norm() {
    std::vector<double> all;
    int64_t stride = 0;
    for (auto& s : shards) {
      const std::vector<double> sums = s->gradient_chunk_sums();
      stride = static_cast<int64_t>(sums.size());
      all.insert(all.end(), sums.begin(), sums.end());
    }
    return shards.front()->gradient_norm(all, stride);
  }
};

void expect_corrupt(const fs::path& folder, const std::string& name) {
  try {
    MadeUp one(false, 1, false);
    read_part(StateReader(folder, read_manifest(folder)), *one.shards[0]);
  } catch (const Error& error) {
    INFO(error.what());
    REQUIRE(error.status() == 3);
    REQUIRE(std::string(error.what()).find(name) != std::string::npos);
    return;
  }
  FAIL("accepted a bad " << name);
}

}  // namespace

TEST_CASE("the grid covers every parameter once, in order", "[unit]") {
  for (const bool tied : {false, true}) {
    const FlatLayout layout(tiny_config(tied), kChunkKib);
    int64_t total = 0;
    for (int u = 0; u < layout.num_units(); ++u) {
      int64_t chunks = 0, elements = 0;
      for (int64_t c = 0; c < layout.num_chunks(u); ++c) elements += layout.chunk_size(u, c);
      REQUIRE(elements == layout.unit(u).spec.size());
      REQUIRE(layout.logical(u, layout.unit(u).size) == elements);
      for (int r = 0; r < 3; ++r) {
        const auto [first, last] = layout.chunks_of_rank(u, r, 3);
        REQUIRE(first == std::min(layout.num_chunks(u), r * layout.chunks_per_rank(u, 3)));
        chunks += last - first;
      }
      REQUIRE(chunks == layout.num_chunks(u));
      total += elements;
    }
    REQUIRE(total == tiny_config(tied).num_parameters());
  }
  REQUIRE(FlatLayout(tiny_config(), 3).chunk_elements() == 768);
  for (const int64_t none : {-1, 65537}) REQUIRE_THROWS_AS(FlatLayout(tiny_config(), none), Error);
}

TEST_CASE("ranks of Llama-3 hold at most one part in a hundred as padding at 8 to 512 ranks", "[unit]") {
  for (const char* name : {"llama-3-8b"}) {
    const FlatLayout layout(model::known_llama_config(name), 0);
    for (const int world : {8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512}) {
      int64_t held = 0, real = 0;
      for (int u = 0; u < layout.num_units(); ++u) {
        held += layout.elements_per_rank(u, world) * world;
        real += layout.unit(u).size;
      }
      INFO(name << " at " << world << " ranks: " << held << " elements held, " << real << " real");
      REQUIRE(held >= real);
      REQUIRE(static_cast<double>(held) <= 1.01 * static_cast<double>(real));
    }
  }
}

TEST_CASE("a checkpoint of 512 ranks holds each parameter three times, and nothing else", "[unit]") {
  const TempFolder temp;
  MadeUp many(false, 512, true);
  const Manifest manifest = many.save(temp.path() / "w512");
  int64_t bytes = 0;
  for (const StateFile& file : manifest.files) bytes += file.bytes;
  REQUIRE(manifest.files.size() == 512);
  REQUIRE(bytes == 12 * tiny_config().num_parameters());
  REQUIRE(manifest.root == MadeUp(false, 1, true).save(temp.path() / "w1").root);
}

TEST_CASE("a checkpoint is read on chunks of another size than its own", "[unit]") {
  const TempFolder temp;
  MadeUp(false, 3, true, 1).save(temp.path() / "written");
  const Manifest written = read_manifest(temp.path() / "written");
  int turn = 0;
  for (const int64_t chunk_kib : {3, 4, 16})
    for (const int world : {1, 2, 5}) {
      MadeUp read(false, world, false, chunk_kib);
      for (auto& s : read.shards) read_part(StateReader(temp.path() / "written", written), *s);
      const std::string to = fmt::format("read-{}", ++turn);
      REQUIRE(read.save(temp.path() / to).root ==
              MadeUp(false, 1, true, chunk_kib).save(temp.path() / "w1").root);
      fs::remove_all(temp.path() / "w1");
    }
}

TEST_CASE("the gradient norm has the same bits at any world size", "[unit]") {
  const double one = MadeUp(false, 1, true).norm();
  REQUIRE(one > 0);
  for (const int world : {2, 3, 5}) REQUIRE(MadeUp(false, world, true).norm() == one);
}

TEST_CASE("a checkpoint's root is the same at any world size, and any world size reads it", "[unit]") {
  for (const bool tied : {false, true}) {
    TempFolder temp;
    const std::string root = MadeUp(tied, 1, true).save(temp.path() / "w1").root;
    fs::path from = temp.path() / "w1";
    for (const int world : {2, 3, 8, 1, 8, 5, 1}) {
      MadeUp ranks(tied, world, false);
      const StateReader reader(from, read_manifest(from));
      for (auto& s : ranks.shards) read_part(reader, *s);
      const fs::path to = temp.path() / fmt::format("w{}-from-{}", world, from.filename().string());
      REQUIRE(ranks.save(to).root == root);
      from = to;
    }
  }
}

TEST_CASE("a checkpoint's weights are read by name and range", "[unit]") {
  TempFolder temp;
  const fs::path folder = temp.path() / "two";
  MadeUp two(false, 2, true), one(false, 1, true);
  const std::string root = two.save(folder).root;
  const auto weights = open_checkpoint_weights(folder);
  REQUIRE(weights->fingerprint() == root);
  const FlatLayout& layout = one.layout;
  for (int u = 0; u < layout.num_units(); ++u) {
    for (size_t p = 0; p < layout.unit(u).offsets.size(); ++p) {
      const model::ParameterSpec& spec = layout.unit(u).spec.parameters[p];
      const float* expected = one.shards[0]->state(StateKind::master, u) + layout.unit(u).offsets[p];
      const int64_t n = spec.size();
      for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, n}, {n / 3, n - n / 5}, {n - 1, n}}) {
        std::vector<float> got(static_cast<size_t>(end - begin));
        weights->read(spec, begin, end, got.data());
        REQUIRE(std::equal(got.begin(), got.end(), expected + begin));
      }
    }
  }
  model::ParameterSpec other{"model.norm.weight", {7}, false};
  float value = 0;
  REQUIRE_THROWS_AS(weights->read(other, 0, 1, &value), Error);
}

TEST_CASE("a damaged checkpoint is refused by the name of the file", "[fault]") {
  TempFolder temp;
  const auto fresh = [&](const std::string& name) {
    const fs::path folder = temp.path() / name;
    MadeUp(false, 2, true).save(folder);
    return folder;
  };
  const auto damage = [](const fs::path& file, const std::function<void(std::string&)>& change) {
    std::string bytes = read_file(file);
    change(bytes);
    write_file(file, bytes);
  };
  for (const char* name : {"state-00000.bin", "state-00001.bin", kManifestName}) {
    const fs::path sample = fresh("whole");
    const size_t size = read_file(sample / name).size();
    for (const size_t length : {size_t{0}, size_t{1}, size / 2, size - 1}) {
      const fs::path folder = fresh("cut");
      damage(folder / name, [&](std::string& bytes) { bytes.resize(length); });
      if (name == std::string(kManifestName) && length == size - 1) continue;  // only its newline is gone
      expect_corrupt(folder, name);
    }
    for (const size_t place : {size_t{0}, size / 3, size / 2, size - 2}) {
      const fs::path folder = fresh("flipped");
      damage(folder / name, [&](std::string& bytes) { bytes[place] = static_cast<char>(bytes[place] ^ 1); });
      expect_corrupt(folder, name);
    }
    const fs::path folder = fresh("removed");
    fs::remove(folder / name);
    if (name == std::string(kManifestName)) {
      REQUIRE_THROWS_AS(read_manifest(folder), Error);
      REQUIRE_FALSE(is_checkpoint(folder));
    } else {
      expect_corrupt(folder, name);
    }
  }
  const fs::path swapped = fresh("swapped");
  fs::rename(swapped / "state-00000.bin", swapped / "x");
  fs::rename(swapped / "state-00001.bin", swapped / "state-00000.bin");
  fs::rename(swapped / "x", swapped / "state-00001.bin");
  expect_corrupt(swapped, "state-0000");
}

TEST_CASE("old checkpoints are purged, the last of a round and majors stay", "[unit]") {
  TempFolder temp;
  const auto add = [&](int64_t step, int64_t round, bool done) {
    const fs::path folder = temp.path() / fmt::format("step-{}", step);
    MadeUp one(false, 1, true);
    Manifest manifest = one.save(folder);
    manifest.progress.step = step;
    manifest.progress.round = round;
    manifest.progress.round_done = done;
    write_file(folder / kManifestName, manifest_text(manifest));
  };
  add(1, 1, false);
  add(2, 1, true);
  for (int64_t step = 3; step <= 9; ++step) add(step, 2, false);
  CheckpointConfig config;
  config.keep = 2;
  config.keep_every = 4;
  purge_checkpoints(temp.path(), config, 2, 9);
  std::vector<int64_t> left;
  for (const CheckpointFolder& folder : list_checkpoints(temp.path())) left.push_back(folder.step);
  REQUIRE(left == std::vector<int64_t>{9, 8, 7, 4, 2, 1});
}

TEST_CASE("what a killed save or purge leaves is cleaned up, a replaced checkpoint comes back", "[unit]") {
  TempFolder temp;
  for (const char* name :
       {"step-1.partial", "step-2.removing", "step-3", "step-3.old", "step-4.old", "other.old"})
    make_folders(temp.path() / name);
  clean_leftovers(temp.path());
  REQUIRE(list_folder(temp.path()) == std::vector<std::string>{"other.old", "step-3", "step-4"});
}

TEST_CASE("an injected flip changes the hash of the weights", "[unit]") {
  const auto collectives = make_single_collectives();
  const FlatLayout layout(tiny_config(), kChunkKib);
  Shards shards(layout, Sharding::zero2, true, *collectives);
  shards.load(*model::random_weights(tiny_config(), 1, 0.02));
  const std::string before = shards.weights_hash();
  REQUIRE(shards.weights_hash() == before);
  static_cast<uint16_t*>(shards.unit(2).full.mutable_data_ptr())[100] ^= 1;
  REQUIRE(shards.weights_hash() != before);
}
