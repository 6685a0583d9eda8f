#include "train/ranks/launch_env.h"

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

[[noreturn]] std::string unreadable_nodes(const std::string& node_list) {
  throw Error(Code::usage, fmt::format("cannot read the Slurm node list \"{}\"", node_list),
              "set MASTER_ADDR to the host of rank 0", "SLURM_STEP_NODELIST");
}

// A port that all processes of one job derive alike, below those that Linux gives to outgoing connections.
int derived_port(const std::string& job) {
  return 20000 + static_cast<int>(xxh3_64(job) % 12000);
}

LaunchEnv from_torchrun(const GetEnv& get) {
  LaunchEnv env;
  env.launcher = get("RETRACE_LAUNCHER") ? "retrace" : "torchrun";
  env.rank = number(get, "RANK");
  env.size = number(get, "WORLD_SIZE");
  env.local_rank = number(get, "LOCAL_RANK", env.rank);
  env.local_size = number(get, "LOCAL_WORLD_SIZE", env.size);
  env.agent_store = get("TORCHELASTIC_USE_AGENT_STORE") == "True";
  env.job = get("TORCHELASTIC_RUN_ID").value_or("run");
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
  const auto counts = get("SLURM_STEP_TASKS_PER_NODE");
  env.local_size =
      counts ? slurm_tasks_of_node(*counts, number(get, "SLURM_NODEID", 0)) : (env.size + nodes - 1) / nodes;
  const std::string job = get("SLURM_JOB_ID").value_or("0") + "." + get("SLURM_STEP_ID").value_or("0");
  env.job = job;
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
  env.job = job;
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

bool starts_own_ranks(const LaunchEnv& env, int64_t nproc) {
  return nproc > 1 && env.size == 1 && env.launcher != "torchrun" && env.launcher != "retrace";
}

std::string first_slurm_host(const std::string& node_list) {
  std::string host;
  for (size_t at = 0; at < node_list.size() && node_list[at] != ','; ++at) {
    if (node_list[at] != '[') {
      host += node_list[at];
      continue;
    }
    const size_t stop = node_list.find_first_of(",-]", at), close = node_list.find(']', at);
    if (close == std::string::npos) return unreadable_nodes(node_list);
    host += node_list.substr(at + 1, stop - at - 1);
    at = close;
  }
  return host.empty() ? unreadable_nodes(node_list) : host;
}

int slurm_tasks_of_node(const std::string& tasks_per_node, int node) {
  const auto number_at = [&](size_t& at) {
    int value = 0;
    const char* const end = tasks_per_node.data() + tasks_per_node.size();
    const auto [stop, problem] = std::from_chars(tasks_per_node.data() + at, end, value);
    if (problem != std::errc() || value < 1)
      throw Error(Code::usage, fmt::format("cannot read \"{}\" as tasks per node", tasks_per_node), "",
                  "SLURM_STEP_TASKS_PER_NODE");
    at = static_cast<size_t>(stop - tasks_per_node.data());
    return value;
  };
  int before = 0;
  for (size_t at = 0; at < tasks_per_node.size(); ++at) {
    const int tasks = number_at(at);
    int nodes = 1;
    if (tasks_per_node.compare(at, 2, "(x") == 0) {
      at += 2;
      nodes = number_at(at);
      ++at;  // the bracket
    }
    before += nodes;
    if (node < before) return tasks;
  }
  throw Error(Code::usage, fmt::format("node {} is not among \"{}\"", node, tasks_per_node), "",
              "SLURM_STEP_TASKS_PER_NODE");
}

LaunchEnv read_launch_env(const GetEnv& get) {
  LaunchEnv env;
  if (get("RANK") && get("WORLD_SIZE"))
    env = from_torchrun(get);
  else if (get("OMPI_COMM_WORLD_RANK"))
    env = from_openmpi(get);
  else if (get("SLURM_PROCID") && get("SLURM_STEP_NUM_TASKS"))
    env = from_slurm(get);
  if (env.size < 1 || env.rank >= env.size)
    throw Error(Code::usage,
                fmt::format("rank {} of {}: the launcher's numbers do not fit", env.rank, env.size));
  return env;
}

}  // namespace retrace::train
