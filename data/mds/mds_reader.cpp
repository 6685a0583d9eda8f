#include <algorithm>
#include <list>
#include <mutex>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "data/mds/mds.h"
#include "data/mds/mds_shard.h"

namespace retrace::data {

namespace {

constexpr size_t kOpenShards = 2;
constexpr uint64_t kMaxIndexBytes = uint64_t{256} << 20;

}  // namespace

struct MdsReader::State {
  fs::path folder;
  std::string fingerprint;
  std::vector<MdsShardInfo> shards;
  std::vector<int64_t> first;  // first sample of each shard, and the total
  std::mutex mutex;
  std::list<std::pair<int, std::unique_ptr<MdsShard>>> open;  // most recently used in front

  const MdsShard& shard(int index) {
    auto found =
        std::find_if(open.begin(), open.end(), [&](const auto& entry) { return entry.first == index; });
    if (found != open.end()) {
      open.splice(open.begin(), open, found);
    } else {
      if (open.size() == kOpenShards) open.pop_back();
      open.emplace_front(index, std::make_unique<MdsShard>(folder, shards[static_cast<size_t>(index)]));
    }
    return *open.front().second;
  }
};

MdsReader::MdsReader(const std::filesystem::path& folder) : state_(std::make_unique<State>()) {
  const fs::path index = folder / "index.json";
  if (!fs::exists(index))
    throw Error(Code::input, "the folder holds no index.json",
                "an MDS data set is expected; was its writing broken off?", folder.string());
  const std::string text = read_file(index, kMaxIndexBytes);
  const std::string where = index.string();
  const Json json = parse_json(text, where);
  if (get<int64_t>(json, "version", where) != 2)
    throw Error(Code::input, "an MDS index of another version than 2", "", where);
  if (!json.contains("shards") || !json.at("shards").is_array())
    throw Error(Code::corrupt, "key 'shards' is no list", "", where);
  state_->folder = folder;
  state_->fingerprint = sha256_hex(text);
  state_->first = {0};
  for (const Json& entry : json.at("shards")) {
    state_->shards.push_back(
        parse_shard_info(entry, fmt::format("{}: shard {}", where, state_->shards.size())));
    state_->first.push_back(state_->first.back() + state_->shards.back().samples);
  }
}

MdsReader::~MdsReader() = default;

int64_t MdsReader::size() const {
  return state_->first.back();
}
int MdsReader::num_shards() const {
  return static_cast<int>(state_->shards.size());
}

std::pair<int64_t, int64_t> MdsReader::shard_range(int shard) const {
  ensure(shard >= 0 && shard < num_shards(), "the shard exists");
  return {state_->first[static_cast<size_t>(shard)], state_->first[static_cast<size_t>(shard) + 1]};
}

Sample MdsReader::read(int64_t index) const {
  if (index < 0 || index >= size())
    fail(Code::input, "{}: sample {} of {}", state_->folder.string(), index, size());
  const auto& first = state_->first;
  const auto shard =
      static_cast<int>(std::upper_bound(first.begin(), first.end(), index) - first.begin()) - 1;
  const std::lock_guard lock(state_->mutex);
  return state_->shard(shard).sample(index - first[static_cast<size_t>(shard)]);
}

const std::string& MdsReader::fingerprint() const {
  return state_->fingerprint;
}

}  // namespace retrace::data
