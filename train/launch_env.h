// Who am I among the processes of a job, as the launcher's environment tells it. No torch here.
#pragma once

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
  std::string attempt;       // run id and restart count: keys of one attempt never meet those of another
};

using GetEnv = std::function<std::optional<std::string>(const std::string&)>;
std::optional<std::string> process_environment(const std::string& name);

// Reads RANK and WORLD_SIZE (torchrun, our own launcher), SLURM_PROCID under srun, OMPI_COMM_WORLD_RANK, in
// this order. Error{usage} naming a variable that is missing or no number.
LaunchEnv read_launch_env(const GetEnv& get = process_environment);

// First host of a Slurm node list: "gpu[03-05,9],x1" -> "gpu03".
std::string first_slurm_host(const std::string& node_list);

}  // namespace retrace::train
