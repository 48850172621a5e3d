// mpirun, PMIx, Slurm.

#include <cstdio>

#include "launcher/doctor.h"
#include "launcher/hosts.h"
#include "launcher/mpi_command.h"
#include "runtime/all_reduce_check.h"
#include "runtime/captured_process.h"
#include "runtime/communicator.h"
#include "runtime/environment.h"
#include "runtime/error.h"
#include "runtime/host_info.h"
#include "runtime/threads.h"

namespace limewash::launcher {

namespace {

using nlohmann::json;

constexpr double kRanksSeconds = 60;
constexpr double kToolSeconds = 10;

/// What a tool that is asked for its version answers; empty when it does not.
std::string first_line(const std::vector<std::string>& arguments) {
  const auto answer = run_captured(arguments, {}, kToolSeconds);
  return answer.status == 0 ? answer.output.substr(0, answer.output.find('\n')) : "";
}

Finding examine_mpi(const DoctorRequest& request) {
  Finding finding{.topic = "mpi"};
  const Health broken = request.config.launch.trainers + request.config.launch.evaluators > 1
                            ? Health::kProblem
                            : Health::kNote;
  const auto mpirun = find_program("mpirun");
  finding.details = {{"mpirun", mpirun.empty() ? json() : json(mpirun.string())},
                     {"version", json()},
                     {"all_reduce", json()}};
  if (mpirun.empty()) {
    finding.health = broken;
    finding.found = "no mpirun in PATH";
    finding.advice =
        "several ranks need it: install Open MPI (Debian: openmpi-bin), or load its module";
    return finding;
  }
  const std::string version = first_line({"mpirun", "--version"});
  finding.details["version"] = version;
  finding.found = mpirun.string() + ", " + (version.empty() ? "version unknown" : version);
  if (started_under_mpi()) {
    finding.found += "; this process is itself a rank, so none are started";
    return finding;
  }
  auto arguments = mpirun_command(2);
  arguments.insert(arguments.end(), {request.program, "doctor", "--all-reduce"});
  const auto ranks = run_captured(arguments, mpirun_environment(), kRanksSeconds);
  const json answer = json::parse(ranks.output, nullptr, /*allow_exceptions=*/false);
  if (ranks.status == 0 && answer.is_object() && answer.value("exact", false)) {
    char text[160];
    std::snprintf(text,
                  sizeof text,
                  "; two ranks sum in %.0f us, 4 MiB at %.1f GiB/s (started and ended in %.1f s)",
                  1e6 * answer.value("latency_seconds", 0.0),
                  answer.value("bytes_per_second", 0.0) / (1 << 30),
                  ranks.seconds);
    finding.found += text;
    finding.details["all_reduce"] = answer;
    finding.details["all_reduce"]["seconds"] = ranks.seconds;
    return finding;
  }
  finding.health = broken;
  finding.found += "; two ranks of this program do not work: ";
  if (ranks.timed_out) {
    finding.found += "no answer in " + std::to_string(static_cast<int>(kRanksSeconds)) + " s";
    finding.advice =
        "a firewall or a wrong network interface is the usual cause: try OMPI_MCA_btl=self,vader "
        "on one host, OMPI_MCA_btl_tcp_if_include=INTERFACE between hosts";
  } else {
    finding.found += "status " + std::to_string(ranks.status) + ", " + ranks.last_line();
    finding.advice = "run it by hand and read what it says: mpirun -n 2 hostname";
  }
  return finding;
}

/// The hosts that the configuration names, each asked by a process there.
Finding examine_launch_hosts(const DoctorRequest& request) {
  const auto& launch = request.config.launch;
  const int64_t ranks = launch.trainers + launch.evaluators;
  Finding finding{.topic = "hosts"};
  try {
    const auto hosts = parse_hosts(launch.hosts, ranks);
    for (const auto& state : examine_hosts(request.program, hosts, ranks)) {
      if (!finding.found.empty()) finding.found += "; ";
      finding.found += state.host.name + ": ";
      finding.found += state.problem.empty() ? std::to_string(state.host.ranks) + " ranks, " +
                                                   std::to_string(state.gpus) + " GPUs"
                                             : state.problem;
      finding.details["hosts"].push_back(
          {{"name", state.host.name},
           {"ranks", state.host.ranks},
           {"gpus", state.gpus},
           {"problem", state.problem.empty() ? json() : json(state.problem)}});
      if (!state.problem.empty()) finding.health = Health::kProblem;
    }
  } catch (const ConfigError& error) {
    finding.found = error.what();
    finding.health = Health::kProblem;
    return finding;
  }
  if (finding.health == Health::kProblem)
    finding.advice = "try by hand: ssh HOST true, then mpirun -n 1 --host HOST hostname";
  return finding;
}

Finding examine_slurm() {
  Finding finding{.topic = "slurm"};
  const auto srun = find_program("srun");
  const std::string job = environment_variable("SLURM_JOB_ID");
  finding.details = {{"srun", srun.empty() ? json() : json(srun.string())},
                     {"pmix", json()},
                     {"job", job.empty() ? json() : json(job)}};
  if (srun.empty()) {
    finding.found = "no srun in PATH; ranks run on this host";
    return finding;
  }
  finding.found = first_line({"srun", "--version"});
  // Open MPI's ranks find each other through PMIx; Slurm lists what it was built with.
  const auto list = run_captured({"srun", "--mpi=list"}, {}, kToolSeconds);
  const bool pmix = (list.output + list.errors).find("pmix") != std::string::npos;
  finding.details["pmix"] = pmix;
  finding.found += pmix ? ", with PMIx" : ", without PMIx";
  if (!pmix) {
    finding.health = Health::kNote;
    finding.advice =
        "srun cannot start Open MPI's ranks without it: use mpirun inside of the job, "
        "or have Slurm built with PMIx";
  }
  if (job.empty()) {
    finding.found += "; not inside of a job";
    return finding;
  }
  finding.found += "; job " + job;
  json allocation = json::object();
  for (const char* name : {"SLURM_JOB_NUM_NODES",
                           "SLURM_JOB_NODELIST",
                           "SLURM_NTASKS",
                           "SLURM_CPUS_PER_TASK",
                           "SLURM_CPUS_ON_NODE",
                           "SLURM_MEM_PER_NODE",
                           "SLURM_JOB_PARTITION",
                           "SLURM_JOB_GPUS"}) {
    const std::string value = environment_variable(name);
    if (value.empty()) continue;
    allocation[name] = value;
    finding.found += std::string(", ") + name + "=" + value;
  }
  finding.details["allocation"] = allocation;
  return finding;
}

}  // namespace

std::vector<Finding> examine_ranks(const DoctorRequest& request) {
  std::vector<Finding> findings{examine_mpi(request), examine_slurm()};
  if (!request.config.launch.hosts.empty() && !started_under_mpi())
    findings.push_back(examine_launch_hosts(request));
  return findings;
}

int run_all_reduce_check() {
  MpiSession session;
  configure_threads(1);
  auto world = session.world();
  const auto check = check_all_reduce(*world);
  const bool exact = !world->agree_any(!check.exact);
  if (world->rank() == 0) {
    const json line = {{"ranks", world->size()},
                       {"exact", exact},
                       {"latency_seconds", check.latency_seconds},
                       {"bytes_per_second", check.bytes_per_second}};
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
  }
  world.reset();
  session.finalize();
  return exact ? kExitDone : kExitFailed;
}

}  // namespace limewash::launcher
