// Collectives of tensors on GPUs over NCCL, and of everything else (doubles, barriers, who is lost) over the
// Gloo group beside it. The host waits until a transfer has ended, looking around meanwhile: a lost peer is
// named and the transfers that wait for it are aborted, instead of a kernel that never ends. That costs no
// overlap: transfers are begun a unit ahead, and the GPU has a unit's work queued while the host waits.
// NCCL adds in an order of its own, the same in every run on the same machines, not rank order.
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "core/clock.h"
#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "model/device/library_table.h"
#include "train/ranks/collectives.h"

namespace retrace::train {
namespace {

using Work = c10::intrusive_ptr<c10d::Work>;

class Nccl final : public Collectives {
 public:
  Nccl(c10d::Store& store, std::unique_ptr<Collectives> control, const NcclOptions& options,
       Nccl* parent = nullptr, int color = 0)
      : control_(std::move(control)),
        options_(options),
        root_(parent ? parent->root_ : this),
        store_(c10::intrusive_ptr<c10d::Store>::reclaim_copy(&store)) {
    const auto keys = c10::make_intrusive<c10d::PrefixStore>(options.prefix, store_);
    try {
      group_ = c10::intrusive_ptr<c10d::Backend>::reclaim(
          model::cuda_library().make_nccl(*keys, rank(), size(), options.timeout_s, options.device,
                                          parent ? parent->group_.get() : nullptr, color));
    } catch (const std::exception& problem) {
      throw lost(problem.what());
    }
    if (!parent) {
      control_->while_waiting = [this] {
        if (while_waiting) while_waiting();
      };
      control_->blame = [this] { return blame ? blame() : std::string(); };
    }
  }

  ~Nccl() override {
    if (root_->left_ || std::uncaught_exceptions() > 0) abort();
  }

  int rank() const override { return control_->rank(); }
  int size() const override { return control_->size(); }

  void abandon() override {
    root_->left_ = true;
    root_->control_->abandon();
    abort();
  }

  std::unique_ptr<Collectives> subgroup(const std::vector<int>& members) override {
    auto control = control_->subgroup(members);
    NcclOptions part = options_;
    part.prefix = fmt::format("{}/part-{}-{}", options_.prefix, ++parts_made_, members.front());
    return std::make_unique<Nccl>(*store_, std::move(control), part, this, members.front());
  }

  std::unique_ptr<Pending> start_all_gather(const at::Tensor& part, const at::Tensor& whole) override {
    ensure(whole.numel() == part.numel() * size(), "an all-gather's whole is as long as its parts");
    at::Tensor in = part, out = whole;
    return started([&] { return group_->_allgather_base(out, in); });
  }

  std::unique_ptr<Pending> start_reduce_scatter(const at::Tensor& whole, const at::Tensor& sum) override {
    ensure(whole.numel() == sum.numel() * size(), "a reduce-scatter's whole is as long as its parts");
    at::Tensor in = whole, received = take_buffer(sum), into = sum;
    return started([&] { return group_->_reduce_scatter_base(received, in); },
                   [this, received, into]() mutable {
                     into.add_(received);
                     buffers_.push_back(received);
                   });
  }

  std::unique_ptr<Pending> start_all_reduce(const at::Tensor& values) override {
    std::vector<at::Tensor> tensors = {values};
    return started([&] { return group_->allreduce(tensors); });
  }

  std::unique_ptr<Pending> start_all_to_all(const at::Tensor& in, const at::Tensor& out) override {
    ensure(in.numel() == out.numel() && in.numel() % size() == 0, "an all-to-all swaps equal pieces");
    at::Tensor sent = in, received = out;
    std::vector<int64_t> counts;
    return started([&] { return group_->alltoall_base(received, sent, counts, counts); });
  }

