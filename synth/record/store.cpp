// Trajectory shards. Layout, all integers little-endian:
//   "RTRJ0001", then one zstd frame a record (its canonical JSON), then the index: for each record u64
//   offset, u64 frame bytes, u64 raw bytes, u64 XXH3 of the frame; then the trailer: u64 records, u64 index
//   offset, u64 XXH3 of the index, "RTRJ.END". Frames touch and fill [8, index offset).
#include "synth/record/store.h"

#include <zstd.h>

#include "core/checked.h"
#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"

namespace retrace::synth {

namespace {

constexpr std::string_view kMagic = "RTRJ0001", kEnd = "RTRJ.END";
constexpr uint64_t kEntryBytes = 32, kTrailerBytes = 32;
constexpr uint64_t kMaxRecordBytes = uint64_t{1} << 30;
constexpr int kZstdLevel = 6;

struct Entry {
  uint64_t offset = 0, size = 0, raw_size = 0, hash = 0;
};

void put_u64(std::string& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i) & 255U);
}

uint64_t take_u64(std::string_view bytes, uint64_t at) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value |= uint64_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return value;
}

std::string compress(const std::string& raw) {
  std::string frame(ZSTD_compressBound(raw.size()), '\0');
  const size_t size = ZSTD_compress(frame.data(), frame.size(), raw.data(), raw.size(), kZstdLevel);
  if (ZSTD_isError(size)) fail(Code::internal, "zstd: {}", ZSTD_getErrorName(size));
  frame.resize(size);
  return frame;
}

}  // namespace

struct TrajectoryWriter::State {
  explicit State(const std::filesystem::path& path) : file(path) { file.write(kMagic); }
  StagedFile file;
  std::vector<Entry> entries;
};

TrajectoryWriter::TrajectoryWriter(const std::filesystem::path& file)
    : state_(std::make_unique<State>(file)) {}
TrajectoryWriter::~TrajectoryWriter() = default;

void TrajectoryWriter::add(const Trajectory& trajectory) {
  replay(trajectory);
  ensure(make_rev(trajectory) == trajectory.rev, "a trajectory is stored under its own rev");
  const std::string raw = to_text(to_json(trajectory));
  if (raw.size() > kMaxRecordBytes)
    fail(Code::input, "the trajectory of '{}' has {} bytes, more than a shard holds", trajectory.origin,
         raw.size());
  const std::string frame = compress(raw);
  state_->entries.push_back({state_->file.size_bytes(), frame.size(), raw.size(), xxh3_64(frame)});
  state_->file.write(frame);
}

void TrajectoryWriter::finish() {
  std::string index;
  for (const Entry& e : state_->entries)
    for (uint64_t value : {e.offset, e.size, e.raw_size, e.hash}) put_u64(index, value);
  std::string trailer;
  for (uint64_t value : {uint64_t{state_->entries.size()}, state_->file.size_bytes(), xxh3_64(index)})
    put_u64(trailer, value);
  trailer += kEnd;
  state_->file.write(index);
  state_->file.write(trailer);
  state_->file.commit();
}

struct TrajectoryReader::State {
  explicit State(const std::filesystem::path& path) : name(path.filename().string()), map(path) {}
  std::string name;
  MappedFile map;
  std::vector<Entry> entries;
};

TrajectoryReader::TrajectoryReader(const std::filesystem::path& file)
    : state_(std::make_unique<State>(file)) {
  const std::string_view bytes = state_->map.bytes();
  const auto corrupt = [&](const char* what) {
    return Error(Code::corrupt, what, "remove the file; `retrace synth` makes it again", state_->name);
  };
  if (bytes.size() < kMagic.size() || bytes.substr(0, kMagic.size()) != kMagic)
    throw corrupt("not a trajectory shard of this version");
  if (bytes.size() < kMagic.size() + kTrailerBytes || bytes.substr(bytes.size() - kEnd.size()) != kEnd)
    throw corrupt("the trajectory shard is cut off");
  const uint64_t trailer = bytes.size() - kTrailerBytes;
  const uint64_t count = take_u64(bytes, trailer), index = take_u64(bytes, trailer + 8);
  const uint64_t index_bytes = checked_mul(count, kEntryBytes, "the index of a trajectory shard");
  if (index < kMagic.size() || checked_add(index, index_bytes, "the index of a trajectory shard") != trailer)
    throw corrupt("the index of the trajectory shard does not fit");
  if (xxh3_64(bytes.substr(index, index_bytes)) != take_u64(bytes, trailer + 16))
    throw corrupt("the index of the trajectory shard does not have its checksum");
  uint64_t at = kMagic.size();
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t entry = index + i * kEntryBytes;
    const Entry e{take_u64(bytes, entry), take_u64(bytes, entry + 8), take_u64(bytes, entry + 16),
                  take_u64(bytes, entry + 24)};
    if (e.offset != at || e.size > index - at || e.raw_size > kMaxRecordBytes)
      throw corrupt("the records of the trajectory shard do not touch");
    at += e.size;
    state_->entries.push_back(e);
  }
  if (at != index) throw corrupt("the records of the trajectory shard do not touch");
}

TrajectoryReader::~TrajectoryReader() = default;

size_t TrajectoryReader::size() const {
  return state_->entries.size();
}

Trajectory TrajectoryReader::read(size_t index) const {
  const std::string where = fmt::format("{} record {}", state_->name, index);
  if (index >= size())
    throw Error(Code::usage, fmt::format("there is no record {}; the shard holds {}", index, size()), "",
                where);
  const Entry& e = state_->entries[index];
  const std::string_view frame = state_->map.bytes().substr(e.offset, e.size);
  if (xxh3_64(frame) != e.hash)
    throw Error(Code::corrupt, "the record does not have its checksum",
                "remove the file; `retrace synth` makes it again", where);
  std::string raw(e.raw_size, '\0');
  const size_t got = ZSTD_decompress(raw.data(), raw.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) || got != raw.size())
    throw Error(Code::corrupt, "the record does not decompress to its size", "", where);
  JsonLimits limits;
  limits.max_bytes = kMaxRecordBytes;
  return trajectory_from_json(parse_json(raw, where, limits), where);
}

void for_each_trajectory(const std::filesystem::path& folder,
                         const std::function<void(const Trajectory&)>& use) {
  for (const std::string& name : list_folder(folder)) {
    if (std::filesystem::path(name).extension() != ".traj") continue;
    const TrajectoryReader reader(folder / name);
    for (size_t i = 0; i < reader.size(); ++i) use(reader.read(i));
  }
}

}  // namespace retrace::synth
