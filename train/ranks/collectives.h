// What ranks do together with tensors, in one small interface: Gloo between processes, NCCL between GPUs,
// nothing in one process. Over Gloo every sum adds in rank order, so results are a function of the world size
// alone; over both they are equal on every rank.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace at {
class Tensor;
}
namespace c10 {
struct TensorOptions;
}
namespace c10d {
class Store;
}

namespace retrace::train {

class Collectives {
 public:
  // A transfer under way. It keeps its tensors alive; wait() finishes it (once).
  class Pending {
   public:
    virtual ~Pending() = default;
    virtual void wait() = 0;
  };

  virtual ~Collectives() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // whole = the parts of all ranks, in rank order. 1-D, contiguous; whole has size() * part elements. `part`
  // may be this rank's place in `whole`.
  virtual std::unique_ptr<Pending> start_all_gather(const at::Tensor& part, const at::Tensor& whole) = 0;
  // On wait(): sum += the sum over ranks, in rank order and fp32, of this rank's range of their `whole`.
  virtual std::unique_ptr<Pending> start_reduce_scatter(const at::Tensor& whole, const at::Tensor& sum) = 0;
  // On wait(): `values` (fp32, 1-D) is the sum over ranks, in rank order, with the same bits on every rank.
  virtual std::unique_ptr<Pending> start_all_reduce(const at::Tensor& values) = 0;
  // out = the piece for this rank of every rank's `in`, in rank order: size() equal pieces, 1-D, contiguous.
  virtual std::unique_ptr<Pending> start_all_to_all(const at::Tensor& in, const at::Tensor& out) = 0;
  // The group of `members`: ascending ranks of this group, this one among them. All ranks call it at the same
  // point, each with the members of its own group; no two groups overlap. It waits, blames and is abandoned
  // as this one, which outlives it.
  virtual std::unique_ptr<Collectives> subgroup(const std::vector<int>& members) = 0;
  // Zeros, 1-D, for tensors that travel often: over NCCL in registered memory, if `registers_buffers` and the
  // GPU can. They must not outlive this group.
  virtual at::Tensor make_buffer(int64_t elements, const c10::TensorOptions& options);
  bool registers_buffers = false;
  // The parts of all ranks, in rank order; the same number from each.
  virtual std::vector<double> gather(const std::vector<double>& part) = 0;
  virtual void broadcast(std::vector<double>& values, int root) = 0;
  virtual void barrier() = 0;

  std::vector<double> sum(const std::vector<double>& part);  // added in rank order
  std::vector<double> max(const std::vector<double>& part);

  // Seconds that wait() and gather() have taken so far, by what was waited for; 0 where nothing travels.
  struct Waits {
    double gather_s = 0, reduce_s = 0, meeting_s = 0;
  } waits;
  // Asked from time to time while waiting; may throw to leave a transfer that cannot complete.
  std::function<void()> while_waiting;
  // Names the peers that are lost, for the message of a failed collective; "" if it cannot tell.
  std::function<std::string()> blame;
  // Transfers that are under way will never be waited for: a peer is gone.
  virtual void abandon() {}
};

std::unique_ptr<Collectives> make_single_collectives();
struct GlooOptions {
  std::string prefix;  // of its keys in the store
  int rank = 0, size = 1;
  double timeout_s = 600;
  std::string address;  // of this machine, to be reached by, unless GLOO_SOCKET_IFNAME names an interface
};
// A Gloo group over `store`, which must have come from connect_store. Error{distributed} when a peer is lost
// or silent for timeout_s.
std::unique_ptr<Collectives> make_gloo_collectives(c10d::Store& store, const GlooOptions& options);

struct NcclOptions {
  std::string prefix;  // of its keys in the store
  int device = 0;      // the GPU of this machine on which this rank's tensors are
  double timeout_s = 600;
};
// An NCCL group of the ranks of `control`, a Gloo group that carries what is not a tensor on a GPU. Errors as
// above.
std::unique_ptr<Collectives> make_nccl_collectives(c10d::Store& store, std::unique_ptr<Collectives> control,
                                                   const NcclOptions& options);

}  // namespace retrace::train
