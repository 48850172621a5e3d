#pragma once
// How busy the machine is, under the names that MLflow's page groups as "System metrics"
// (mlflow/system_metrics). Megabytes are 10^6 bytes.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tracking/nvml.h"

namespace limewash::tracking {

using NamedValues = std::vector<std::pair<std::string, double>>;

/// "system/", or "system/NODE/" where MLFLOW_SYSTEM_METRICS_NODE_ID names this machine.
std::string system_metrics_prefix();

/// Reads the machine's counters. Shares (CPU) and amounts (network) count from the reading before,
/// or from the construction.
class SystemMonitor {
 public:
  /// `folder`: its file system is the disk. `proc`: another folder in tests.
  explicit SystemMonitor(std::filesystem::path folder,
                         std::unique_ptr<Nvml> gpus,
                         std::filesystem::path proc = "/proc");
  /// What the kernel and the driver tell now, under MLflow's names without the prefix; what they do
  /// not tell is left out.
  NamedValues read();

 private:
  struct CpuTimes {
    double busy = 0, all = 0;
  };
  struct NetworkBytes {
    double received = 0, sent = 0;
  };
  bool read_cpu(CpuTimes& times) const;
  bool read_network(NetworkBytes& bytes) const;
  void add_memory(NamedValues& values) const;
  void add_disk(NamedValues& values) const;
  void add_gpus(NamedValues& values) const;

  std::filesystem::path folder_, proc_;
  std::unique_ptr<Nvml> gpus_;
  CpuTimes cpu_;
  NetworkBytes network_at_begin_;
};

/// Reads at intervals in a thread of its own and hands the values on.
class SystemSampler {
 public:
  using Take = std::function<void(const NamedValues&)>;
  /// The first reading comes after `interval`. `make_monitor` and `take` run in the thread.
  SystemSampler(std::chrono::duration<double> interval,
                std::function<std::unique_ptr<SystemMonitor>()> make_monitor,
                Take take);
  /// As `stop`.
  ~SystemSampler();
  SystemSampler(const SystemSampler&) = delete;
  SystemSampler& operator=(const SystemSampler&) = delete;
  /// `take` is never called afterwards. A reading that hangs in a driver or a lost file system is
  /// left alone after two seconds.
  void stop();

 private:
  struct Shared;
  static void run(const std::shared_ptr<Shared>& shared);
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace limewash::tracking
