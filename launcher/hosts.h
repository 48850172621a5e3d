#pragma once
// The hosts that ranks are started on, and what each of them has.

#include <cstdint>
#include <string>
#include <vector>

namespace limewash::launcher {

struct Host {
  std::string name;
  int64_t ranks = 0;  ///< that it has a place for
  bool operator==(const Host&) const = default;
};

/// `entries` of launch.hosts: "node1:4", or "node1" for an even share of `ranks`. Throws
/// ConfigError for what is no host, one named twice, and too few places.
std::vector<Host> parse_hosts(const std::vector<std::string>& entries, int64_t ranks);

/// The hosts of a Slurm job by their `names` and the tasks of each as Slurm writes them
/// (SLURM_TASKS_PER_NODE: "4(x2),3"); an even share where it says nothing that fits. Where `ranks`
/// are more than the tasks, every host takes more in proportion.
std::vector<Host> slurm_hosts(const std::vector<std::string>& names,
                              const std::string& tasks_per_node,
                              int64_t ranks);

/// Those of the configuration, else those of the Slurm job that this process is in, as `scontrol`
/// names them, else none: ranks run on this host alone. Throws ConfigError as `parse_hosts`, and
/// InputError where mpirun takes hosts from what is not known here.
std::vector<Host> hosts_of(const std::vector<std::string>& entries, int64_t ranks);

/// "node1:4,node2:4", for mpirun's --host.
std::string host_argument(const std::vector<Host>& hosts);

/// What a process that was started on a host found there.
struct HostState {
  Host host;
  int64_t gpus = 0;              ///< that work
  std::string gpu_problem = {};  ///< why a GPU does not work, or none is there, in CUDA's words
  std::string problem = {};      ///< why no process could be started; empty: it could
};

/// Start `program` on each of `hosts` the way mpirun starts ranks, several at a time, each for a
/// minute at most; without hosts on this one, which then stands for all `ranks`. A stop request
/// ends it early.
std::vector<HostState> examine_hosts(const std::string& program,
                                     const std::vector<Host>& hosts,
                                     int64_t ranks);

/// The process that `examine_hosts` starts: prints what it finds as JSON.
int print_host_state();

}  // namespace limewash::launcher
