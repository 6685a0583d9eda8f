// Collectives over Gloo. A reduce-scatter is an all-to-all followed by additions in rank order: it moves what
// a ring moves, and its sums do not depend on the ring. An all-reduce is that and an all-gather.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "core/clock.h"
#include "core/error.h"
#include "model/ops/cpu/parallel.h"
#include "train/ranks/collectives.h"
#include "train/ranks/fp32_sum.h"
#include "train/ranks/patient_wait.h"
#include "train/ranks/tcp_coordinator.h"

namespace retrace::train {
namespace {

using Work = c10::intrusive_ptr<c10d::Work>;
constexpr auto kPatience = std::chrono::milliseconds(100);

void add_in_parallel(const float* values, int64_t n, float* sum) {
  model::parallel_rows(
      n, 1 << 18, [&](int64_t begin, int64_t end) { add_into(values + begin, end - begin, sum + begin); });
}

class Gloo final : public Collectives {
 public:
  // root: the group that this one is a part of, null for the whole job.
  Gloo(c10d::Store& store, const GlooOptions& wanted, Gloo* root = nullptr)
      : options_(wanted),
        rank_(wanted.rank),
        size_(wanted.size),
        root_(root ? root : this),
        store_(c10::intrusive_ptr<c10d::Store>::reclaim_copy(&store)) {
    const std::chrono::milliseconds timeout(static_cast<int64_t>(wanted.timeout_s * 1000));
    try {
      auto options = c10d::ProcessGroupGloo::Options::create(timeout);
      const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
      if (interface && *interface)
        options->devices = {c10d::ProcessGroupGloo::createDeviceForInterface(interface)};
      else if (!wanted.address.empty())
        options->devices = {c10d::ProcessGroupGloo::createDeviceForHostname(wanted.address)};
      else
        options->devices = {c10d::ProcessGroupGloo::createDefaultDevice()};
      const auto keys = c10::make_intrusive<c10d::PrefixStore>(wanted.prefix, store_);
      group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(keys, rank_, size_, options);
    } catch (const std::exception& problem) {
      throw lost(problem);
    }
  }

  // After a failure, or when transfers were left, a peer may never answer: joining the group's threads would
  // hang, so they are left to the end of the process. A part that an error unwinds closes no connection
  // either: peers shall learn the reason first.
  ~Gloo() override {
    const bool unwinding = root_ != this && std::uncaught_exceptions() > 0;
    if (root_->left_ || unwinding) group_.release();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void abandon() override { root_->left_ = true; }

  std::unique_ptr<Collectives> subgroup(const std::vector<int>& members) override {
    const auto me = std::find(members.begin(), members.end(), rank_);
    ensure(me != members.end(), "a rank is a member of its own group");
    const int64_t made = ++parts_made_;
    if (members.size() == 1) return make_single_collectives();
    GlooOptions part = options_;
    part.prefix = fmt::format("{}/part-{}-{}", options_.prefix, made, members.front());
    part.rank = static_cast<int>(me - members.begin());
    part.size = static_cast<int>(members.size());
    return std::make_unique<Gloo>(*store_, part, root_);
  }

  std::unique_ptr<Pending> start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    ensure(whole.numel() == part.numel() * size_, "an all-gather's whole is as long as its parts");
    at::Tensor in = part, out = whole;
    return std::make_unique<Transfer>(*this, begin([&] { return group_->_allgather_base(out, in); }));
  }

  std::unique_ptr<Pending> start_reduce_scatter(const at::Tensor& whole, const at::Tensor& sum) override {
    ensure(whole.numel() == sum.numel() * size_, "a reduce-scatter's whole is as long as its parts");
    at::Tensor received = take_buffer(whole.numel()), in = whole;
    std::vector<int64_t> counts;
    return std::make_unique<ScatterSum>(
        *this, begin([&] { return group_->alltoall_base(received, in, counts, counts); }), received, sum);
  }

  std::unique_ptr<Pending> start_all_reduce(const at::Tensor& values) override {
    const int64_t n = values.numel(), piece = (n + size_ - 1) / size_, all = piece * size_;
    at::Tensor whole = values, received = take_buffer(all);
    if (n != all) {
      whole = take_buffer(all);
      whole.narrow(0, 0, n).copy_(values);
      whole.narrow(0, n, all - n).zero_();
    }
    std::vector<int64_t> counts;
    return std::make_unique<AllSum>(
        *this, begin([&] { return group_->alltoall_base(received, whole, counts, counts); }), received, whole,
        values);
  }

  std::unique_ptr<Pending> start_all_to_all(const at::Tensor& in, const at::Tensor& out) override {
    ensure(in.numel() == out.numel() && in.numel() % size_ == 0, "an all-to-all swaps equal pieces");
    at::Tensor sent = in, received = out;
    std::vector<int64_t> counts;
    return std::make_unique<Transfer>(
        *this, begin([&] { return group_->alltoall_base(received, sent, counts, counts); }));
  }

  std::vector<double> gather(const std::vector<double>& part) override {
    const auto n = static_cast<int64_t>(part.size());
    at::Tensor in = at::empty({n}, at::kDouble), out = at::empty({n * size_}, at::kDouble);
    std::copy(part.begin(), part.end(), in.mutable_data_ptr<double>());
    finish(begin([&] { return group_->_allgather_base(out, in); }), root_->waits.meeting_s);
    return {out.const_data_ptr<double>(), out.const_data_ptr<double>() + n * size_};
  }

