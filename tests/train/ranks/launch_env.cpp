// Every launcher's environment, and what is missing or wrong in it.
#include "train/ranks/launch_env.h"

#include <catch2/catch_test_macros.hpp>
#include <map>

#include "core/error.h"

using namespace retrace;
using namespace retrace::train;

namespace {

LaunchEnv read(const std::map<std::string, std::string>& variables) {
  return read_launch_env([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

}  // namespace

TEST_CASE("no launcher means one process", "[unit]") {
  const LaunchEnv env = read({});
  REQUIRE(env.launcher == "none");
  REQUIRE(env.size == 1);
}

TEST_CASE("torchrun's names are read", "[unit]") {
  const LaunchEnv env = read({{"RANK", "9"},
                              {"WORLD_SIZE", "16"},
                              {"LOCAL_RANK", "1"},
                              {"LOCAL_WORLD_SIZE", "8"},
                              {"MASTER_ADDR", "host-a"},
                              {"MASTER_PORT", "29400"},
                              {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                              {"TORCHELASTIC_RUN_ID", "job"},
                              {"TORCHELASTIC_RESTART_COUNT", "2"}});
  REQUIRE(env.rank == 9);
  REQUIRE(env.size == 16);
  REQUIRE(env.local_rank == 1);
  REQUIRE(env.local_size == 8);
  REQUIRE(env.master_addr == "host-a");
  REQUIRE(env.master_port == 29400);
  REQUIRE(env.agent_store);
  REQUIRE(env.job == "job");
}

TEST_CASE("Slurm counts only under srun", "[unit]") {
  REQUIRE(read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).size == 1);
  const LaunchEnv env = read({{"SLURM_PROCID", "5"},
                              {"SLURM_STEP_NUM_TASKS", "16"},
                              {"SLURM_STEP_NUM_NODES", "2"},
                              {"SLURM_LOCALID", "5"},
                              {"SLURM_STEP_NODELIST", "gpu[03-04]"},
                              {"SLURM_JOB_ID", "77"}});
  REQUIRE(env.launcher == "slurm");
  REQUIRE(env.rank == 5);
  REQUIRE(env.size == 16);
  REQUIRE(env.local_size == 8);
  REQUIRE(env.master_addr == "gpu03");
  REQUIRE(env.master_port >= 20000);
  REQUIRE(env.master_port < 32000);
}

TEST_CASE("Slurm's tasks of each node need not be equal", "[unit]") {
  const auto local_size = [](const char* counts, const char* node) {
    return read({{"SLURM_PROCID", "1"},
                 {"SLURM_STEP_NUM_TASKS", "11"},
                 {"SLURM_STEP_NUM_NODES", "3"},
                 {"SLURM_NODEID", node},
                 {"SLURM_STEP_TASKS_PER_NODE", counts},
                 {"SLURM_STEP_NODELIST", "n[1-3]"}})
        .local_size;
  };
  REQUIRE(local_size("4(x2),3", "0") == 4);
  REQUIRE(local_size("4(x2),3", "1") == 4);
  REQUIRE(local_size("4(x2),3", "2") == 3);
  REQUIRE(local_size("8,2,1", "1") == 2);
  REQUIRE_THROWS_AS(local_size("4(x2)", "2"), Error);
  REQUIRE_THROWS_AS(local_size("4(x", "1"), Error);
  REQUIRE_THROWS_AS(local_size("", "0"), Error);
}

TEST_CASE("the launcher that started the ranks counts, not the one that started it", "[unit]") {
  // mpirun inside a Slurm job starts its daemons by srun, one a node; a batch script has SLURM_PROCID 0.
  std::map<std::string, std::string> variables = {
      {"SLURM_PROCID", "0"},         {"SLURM_STEP_NUM_TASKS", "2"},       {"SLURM_STEP_NODELIST", "a,b"},
      {"OMPI_COMM_WORLD_RANK", "5"}, {"OMPI_COMM_WORLD_SIZE", "8"},       {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
      {"MASTER_ADDR", "a"},          {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}, {"MASTER_PORT", "29500"}};
  REQUIRE(read(variables).launcher == "openmpi");
  REQUIRE(read(variables).rank == 5);
  variables.insert({{"RANK", "7"}, {"WORLD_SIZE", "16"}});
  REQUIRE(read(variables).launcher == "torchrun");
  REQUIRE(read(variables).rank == 7);
}

TEST_CASE("Open MPI's names are read; several nodes need MASTER_ADDR", "[unit]") {
  std::map<std::string, std::string> variables = {{"OMPI_COMM_WORLD_RANK", "1"},
                                                  {"OMPI_COMM_WORLD_SIZE", "2"},
                                                  {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                                  {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  REQUIRE(read(variables).master_addr == "127.0.0.1");
  variables.insert_or_assign("OMPI_COMM_WORLD_LOCAL_SIZE", std::string(1, '1'));
  REQUIRE_THROWS_AS(read(variables), Error);
}

TEST_CASE("ranks of one's own are started where a launcher started one process or none", "[unit]") {
  REQUIRE(starts_own_ranks(read({}), 2));
  REQUIRE_FALSE(starts_own_ranks(read({}), 1));
  std::map<std::string, std::string> slurm = {
      {"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_STEP_NODELIST", "a"}};
  REQUIRE(starts_own_ranks(read(slurm), 2));
  slurm.insert_or_assign("SLURM_STEP_NUM_TASKS", std::string(1, '2'));
  REQUIRE_FALSE(starts_own_ranks(read(slurm), 2));
  REQUIRE_FALSE(starts_own_ranks(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}), 2));
}

TEST_CASE("numbers that are none are refused by name", "[unit]") {
  for (const char* bad : {"x", "-1", "", "3.0"}) {
    try {
      read({{"RANK", bad}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "1"}});
      FAIL("accepted a bad rank");
    } catch (const Error& error) {
      REQUIRE(error.code() == Code::usage);
      REQUIRE(error.where() == "RANK");
    }
  }
  REQUIRE_THROWS_AS(read({{"RANK", "2"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "1"}}), Error);
  REQUIRE_THROWS_AS(read({{"RANK", "0"}, {"WORLD_SIZE", "2"}}), Error);
}

TEST_CASE("the first host of a Slurm node list", "[unit]") {
  REQUIRE(first_slurm_host("a1") == "a1");
  REQUIRE(first_slurm_host("a1,b2") == "a1");
  REQUIRE(first_slurm_host("n[007-009,12],x") == "n007");
  REQUIRE(first_slurm_host("n[3]") == "n3");
  REQUIRE(first_slurm_host("rack[2-3]n[04,06]-ib,x") == "rack2n04-ib");
  REQUIRE_THROWS_AS(first_slurm_host(""), Error);
  REQUIRE_THROWS_AS(first_slurm_host("n["), Error);
}
