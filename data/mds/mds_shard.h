// One shard of an MDS data set: its entry in index.json, its bytes once opened, and its samples.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/files/files.h"
#include "core/json.h"
#include "data/mds/mds.h"
#include "data/mds/mds_format.h"

namespace retrace::data {

struct MdsFile {
  std::string name;  // plain file name
  uint64_t size_bytes = 0;
  std::string xxh3, sha256;  // hex digests, "" if absent
};

struct MdsColumn {
  std::string name, encoding_name;
  ColumnEncoding encoding;
  uint32_t fixed_bytes = 0;  // 0 = variable
};

struct MdsShardInfo {
  MdsFile raw, zip;  // zip.name "" if the shard is raw
  int64_t samples = 0;
  std::vector<MdsColumn> columns;
};

// The entry of a shard. Error{corrupt} on what breaks the format, Error{input} on compression other than
// zstd.
MdsShardInfo parse_shard_info(const Json& entry, const std::string& where);

// An opened shard: its whole bytes, checked against its entry.
class MdsShard {
 public:
  MdsShard(const fs::path& folder, const MdsShardInfo& info);
  Sample sample(int64_t index) const;

 private:
  const MdsShardInfo* info_;
  std::string where_;
  std::unique_ptr<MappedFile> map_;
  std::string unpacked_;
  std::string_view bytes_;
};

}  // namespace retrace::data
