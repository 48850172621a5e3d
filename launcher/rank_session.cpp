#include "launcher/rank_session.h"

#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "runtime/freed_memory.h"
#include "runtime/log.h"
#include "runtime/threads.h"

namespace limewash::launcher {

namespace {

int run_alone(int64_t threads, RankDevice device, const std::function<int(Communicator&)>& work) {
  configure_threads(threads, 1);
  const auto communicator = make_single_process_communicator(device);
  return work(*communicator);
}

int run_under_mpi(int64_t threads,
                  RankDevice device,
                  const std::function<int(Communicator&)>& work) {
  MpiSession session;
  try {
    configure_threads(threads, session.local_size());
    auto communicator = session.world(device);
    configure_logging("info", communicator->rank(), communicator->size());
    work(*communicator);
    communicator->shut_down();
    communicator.reset();
    session.finalize();
    return kExitDone;
  } catch (const ConfigError& error) {
    spdlog::error("{}", error.what());
    session.abort(kExitUsage);
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
    session.abort(kExitFailed);
  }
}

}  // namespace

int run_on_ranks(int64_t threads,
                 const std::function<int(Communicator&)>& work,
                 RankDevice device) {
  keep_freed_memory();
  return started_under_mpi() ? run_under_mpi(threads, device, work)
                             : run_alone(threads, device, work);
}

}  // namespace limewash::launcher
