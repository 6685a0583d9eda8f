#include "synth/pack.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>

#include "core/error.h"
#include "core/files/files.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/process/signals.h"
#include "core/recipe/run_config.h"
#include "data/config.h"
#include "data/mds/mds.h"
#include "data/packing/packing.h"
#include "synth/config.h"
#include "synth/record/store.h"
#include "synth/stage/stage_key.h"

namespace retrace::synth {

namespace {

constexpr size_t kBatch = 64;  // trajectories tokenised side by side; order and bytes do not depend on it

// Documents of one trajectory, tokenised.
struct Tokenised {
  std::vector<data::TokenisedDocument> parts;
  int64_t dropped = 0;
};

class Packing {
 public:
  Packing(const Recipe& recipe, const PackJob& job)
      : job_(job),
        data_(recipe.get<data::DataConfig>()),
        synth_(recipe.get<SynthConfig>()),
        threads_(static_cast<int>(recipe.get<RunConfig>().threads)) {
    if (threads_ == 0) threads_ = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    ensure(job.tokenizer != nullptr, "packing has a tokenizer");
    Sha256 key;
    key.add(fmt::format("{} pack {} {} {} {}\n", kSynthCode, static_cast<int>(job.variant), synth_.style,
                        job.domain, job.tokenizer->fingerprint()));
    for (const char* name : {"seq_len", "shard_mib", "zstd", "add_bos", "add_eos", "loss_weights"})
      key.add(fmt::format("{} = {}\n", name, value_text(recipe.value(std::string("data.") + name))));
    for (const std::string& name : shards()) {
      const MappedFile shard(job.trajectories / name);
      key.add(fmt::format("{} {} {:016x}\n", name, shard.bytes().size(), xxh3_64(shard.bytes())));
    }
    key_ = key.hex();
  }

  Json run() {
    const fs::path done = job_.out / "done.json";
    if (fs::exists(done) &&
        get<std::string>(parse_json(read_file(done), "done.json"), "key", "done.json") == key_)
      return parse_json(read_file(job_.out / "pack.json"), "pack.json");
    clear();
    Json stats = write();
    write_file(job_.out / "pack.json", to_text(stats, 1) + "\n");
    write_file(done, to_text({{"key", key_}}) + "\n");
    return stats;
  }

 private:
  std::vector<std::string> shards() const {
    std::vector<std::string> out;
    for (const std::string& name : list_folder(job_.trajectories))
      if (fs::path(name).extension() == ".traj") out.push_back(name);
    if (out.empty())
      throw Error(Code::input, "there are no trajectories to pack", "run `retrace synth` first",
                  job_.trajectories.filename().string());
    return out;
  }

  // What an earlier, unfinished or other packing left; nothing else in the folder is touched.
  void clear() const {
    make_folders(job_.out);
    fs::remove(job_.out / "done.json");
    for (const std::string& name : list_folder(job_.out))
      if (name == "index.json" || name == "pack.json" || name.starts_with("shard."))
        fs::remove(job_.out / name);
  }

  Tokenised tokenise_one(const Trajectory& t) const {
    Tokenised out;
    const RenderOptions options{job_.variant, synth_.style};
    for (const data::Document& document :
         render_parts(t, options, *job_.tokenizer, data_.seq_len, &out.dropped))
      out.parts.push_back(
          data::tokenise(document, *job_.tokenizer, data_.loss_weights, data_.add_bos, data_.add_eos));
    return out;
  }

  std::vector<Tokenised> tokenise_batch(const std::vector<Trajectory>& batch) const {
    std::vector<Tokenised> out(batch.size());
    std::mutex mutex;
    size_t next = 0;
    std::exception_ptr failure;
    const auto worker = [&] {
      for (;;) {
        size_t i = 0;
        {
          const std::lock_guard lock(mutex);
          if (next == batch.size() || failure) return;
          i = next++;
        }
        try {
          out[i] = tokenise_one(batch[i]);
        } catch (...) {
          const std::lock_guard lock(mutex);
          failure = std::current_exception();
        }
      }
    };
    std::vector<std::thread> threads;
    for (int k = 1; k < threads_; ++k) threads.emplace_back(worker);
    worker();
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
    return out;
  }

  Json write() {
    data::MdsOptions mds;
    mds.shard_bytes = static_cast<uint64_t>(data_.shard_mib) << 20;
    mds.zstd = data_.zstd;
    data::MdsWriter writer(job_.out, mds);
    data::WholeDocumentPacker packer(data_.seq_len, data::pad_token(*job_.tokenizer), job_.domain,
                                     [&](const data::Sample& sample) { writer.add(sample); });
    Progress progress(fmt::format("packing {}", job_.domain), 0, "trajectories");
    std::vector<Trajectory> batch;
    const auto flush = [&] {
      throw_if_stopped();
      for (const Tokenised& one : tokenise_batch(batch)) {
        dropped_ += one.dropped;
        parts_ += static_cast<int64_t>(one.parts.size());
        split_ += one.parts.size() > 1;
        for (const data::TokenisedDocument& part : one.parts) packer.add(part);
        progress.add();
      }
      trajectories_ += static_cast<int64_t>(batch.size());
      batch.clear();
    };
    for_each_trajectory(job_.trajectories, [&](const Trajectory& t) {
      batch.push_back(t);
      if (batch.size() == kBatch) flush();
    });
    flush();
    const data::PackingStats stats = packer.finish();
    writer.finish();
    return report(stats);
  }

  Json report(const data::PackingStats& stats) const {
    Json by_kind = Json::object(), trained = Json::object();
    int64_t trained_tokens = 0;
    for (int k = 0; k < data::kNumKinds; ++k) {
      const auto kind = static_cast<size_t>(k);
      if (stats.tokens_by_kind[kind] == 0) continue;
      by_kind[data::kind_name(static_cast<Kind>(k))] = stats.tokens_by_kind[kind];
      trained[data::kind_name(static_cast<Kind>(k))] = stats.trained_tokens_by_kind[kind];
      trained_tokens += stats.trained_tokens_by_kind[kind];
    }
    const char* names[] = {"raw_repos", "repo2agent", "repo2agent_search"};
    return {{"domain", job_.domain},
            {"variant", names[static_cast<size_t>(job_.variant)]},
            {"style", synth_.style},
            {"seq_len", data_.seq_len},
            {"tokenizer", job_.tokenizer->fingerprint()},
            {"trajectories", trajectories_},
            {"split_trajectories", split_},
            {"documents", parts_},
            {"samples", stats.samples},
            {"tokens", stats.tokens},
            {"trained_tokens", trained_tokens},
            {"padding_tokens", stats.padding_tokens},
            {"tokens_by_kind", by_kind},
            {"trained_tokens_by_kind", trained},
            {"dropped",
             {{"pieces_longer_than_seq_len", dropped_},
              {"documents_longer_than_seq_len", stats.dropped_too_long},
              {"documents_without_trained_token", stats.dropped_no_label}}}};
  }

  const PackJob& job_;
  data::DataConfig data_;
  SynthConfig synth_;
  int threads_;
  std::string key_;
  int64_t trajectories_ = 0, parts_ = 0, split_ = 0, dropped_ = 0;
};

}  // namespace

Json run_pack(const Recipe& recipe, const PackJob& job) {
  return Packing(recipe, job).run();
}

}  // namespace retrace::synth