  void broadcast(std::vector<double>& values, int root) override {
    const auto n = static_cast<int64_t>(values.size());
    std::vector<at::Tensor> tensors = {at::empty({n}, at::kDouble)};
    std::copy(values.begin(), values.end(), tensors[0].mutable_data_ptr<double>());
    c10d::BroadcastOptions options;
    options.rootRank = root;
    finish(begin([&] { return group_->broadcast(tensors, options); }), root_->waits.meeting_s);
    std::copy_n(tensors[0].const_data_ptr<double>(), n, values.begin());
  }

  void barrier() override {
    finish(begin([&] { return group_->barrier(); }), root_->waits.meeting_s);
  }

 private:
  struct Transfer final : Pending {
    Transfer(Gloo& owner, Work work) : owner_(owner), work_(std::move(work)) {}
    ~Transfer() override {
      if (work_ && !work_->isCompleted()) owner_.abandon();
    }
    void wait() override { owner_.finish(std::exchange(work_, {}), owner_.root_->waits.gather_s); }
    Gloo& owner_;
    Work work_;
  };

  struct ScatterSum final : Pending {
    ScatterSum(Gloo& owner, Work work, at::Tensor received, at::Tensor sum)
        : owner_(owner), work_(std::move(work)), received_(std::move(received)), sum_(std::move(sum)) {}
    ~ScatterSum() override {
      if (work_ && !work_->isCompleted()) owner_.abandon();
    }
    void wait() override {
      owner_.finish(std::exchange(work_, {}), owner_.root_->waits.reduce_s);
      const int64_t n = sum_.numel();
      add_in_parallel(owner_.sum_in_rank_order(received_, n), n, sum_.mutable_data_ptr<float>());
      owner_.buffers_.push_back(received_);
    }
    Gloo& owner_;
    Work work_;
    at::Tensor received_, sum_;
  };

  // Sums this rank's piece of `whole`, then gathers the pieces into it. `whole` is `values`, or a longer copy
  // that divides.
  struct AllSum final : Pending {
    AllSum(Gloo& owner, Work work, at::Tensor received, at::Tensor whole, at::Tensor values)
        : owner_(owner),
          work_(std::move(work)),
          received_(std::move(received)),
          whole_(std::move(whole)),
          values_(std::move(values)) {}
    ~AllSum() override {
      if (work_ && !work_->isCompleted()) owner_.abandon();
    }
    void wait() override {
      owner_.finish(std::exchange(work_, {}), owner_.root_->waits.reduce_s);
      const int64_t piece = whole_.numel() / owner_.size_;
      owner_.sum_in_rank_order(received_, piece);
      at::Tensor mine = received_.narrow(0, 0, piece);
      owner_.finish(owner_.begin([&] { return owner_.group_->_allgather_base(whole_, mine); }),
                    owner_.root_->waits.reduce_s);
      owner_.buffers_.push_back(received_);
      if (whole_.numel() == values_.numel()) return;
      values_.copy_(whole_.narrow(0, 0, values_.numel()));
      owner_.buffers_.push_back(whole_);
    }
    Gloo& owner_;
    Work work_;
    at::Tensor received_, whole_, values_;
  };

  // The ranks' pieces of n elements, added into the first of them.
  float* sum_in_rank_order(const at::Tensor& pieces, int64_t n) const {
    float* const first = pieces.mutable_data_ptr<float>();
    for (int r = 1; r < size_; ++r) add_in_parallel(first + r * n, n, first);
    return first;
  }

  // Large receive buffers are used again: fresh ones would cost a page fault every 4 KiB.
  at::Tensor take_buffer(int64_t elements) {
    for (size_t i = 0; i < buffers_.size(); ++i) {
      if (buffers_[i].numel() != elements) continue;
      at::Tensor found = buffers_[i];
      buffers_.erase(buffers_.begin() + static_cast<int64_t>(i));
      return found;
    }
    return at::empty({elements}, at::kFloat);
  }

  template <class Start>
  Work begin(Start start) {
    try {
      return start();
    } catch (const std::exception& problem) {
      abandon();
      throw lost(problem);
    }
  }

  void finish(const Work& work, double& waited_s) {
    const auto start = Clock::now();
    bool leaves = false;  // while_waiting threw, whatever that was
    try {
      wait_patiently(*work, kPatience, [&] {
        leaves = true;
        if (root_->while_waiting) root_->while_waiting();
        leaves = false;
      });
    } catch (const std::exception& problem) {
      abandon();
      if (leaves) throw;
      throw lost(problem);
    } catch (...) {
      abandon();
      throw;
    }
    waited_s += elapsed_s(start);
  }

  Error lost(const std::exception& problem) const {
    const std::string text = c10d_message(problem.what());
    const std::string names = root_->blame ? root_->blame() : "";
    const std::string message = names.empty() ? "a collective failed: " + text : "lost " + names;
    return Error(Code::distributed, message, "start again: training resumes from the newest checkpoint",
                 fmt::format("rank {}", root_->rank_));
  }

  GlooOptions options_;
  int rank_, size_;
  int64_t parts_made_ = 0;
  bool left_ = false;  // of the root: for it and its parts
  Gloo* root_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  std::vector<at::Tensor> buffers_;
};

}  // namespace

std::unique_ptr<Collectives> make_gloo_collectives(c10d::Store& store, const GlooOptions& options) {
  return std::make_unique<Gloo>(store, options);
}

}  // namespace retrace::train
