#include "launcher/rank_session.h"

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <c10/cuda/CUDAFunctions.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "launcher/text_table.h"
#include "runtime/error.h"
#include "runtime/freed_memory.h"
#include "runtime/host_info.h"
#include "runtime/log.h"
#include "runtime/nccl_communicator.h"
#include "runtime/rank_cores.h"
#include "runtime/threads.h"

namespace limewash::launcher {

namespace {

/// `work` of a rank under MPI; any error ends all ranks.
int run_under_mpi(int64_t threads, const std::function<void(MpiSession&)>& work) {
  MpiSession session;
  try {
    configure_threads(threads, {session.local_size(), ranks_on_these_cores(*session.world())});
    work(session);
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

int run_alone(int64_t threads, RankDevice device, const std::function<int(Communicator&)>& work) {
  configure_threads(threads);
  const auto communicator = make_single_process_communicator(device);
  return work(*communicator);
}

/// One line a rank: number, role, host, device, threads. Collective.
void print_rank_table(Communicator& all, Role role, const std::string& device) {
  const nlohmann::json row{role == Role::kTrainer ? "trainer" : "evaluator",
                           host_name(),
                           device,
                           std::to_string(at::get_num_threads())};
  const auto rows = all.all_gather(row.dump());
  if (all.rank() != 0) return;
  std::vector<std::vector<std::string>> table{{"rank", "role", "host", "device", "threads"}};
  for (size_t rank = 0; rank < rows.size(); ++rank) {
    auto cells = nlohmann::json::parse(rows[rank]).get<std::vector<std::string>>();
    cells.insert(cells.begin(), std::to_string(rank));
    table.push_back(std::move(cells));
  }
  std::fputs(text_table(table, table.front().size()).c_str(), stderr);
}

/// Throws ConfigError on every rank where they would compute on different things: they would not
/// meet in the same collectives. Collective.
void agree_on_device(Communicator& all, RankDevice device) {
  const bool any_gpu = all.agree_any(device == RankDevice::kGpu);
  const bool any_cpu = all.agree_any(device == RankDevice::kCpu);
  if (any_gpu && any_cpu) {
    throw ConfigError(
        "run.device: some ranks see a GPU and others don't; expected cpu or cuda, for all of them");
  }
}

void run_role(MpiSession& session,
              int64_t evaluators,
              const std::function<int(const RankGroup&)>& work,
              RankDevice device) {
  auto all = session.world();
  configure_logging("info", all->rank(), all->size());
  agree_on_device(*all, device);
  const int64_t trainers = all->size() - evaluators;
  if (trainers < 1) {
    throw ConfigError("launch.evaluators = " + std::to_string(evaluators) + " of " +
                      std::to_string(all->size()) + " ranks: none is left to train");
  }
  const Role role = all->rank() < trainers ? Role::kTrainer : Role::kEvaluator;
  std::string device_name = "cpu";
  if (device == RankDevice::kGpu) {
    // Of both roles at once: no two may share a GPU.
    const auto gpu = agree_on_gpus(*all, session.local_rank());
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(gpu));
    device_name = "cuda:" + std::to_string(gpu);
  }
  print_rank_table(*all, role, device_name);
  auto own = all->split(static_cast<int>(role));
  // Evaluators exchange figures only.
  if (device == RankDevice::kGpu && role == Role::kTrainer) own = session.on_gpus(std::move(own));
  work({role, *own, *all, evaluators});
  own->shut_down();
  // Whoever is done first leaves its core to the others.
  all->quiet_barrier();
}

}  // namespace

int run_on_ranks(int64_t threads,
                 const std::function<int(Communicator&)>& work,
                 RankDevice device) {
  keep_freed_memory();
  if (!started_under_mpi()) return run_alone(threads, device, work);
  return run_under_mpi(threads, [&](MpiSession& session) {
    auto communicator = session.world();
    agree_on_device(*communicator, device);
    if (device == RankDevice::kGpu) communicator = session.on_gpus(std::move(communicator));
    configure_logging("info", communicator->rank(), communicator->size());
    work(*communicator);
    communicator->shut_down();
  });
}

int run_by_role(int64_t threads,
                int64_t evaluators,
                const std::function<int(const RankGroup&)>& work,
                RankDevice device) {
  keep_freed_memory();
  if (!started_under_mpi()) {
    return run_alone(threads, device, [&](Communicator& alone) {
      return work({Role::kTrainer, alone, alone, 0});
    });
  }
  return run_under_mpi(threads,
                       [&](MpiSession& session) { run_role(session, evaluators, work, device); });
}

}  // namespace limewash::launcher
