// Which repositories an input names, one by one in constant memory, and how each is read again later.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "synth/input/snapshot.h"

namespace retrace::synth {

struct SourceRef {
  std::string place;                // sorts as the stage works: by name; inside a JSONL file by position
  std::string source;               // unique: a path, path@revision, or FILE.jsonl#REPOSITORY
  std::string file;                 // what is opened: the path (with revision), or the JSONL file
  int64_t at = -1, size_bytes = 0;  // its lines in the JSONL file, before compression; at < 0: no JSONL
  std::string stamp;                // changes when the content does; "" if it cannot be told
};

using UseSource = std::function<void(const SourceRef&)>;

// All that `input` names: a repository, an archive, a JSONL file (.jsonl, .jsonl.zst; one file a line with
// `repository`, `path`, `content`, and optional `licence`), a folder of these, or a .txt file that lists any
// of them, one a line. A listed name that does not exist comes all the same (reading it fails); anything else
// that is wrong is Error{input} or Error{corrupt} with file and line. May repeat a source.
void list_sources(const std::string& input, const UseSource& use);
// The same for one name, with its stamp.
void list_source(const std::string& name, const UseSource& use);

// Reads what was listed. Keeps a JSONL file open and goes forward in it, so that reading in order of `place`
// decompresses it once.
class SourceReader {
 public:
  SourceReader();
  ~SourceReader();
  // As take_snapshot, but an empty repository is a snapshot without files, not an error.
  Snapshot take(const SourceRef& source, const SnapshotOptions& options);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retrace::synth
