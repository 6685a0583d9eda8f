#include "train/launch_env.h"

#include <charconv>
#include <cstdlib>

#include "core/error.h"
#include "core/hash.h"

namespace retrace::train {
namespace {

int number(const GetEnv& get, const std::string& name, std::optional<int> fallback = std::nullopt) {
  const auto text = get(name);
  if (!text) {
    if (fallback) return *fallback;
    throw Error(Code::usage, fmt::format("the launcher did not set {}", name),
                "start ranks with --nproc N, torchrun, srun or mpirun", name);
  }
  int value = 0;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (problem != std::errc() || end != text->data() + text->size() || value < 0)
    throw Error(Code::usage, fmt::format("{}=\"{}\" is not a number", name, *text), "", name);
  return value;
}

// A port that all processes of one job derive alike.
int derived_port(const std::string& job) {
  return 20000 + static_cast<int>(xxh3_64(job) % 20000);
}

LaunchEnv from_torchrun(const GetEnv& get) {
  LaunchEnv env;
  env.launcher = get("RETRACE_LAUNCHER") ? "retrace" : "torchrun";
  env.rank = number(get, "RANK");
  env.size = number(get, "WORLD_SIZE");
  env.local_rank = number(get, "LOCAL_RANK", env.rank);
  env.local_size = number(get, "LOCAL_WORLD_SIZE", env.size);
  env.agent_store = get("TORCHELASTIC_USE_AGENT_STORE") == "True";
  env.attempt =
      get("TORCHELASTIC_RUN_ID").value_or("run") + "/" + get("TORCHELASTIC_RESTART_COUNT").value_or("0");
  if (env.size > 1) {
    env.master_addr = get("MASTER_ADDR").value_or("127.0.0.1");
    env.master_port = number(get, "MASTER_PORT");
  }
  return env;
}

// SLURM_PROCID stands in batch scripts too; only srun sets the number of tasks of a step.
LaunchEnv from_slurm(const GetEnv& get) {
  LaunchEnv env;
  env.launcher = "slurm";
  env.rank = number(get, "SLURM_PROCID");
  env.size = number(get, "SLURM_STEP_NUM_TASKS");
  env.local_rank = number(get, "SLURM_LOCALID", 0);
  const int nodes = std::max(1, number(get, "SLURM_STEP_NUM_NODES", 1));
  env.local_size = (env.size + nodes - 1) / nodes;
  const std::string job = get("SLURM_JOB_ID").value_or("0") + "." + get("SLURM_STEP_ID").value_or("0");
  env.attempt = job + "/" + get("SLURM_RESTART_COUNT").value_or("0");
  env.master_port = number(get, "MASTER_PORT", derived_port(job));
  if (const auto address = get("MASTER_ADDR"))
    env.master_addr = *address;
  else if (nodes > 1)
    env.master_addr =
        first_slurm_host(get("SLURM_STEP_NODELIST").value_or(get("SLURM_JOB_NODELIST").value_or("")));
  return env;
}

LaunchEnv from_openmpi(const GetEnv& get) {
  LaunchEnv env;
  env.launcher = "openmpi";
  env.rank = number(get, "OMPI_COMM_WORLD_RANK");
  env.size = number(get, "OMPI_COMM_WORLD_SIZE");
  env.local_rank = number(get, "OMPI_COMM_WORLD_LOCAL_RANK", env.rank);
  env.local_size = number(get, "OMPI_COMM_WORLD_LOCAL_SIZE", env.size);
  const std::string job = get("PMIX_NAMESPACE").value_or(get("OMPI_MCA_ess_base_jobid").value_or("mpi"));
  env.attempt = job;
  env.master_port = number(get, "MASTER_PORT", derived_port(job));
  if (const auto address = get("MASTER_ADDR"))
    env.master_addr = *address;
  else if (env.local_size < env.size)
    throw Error(Code::usage, "several nodes, but MASTER_ADDR is not set",
                "mpirun -x MASTER_ADDR=HOST_OF_RANK_0 -x MASTER_PORT=PORT ...", "MASTER_ADDR");
  return env;
}

}  // namespace

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (!value) return std::nullopt;
  return std::string(value);
}

std::string first_slurm_host(const std::string& node_list) {
  const size_t end = node_list.find_first_of(",[");
  const std::string prefix = node_list.substr(0, end);
  if (prefix.empty() && (end == std::string::npos || node_list[end] != '['))
    throw Error(Code::usage, fmt::format("cannot read the Slurm node list \"{}\"", node_list),
                "set MASTER_ADDR to the host of rank 0", "SLURM_STEP_NODELIST");
  if (end == std::string::npos || node_list[end] == ',') return prefix;
  const size_t stop = node_list.find_first_of(",-]", end + 1);
  if (stop == std::string::npos)
    throw Error(Code::usage, fmt::format("cannot read the Slurm node list \"{}\"", node_list),
                "set MASTER_ADDR to the host of rank 0", "SLURM_STEP_NODELIST");
  return prefix + node_list.substr(end + 1, stop - end - 1);
}

LaunchEnv read_launch_env(const GetEnv& get) {
  LaunchEnv env;
  if (get("RANK") && get("WORLD_SIZE"))
    env = from_torchrun(get);
  else if (get("SLURM_PROCID") && get("SLURM_STEP_NUM_TASKS"))
    env = from_slurm(get);
  else if (get("OMPI_COMM_WORLD_RANK"))
    env = from_openmpi(get);
  if (env.size < 1 || env.rank >= env.size)
    throw Error(Code::usage,
                fmt::format("rank {} of {}: the launcher's numbers do not fit", env.rank, env.size));
  return env;
}

}  // namespace retrace::train
