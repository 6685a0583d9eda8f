#include "model/engine/shared_engine.h"

#include <ATen/Parallel.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "core/error.h"

namespace retrace::model {

namespace {

using Ids = std::vector<int32_t>;

}  // namespace

// Texts that one call asked for. Touched by the engine's thread alone until `ended` is set; shared, for that
// thread may still be in set_value() when the caller goes on.
struct Batch {
  size_t left = 0;
  std::exception_ptr error;
  std::promise<void> ended;
};
using SharedBatch = std::shared_ptr<Batch>;

// The one thread that uses the engine.
class SharedEngine::Work {
 public:
  explicit Work(Engine& engine)
      : engine(engine), threads_(at::get_num_threads()), thread_([this] { serve(); }) {}
  ~Work() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    more_.notify_one();
    thread_.join();
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  // Runs `job` between two tokens and waits for it.
  void run(std::function<void()> job) {
    std::packaged_task<void()> task(std::move(job));
    std::future<void> done = task.get_future();
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(task));
    }
    more_.notify_one();
    done.get();
  }

  // From here on the engine's thread.
  void begin(const SharedBatch& batch, size_t texts) {
    batch->left = texts;
    open_.insert(batch);
  }
  void end_one(const SharedBatch& batch) {
    if (--batch->left > 0) return;
    const SharedBatch last = batch;
    open_.erase(last);
    last->ended.set_value();
  }

  Engine& engine;

 private:
  void serve() {
    at::set_num_threads(threads_);
    for (bool busy = false;;) {
      std::deque<std::packaged_task<void()>> jobs;
      {
        std::unique_lock lock(mutex_);
        if (!busy) more_.wait(lock, [&] { return ended_ || !jobs_.empty(); });
        if (ended_ && jobs_.empty()) return;
        jobs.swap(jobs_);
      }
      for (auto& job : jobs) job();
      busy = decode();
    }
  }

  bool decode() {
    if (open_.empty()) return false;
    try {
      return engine.decoder()->step();
    } catch (...) {  // the decoder has dropped every text
      for (const SharedBatch& batch : std::exchange(open_, {})) {
        batch->error = std::current_exception();
        batch->ended.set_value();
      }
      return false;
    }
  }

  int threads_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::packaged_task<void()>> jobs_;
  std::set<SharedBatch> open_;
  bool ended_ = false;
  std::thread thread_;  // last: it uses the others
};

class SharedEngine::Handle : public Engine {
 public:
  explicit Handle(Work& work) : work_(work) {}
  const LlamaConfig& config() const override { return work_.engine.config(); }
  const std::string& fingerprint() const override { return work_.engine.fingerprint(); }
  // What this handle scored; what texts took is not divided among those who share a prompt.
  int64_t tokens_computed() const override { return scored_; }

  std::vector<float> logprobs(const Ids& ids, int64_t from) override {
    return score<std::vector<float>>([&] { return work_.engine.logprobs(ids, from); });
  }
  std::vector<std::vector<float>> logprobs_after(const Ids& prefix,
                                                 const std::vector<Ids>& continuations) override {
    return score<std::vector<std::vector<float>>>(
        [&] { return work_.engine.logprobs_after(prefix, continuations); });
  }
  Ids generate(const Ids& prompt, const GenerateOptions& options) override {
    Ids made;
    generate_all({prompt}, {options}, [&](size_t, const Ids& ids) { made = ids; });
    return made;
  }

  void generate_all(const std::vector<Ids>& prompts, const std::vector<GenerateOptions>& options,
                    const TextDone& done) override {
    ensure(prompts.size() == options.size(), "every prompt has its options");
    if (prompts.empty()) return;
    if (!work_.engine.decoder()) return work_.run([&] { work_.engine.generate_all(prompts, options, done); });
    const auto batch = std::make_shared<Batch>();
    std::future<void> ended = batch->ended.get_future();
    work_.run([&] {
      work_.begin(batch, prompts.size());
      for (size_t i = 0; i < prompts.size(); ++i) add(batch, prompts[i], options[i], i, done);
    });
    ended.get();
    if (batch->error) std::rethrow_exception(batch->error);
  }

 private:
  template <class Result, class Job>
  Result score(const Job& job) {
    Result result;
    work_.run([&] {
      struct Swap {
        Engine& engine;
        std::unique_ptr<KeptPrefix>& kept;
        Swap(Engine& e, std::unique_ptr<KeptPrefix>& k) : engine(e), kept(k) { engine.swap_kept(kept); }
        ~Swap() { engine.swap_kept(kept); }
      };
      const Swap mine(work_.engine, kept_);
      const int64_t before = work_.engine.tokens_computed();
      result = job();
      scored_ += work_.engine.tokens_computed() - before;
    });
    return result;
  }

  // On the engine's thread. A text whose batch has failed ends with its next token.
  void add(const SharedBatch& batch, const Ids& prompt, GenerateOptions options, size_t number,
           const TextDone& done) {
    const auto guarded = [batch](const auto& call) {
      try {
        return call();
      } catch (...) {
        if (!batch->error) batch->error = std::current_exception();
        return true;
      }
    };
    options.should_stop = [batch, guarded, asked = std::move(options.should_stop)](const Ids& made) {
      return batch->error || guarded([&] { return asked && asked(made); });
    };
    const auto end = [this, batch, guarded, &done, number](const Ids& made) {
      guarded([&] {
        if (!batch->error) done(number, made);
        return true;
      });
      work_.end_one(batch);
    };
    const bool refused = guarded([&] {
      work_.engine.decoder()->add({prompt, std::move(options), end});
      return false;
    });
    if (refused) work_.end_one(batch);
  }

  Work& work_;
  std::unique_ptr<KeptPrefix> kept_;
  int64_t scored_ = 0;
};

SharedEngine::SharedEngine(Engine& engine) : work_(std::make_unique<Work>(engine)) {}
SharedEngine::~SharedEngine() = default;

std::unique_ptr<Engine> SharedEngine::handle() {
  return std::make_unique<Handle>(*work_);
}

}  // namespace retrace::model
