#pragma once
// What `limewash doctor` looks at. Each check answers with findings; none of them throws for what
// it finds, and none takes longer than its time limit.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "launcher/config.h"
#include "runtime/device_info.h"

namespace limewash::launcher {

enum class Health {
  kOk,       ///< works
  kNote,     ///< worth knowing; nothing that the configuration needs
  kProblem,  ///< the configuration needs it, and it does not work
};

struct Finding {
  std::string topic;
  Health health = Health::kOk;
  std::string found = {};   ///< one line
  std::string advice = {};  ///< what to do; empty where there is nothing to do
  nlohmann::json details = nlohmann::json::object();
};

/// What is asked for: without a configuration its defaults, and nothing of the files it names.
struct DoctorRequest {
  Config config;
  bool has_config = false;
  std::string program;  ///< this program's file, to start ranks of it
};

/// Cores, memory, instruction set, GPUs, NCCL, limits, clock.
std::vector<Finding> examine_host(const DoctorRequest& request, const DeviceInfo& devices);
/// mpirun and two ranks of this program that sum; PMIx, Slurm and its allocation; launch.hosts.
std::vector<Finding> examine_ranks(const DoctorRequest& request);
/// HDF5, the run folder's file system, the tracker.
std::vector<Finding> examine_services(const DoctorRequest& request);
/// What the configuration names (base model, datasets), and whether its training fits into memory
/// and onto the disk.
std::vector<Finding> examine_config(const DoctorRequest& request);

/// The ranks that `examine_ranks` starts: sum, and print what came of it as JSON on rank 0.
int run_all_reduce_check();

/// One finding a line, advice below it; and all of them as one JSON object.
std::string findings_text(const std::vector<Finding>& findings);
nlohmann::json findings_json(const std::vector<Finding>& findings);

}  // namespace limewash::launcher
