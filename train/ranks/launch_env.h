// Who am I among the processes of a job, as the launcher's environment tells it. No torch here.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace retrace::train {

struct LaunchEnv {
  std::string launcher = "none";  // none, torchrun (or any that sets its names), slurm, openmpi
  int rank = 0, size = 1, local_rank = 0, local_size = 1;
  std::string master_addr = "127.0.0.1";
  int master_port = 0;
  bool agent_store = false;  // the launcher serves the store: every rank is a client
  std::string job;           // its name with the launcher: jobs that share a store keep to their own keys
};

using GetEnv = std::function<std::optional<std::string>(const std::string&)>;
std::optional<std::string> process_environment(const std::string& name);

// Reads RANK and WORLD_SIZE (torchrun, our own launcher), OMPI_COMM_WORLD_RANK, SLURM_PROCID under srun, in
// this order: inside Slurm, mpirun's and torchrun's ranks see Slurm's names too. Error{usage} naming a
// variable that is missing or no number.
LaunchEnv read_launch_env(const GetEnv& get = process_environment);

// Whether this process is to start `nproc` ranks of its own: nobody did, or srun or mpirun started it alone.
bool starts_own_ranks(const LaunchEnv& env, int64_t nproc);

// First host of a Slurm node list: "gpu[03-05,9],x1" -> "gpu03".
std::string first_slurm_host(const std::string& node_list);
// Of Slurm's "4(x2),3": nodes 0 and 1 have 4 tasks, node 2 has 3. Error{usage} if it has no such node.
int slurm_tasks_of_node(const std::string& tasks_per_node, int node);

}  // namespace retrace::train
