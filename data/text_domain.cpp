#include "data/text_domain.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process/signals.h"
#include "data/packing/ordered_work.h"
#include "data/packing/packing.h"
#include "data/packing/text_stream.h"
#include "data/utf8.h"

namespace retrace::data {
namespace {

// Texts are tokenised side by side in batches of about so many bytes.
constexpr size_t kBatchBytes = size_t{1} << 20, kBatches = 32;

bool is_jsonl(const fs::path& source) {
  const std::string name = source.filename().string();
  return name.ends_with(".jsonl") || name.ends_with(".jsonl.zst");
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// A file's bytes, or a line of JSONL that is still to be parsed.
struct Text {
  std::string id, bytes;
};

class TextSource {
 public:
  explicit TextSource(const fs::path& source) : source_(source) {
    if (is_jsonl(source))
      stream_.emplace(source);
    else
      files_ = files_below(source);
  }

  bool next(Text* text) {
    if (!stream_) {
      if (at_ == files_.size()) return false;
      const fs::path& file = files_[at_++];
      *text = {fs::relative(file, source_).string(), read_file(file)};
      return true;
    }
    uint64_t begin = 0;
    do {
      if (!stream_->next_line(&text->bytes, &begin)) return false;
      ++at_;
    } while (text->bytes.empty());
    text->id = std::to_string(at_);
    return true;
  }

  // What is to be tokenised of it.
  std::string text_of(const Text& text) const {
    if (!stream_) return text.bytes;
    const std::string where = fmt::format("{}:{}", source_.string(), text.id);
    return get<std::string>(parse_json(text.bytes, where), "text", where);
  }

 private:
  fs::path source_;
  std::vector<fs::path> files_;
  std::optional<TextStream> stream_;
  size_t at_ = 0;  // files or lines so far
};

struct Batch {
  std::vector<Text> texts;
  std::vector<TokenisedDocument> documents;
  int64_t dropped = 0;
};

bool fill(TextSource& source, Batch& batch) {
  batch = {};
  Text text;
  for (size_t size = 0; size < kBatchBytes && source.next(&text);) {
    size += text.bytes.size();
    batch.texts.push_back(std::move(text));
  }
  return !batch.texts.empty();
}

void tokenise_batch(const DataConfig& config, const TextDomainJob& job, const TextSource& source,
                    Batch& batch) {
  for (const Text& text : batch.texts) {
    Document document{text.id, job.name, {{source.text_of(text), "", -1, Kind::text}}};
    const std::string& bytes = document.segments[0].bytes;
    if (bytes.empty() || valid_utf8_prefix(bytes) != bytes.size())
      ++batch.dropped;
    else
      batch.documents.push_back(
          tokenise(document, *job.tokenizer, config.loss_weights, config.add_bos, config.add_eos));
  }
  batch.texts.clear();
}

// Identity of what is read: names, sizes and bytes.
std::string key_of(const DataConfig& config, const TextDomainJob& job) {
  Sha256 key;
  key.add(fmt::format("text 1 {} {} {} {} {} {} {}\n", job.name, job.tokenizer->fingerprint(), config.seq_len,
                      config.shard_mib, config.zstd, config.add_bos, config.add_eos));
  for (const fs::path& file : is_jsonl(job.source) ? std::vector{job.source} : files_below(job.source)) {
    const MappedFile bytes(file);
    key.add(fmt::format("{} {} {:016x}\n", fs::relative(file, job.source).string(), bytes.bytes().size(),
                        xxh3_64(bytes.bytes())));
  }
  return key.hex();
}

Json write(const DataConfig& config, const TextDomainJob& job) {
  MdsOptions mds;
  mds.shard_bytes = static_cast<uint64_t>(config.shard_mib) << 20;
  mds.zstd = config.zstd;
  MdsWriter writer(job.out, mds);
  ConcatenatingPacker packer(config.seq_len, pad_token(*job.tokenizer), job.name,
                             [&](const Sample& sample) { writer.add(sample); });
  Progress progress(fmt::format("packing {}", job.name), 0, "texts");
  int64_t dropped = 0;
  TextSource source(job.source);
  std::vector<Batch> batches(kBatches);
  const int threads =
      job.threads > 0 ? job.threads : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  run_in_order(threads, kBatches,
               {[&](size_t slot) {
                  throw_if_stopped();
                  return fill(source, batches[slot]);
                },
                [&](size_t slot) { tokenise_batch(config, job, source, batches[slot]); },
                [&](size_t slot) {
                  for (const TokenisedDocument& document : batches[slot].documents) {
                    packer.add(document);
                    progress.add();
                  }
                  dropped += batches[slot].dropped;
                }});
  const PackingStats stats = packer.finish();
  if (stats.samples == 0)
    throw Error(Code::input, fmt::format("the text domain '{}' holds no text", job.name),
                "name a folder of text files or a .jsonl file of {\"text\"} objects", job.source.string());
  writer.finish();
  int64_t trained = 0;
  for (int64_t tokens : stats.trained_tokens_by_kind) trained += tokens;
  return {{"domain", job.name},
          {"seq_len", config.seq_len},
          {"tokenizer", job.tokenizer->fingerprint()},
          {"documents", stats.documents},
          {"samples", stats.samples},
          {"tokens", stats.tokens},
          {"trained_tokens", trained},
          {"padding_tokens", stats.padding_tokens},
          {"dropped",
           {{"not_utf8_or_empty", dropped}, {"documents_without_trained_token", stats.dropped_no_label}}}};
}

}  // namespace

Json pack_text_domain(const DataConfig& config, const TextDomainJob& job) {
  ensure(job.tokenizer != nullptr, "a text domain has a tokenizer");
  if (!fs::exists(job.source))
    throw Error(Code::input, fmt::format("the source of text domain '{}' does not exist", job.name),
                "name a folder of text files or a .jsonl file in data.text_sources", job.source.string());
  const std::string key = key_of(config, job);
  const fs::path done = job.out / "done.json";
  if (fs::exists(done) &&
      get<std::string>(parse_json(read_file(done), "done.json"), "key", "done.json") == key)
    return parse_json(read_file(job.out / "pack.json"), "pack.json");
  make_folders(job.out);
  fs::remove(done);
  for (const std::string& name : list_folder(job.out))
    if (name == "index.json" || name == "pack.json" || name.starts_with("shard.")) fs::remove(job.out / name);
  const Json stats = write(config, job);
  write_file(job.out / "pack.json", to_text(stats, 1) + "\n");
  write_file(done, to_text({{"key", key}}) + "\n");
  return stats;
}

}  // namespace retrace::data
