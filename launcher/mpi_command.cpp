#include "launcher/mpi_command.h"

#include <array>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace limewash::launcher {

namespace {

/// Settings that a rank needs on another host too: of the tracker, the network and the libraries,
/// but for what describes this host (CUDA_VISIBLE_DEVICES).
constexpr std::array<std::string_view, 20> kForwarded{"MLFLOW_",
                                                      "NCCL_",
                                                      "UCX_",
                                                      "TORCH_",
                                                      "PYTORCH_",
                                                      "ATEN_",
                                                      "OMP_",
                                                      "KMP_",
                                                      "MKL_",
                                                      "DNNL_",
                                                      "ONEDNN_",
                                                      "CUBLAS_",
                                                      "NVIDIA_TF32_OVERRIDE=",
                                                      "LD_LIBRARY_PATH=",
                                                      "SSL_CERT_",
                                                      "http_proxy=",
                                                      "https_proxy=",
                                                      "HTTPS_PROXY=",
                                                      "no_proxy=",
                                                      "NO_PROXY="};

/// Names only: the values are not for the command line, where everybody reads them.
std::vector<std::string> forwarded_names() {
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view setting(*entry);
    for (const auto start : kForwarded) {
      if (!setting.starts_with(start)) continue;
      names.emplace_back(setting.substr(0, setting.find('=')));
      break;
    }
  }
  return names;
}

}  // namespace

std::vector<std::string> mpirun_command(int64_t ranks, const MpirunOptions& options) {
  // Of SIGTERM to mpirun itself: it waits so long before it passes that on, and again before it
  // kills. It waits as long when a rank has died, whether or not the others are gone by then.
  std::vector<std::string> command{"mpirun",
                                   "-n",
                                   std::to_string(ranks),
                                   "--oversubscribe",
                                   "--mca",
                                   "odls_base_sigkill_timeout",
                                   "10"};
  // A host that loses its power says nothing. Open MPI would wait eight minutes for it.
  for (const auto& [name, value] : {std::pair("time", "30"), {"intvl", "10"}, {"probes", "6"}})
    command.insert(command.end(), {"--mca", std::string("oob_tcp_keepalive_") + name, value});
  // By slot: a host is filled before the next, so that trainers are near each other. Ranks
  // set their own threads; unless told otherwise they must not be bound to one core.
  const bool own_cores = options.binding == "core";
  command.insert(command.end(),
                 {"--map-by",
                  own_cores ? "slot:PE=" + std::to_string(options.cores) : "slot",
                  "--bind-to",
                  options.binding});
  if (!options.hosts.empty()) {
    command.insert(command.end(), {"--host", options.hosts});
    for (const auto& name : forwarded_names()) command.insert(command.end(), {"-x", name});
  }
  if (options.logs.empty()) return command;
  const auto folder = std::filesystem::absolute(options.logs).string();
  // mpirun takes what is behind a colon for options.
  if (folder.find(':') == std::string::npos) {
    command.emplace_back("--output-filename");
    command.push_back(folder + ":nojobid");
  }
  return command;
}

std::vector<std::string> mpirun_environment() {
  // Containers run as root; Open MPI asks for both.
  if (geteuid() == 0) return {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"};
  return {};
}

}  // namespace limewash::launcher