  at::Tensor make_buffer(int64_t elements, const c10::TensorOptions& options) override {
    if (!registers()) return Collectives::make_buffer(elements, options);
    try {
      return group_->allocateTensor(elements, options).zero_();
    } catch (const std::exception& problem) {
      throw Error(Code::recipe, fmt::format("NCCL registers no memory: {}", first_line(problem.what())),
                  "set train.nccl_register = false");
    }
  }

  std::vector<double> gather(const std::vector<double>& part) override { return control_->gather(part); }
  void broadcast(std::vector<double>& values, int root) override { control_->broadcast(values, root); }
  void barrier() override { control_->barrier(); }

 private:
  struct Transfer final : Pending {
    Transfer(Nccl& owner, Work work, std::function<void()> then)
        : owner_(owner), work_(std::move(work)), then_(std::move(then)) {}
    void wait() override {
      owner_.finish(*std::exchange(work_, {}));
      if (then_) then_();
    }
    Nccl& owner_;
    Work work_;
    std::function<void()> then_;
  };

  template <class Start>
  std::unique_ptr<Pending> started(Start start, std::function<void()> then = {}) {
    try {
      return std::make_unique<Transfer>(*this, start(), std::move(then));
    } catch (const std::exception& problem) {
      abandon();
      throw lost(problem.what());
    }
  }

  void finish(c10d::Work& work) {
    const auto start = Clock::now();
    auto looked = start;
    bool leaves = false;
    try {
      while (!work.isCompleted()) {
        const auto now = Clock::now();
        if (now - looked > std::chrono::milliseconds(100)) {
          looked = now;
          leaves = true;
          if (root_->while_waiting) root_->while_waiting();
          leaves = false;
        }
        if (now - start > std::chrono::duration<double>(options_.timeout_s))
          throw std::runtime_error(fmt::format("no answer within {} s", options_.timeout_s));
        if (now - start > std::chrono::milliseconds(1))
          std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
      work.wait();  // what this stream does next comes after the transfer
    } catch (const std::exception& problem) {
      abandon();
      if (leaves) throw;
      throw lost(problem.what());
    } catch (...) {
      abandon();
      throw;
    }
  }

  void abort() {
    if (!group_ || aborted_) return;
    aborted_ = true;
    try {
      model::cuda_library().abort_nccl(*group_);
    } catch (const std::exception&) {  // it is gone already
    }
  }

  // Told once, by the first rank.
  bool registers() {
    if (!root_->registers_buffers) return false;
    const bool can = group_->supportsTensorAlloc(static_cast<c10::DeviceIndex>(options_.device));
    if (!std::exchange(root_->told_, true) && root_->rank() == 0)
      info("NCCL: the buffers of units are {}",
           can ? "in registered memory" : "not registered, this GPU or NCCL cannot");
    return can;
  }

  Error lost(const std::string& text) const {
    const std::string names = root_->blame ? root_->blame() : "";
    const std::string message = names.empty() ? "a collective failed: " + first_line(text) : "lost " + names;
    return Error(Code::distributed, message, "start again: training resumes from the newest checkpoint",
                 fmt::format("rank {}", root_->rank()));
  }

  at::Tensor take_buffer(const at::Tensor& like) {
    for (size_t i = 0; i < buffers_.size(); ++i) {
      if (buffers_[i].numel() != like.numel()) continue;
      at::Tensor found = buffers_[i];
      buffers_.erase(buffers_.begin() + static_cast<int64_t>(i));
      return found;
    }
    return make_buffer(like.numel(), like.options());
  }

  std::unique_ptr<Collectives> control_;
  NcclOptions options_;
  Nccl* root_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::Backend> group_;
  std::vector<at::Tensor> buffers_;
  int64_t parts_made_ = 0;
  bool left_ = false, aborted_ = false, told_ = false;
};

}  // namespace

std::unique_ptr<Collectives> make_nccl_collectives(c10d::Store& store, std::unique_ptr<Collectives> control,
                                                   const NcclOptions& options) {
  return std::make_unique<Nccl>(store, std::move(control), options);
}

}  // namespace retrace::train
