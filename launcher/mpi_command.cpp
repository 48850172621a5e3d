#include "launcher/mpi_command.h"

#include <unistd.h>

namespace limewash::launcher {

std::vector<std::string> mpirun_command(int64_t ranks, const std::filesystem::path& logs) {
  // Ranks set their own threads, so they must not be bound to one core; a stop needs time for a
  // checkpoint.
  std::vector<std::string> command{"mpirun",
                                   "-n",
                                   std::to_string(ranks),
                                   "--bind-to",
                                   "none",
                                   "--oversubscribe",
                                   "--mca",
                                   "odls_base_sigkill_timeout",
                                   "20"};
  if (logs.empty()) return command;
  const auto folder = std::filesystem::absolute(logs).string();
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
