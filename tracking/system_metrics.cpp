#include "tracking/system_metrics.h"

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <sstream>
#include <system_error>

#include "runtime/environment.h"

namespace limewash::tracking {
namespace {

constexpr double kMegabyte = 1e6;
constexpr auto kLongestStop = std::chrono::seconds(2);

}  // namespace

std::string system_metrics_prefix() {
  const auto node = environment_variable("MLFLOW_SYSTEM_METRICS_NODE_ID");
  return node.empty() ? "system/" : "system/" + node + "/";
}

SystemMonitor::SystemMonitor(std::filesystem::path folder,
                             std::unique_ptr<Nvml> gpus,
                             std::filesystem::path proc)
    : folder_(std::move(folder)), proc_(std::move(proc)), gpus_(std::move(gpus)) {
  read_cpu(cpu_);
  read_network(network_at_begin_);
}

bool SystemMonitor::read_cpu(CpuTimes& times) const {
  std::ifstream file(proc_ / "stat");
  std::string name;
  file >> name;
  if (name != "cpu") return false;
  // user nice system idle iowait irq softirq steal; what follows is counted in user already.
  CpuTimes now;
  double ticks = 0;
  for (int i = 0; i < 8 && file >> ticks; ++i) {
    now.all += ticks;
    if (i != 3 && i != 4) now.busy += ticks;
  }
  times = now;
  return now.all > 0;
}

bool SystemMonitor::read_network(NetworkBytes& bytes) const {
  std::ifstream file(proc_ / "net" / "dev");
  NetworkBytes now;
  bool any = false;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::istringstream numbers(line.substr(colon + 1));
    double received = 0, sent = 0, other = 0;
    numbers >> received;
    for (int i = 0; i < 7; ++i) numbers >> other;
    if (!(numbers >> sent)) continue;
    now.received += received;
    now.sent += sent;
    any = true;
  }
  bytes = now;
  return any;
}

void SystemMonitor::add_memory(NamedValues& values) const {
  std::ifstream file(proc_ / "meminfo");
  double total = 0, available = -1;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    double kilobytes = 0;
    if (!(words >> name >> kilobytes)) continue;
    if (name == "MemTotal:") total = kilobytes * 1024;
    if (name == "MemAvailable:") available = kilobytes * 1024;
  }
  if (total <= 0 || available < 0) return;
  const double used = total - available;
  values.emplace_back("system_memory_usage_megabytes", used / kMegabyte);
  values.emplace_back("system_memory_usage_percentage", used / total * 100);
}

void SystemMonitor::add_disk(NamedValues& values) const {
  std::error_code error;
  const auto space = std::filesystem::space(folder_, error);
  if (error || space.capacity == 0) return;
  const auto used = static_cast<double>(space.capacity - space.free);
  const auto available = static_cast<double>(space.available);
  // As df counts: blocks kept for the administrator are neither used nor available.
  if (used + available > 0) {
    values.emplace_back("disk_usage_percentage", used / (used + available) * 100);
  }
  values.emplace_back("disk_usage_megabytes", used / kMegabyte);
  values.emplace_back("disk_available_megabytes", available / kMegabyte);
}

void SystemMonitor::add_gpus(NamedValues& values) const {
  if (!gpus_) return;
  const auto samples = gpus_->sample();
  for (size_t i = 0; i < samples.size(); ++i) {
    const GpuSample& gpu = samples[i];
    const std::string name = "gpu_" + std::to_string(i) + "_";
    if (gpu.memory_used_bytes && gpu.memory_total_bytes.value_or(0) > 0) {
      values.emplace_back(name + "memory_usage_percentage",
                          *gpu.memory_used_bytes / *gpu.memory_total_bytes * 100);
      values.emplace_back(name + "memory_usage_megabytes", *gpu.memory_used_bytes / kMegabyte);
    }
    if (gpu.utilization_percent) {
      values.emplace_back(name + "utilization_percentage", *gpu.utilization_percent);
    }
    if (gpu.power_watts) values.emplace_back(name + "power_usage_watts", *gpu.power_watts);
    if (gpu.power_watts && gpu.power_limit_watts.value_or(0) > 0) {
      values.emplace_back(name + "power_usage_percentage",
                          *gpu.power_watts / *gpu.power_limit_watts * 100);
    }
  }
}

NamedValues SystemMonitor::read() {
  NamedValues values;
  CpuTimes cpu;
  if (read_cpu(cpu) && cpu.all > cpu_.all) {
    const double share = (cpu.busy - cpu_.busy) / (cpu.all - cpu_.all) * 100;
    values.emplace_back("cpu_utilization_percentage", std::clamp(share, 0.0, 100.0));
    cpu_ = cpu;
  }
  add_memory(values);
  add_disk(values);
  NetworkBytes network;
  if (read_network(network)) {
    values.emplace_back("network_receive_megabytes",
                        (network.received - network_at_begin_.received) / kMegabyte);
    values.emplace_back("network_transmit_megabytes",
                        (network.sent - network_at_begin_.sent) / kMegabyte);
  }
  add_gpus(values);
  return values;
}

/// Outlives the sampler when a reading hangs.
struct SystemSampler::Shared {
  std::chrono::duration<double> interval{};
  std::function<std::unique_ptr<SystemMonitor>()> make_monitor;
  Take take;
  std::mutex mutex;  // of the two below; held while `take` runs
  bool stopped = false, ended = false;
  std::condition_variable wake, end;
};

SystemSampler::SystemSampler(std::chrono::duration<double> interval,
                             std::function<std::unique_ptr<SystemMonitor>()> make_monitor,
                             Take take)
    : shared_(std::make_shared<Shared>()) {
  shared_->interval = interval;
  shared_->make_monitor = std::move(make_monitor);
  shared_->take = std::move(take);
  thread_ = std::thread([shared = shared_] { run(shared); });
}

SystemSampler::~SystemSampler() {
  stop();
}

void SystemSampler::run(const std::shared_ptr<Shared>& shared) {
  // A thread has nobody to throw to, and a machine that tells nothing is no reason to end a run.
  try {
    const auto monitor = shared->make_monitor();
    const auto interval =
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(shared->interval);
    auto due = std::chrono::steady_clock::now() + interval;
    std::unique_lock lock(shared->mutex);
    while (!shared->wake.wait_until(lock, due, [&] { return shared->stopped; })) {
      lock.unlock();
      const NamedValues values = monitor->read();
      lock.lock();
      if (!shared->stopped) shared->take(values);
      // After a pause there is nothing to catch up with.
      due = std::max(due + interval, std::chrono::steady_clock::now());
    }
  } catch (...) {
    // Sampling ends.
  }
  const std::lock_guard lock(shared->mutex);
  shared->ended = true;
  shared->end.notify_all();
}

void SystemSampler::stop() {
  if (!thread_.joinable()) return;
  bool ended = false;
  {
    std::unique_lock lock(shared_->mutex);
    shared_->stopped = true;
    shared_->wake.notify_all();
    ended = shared_->end.wait_for(lock, kLongestStop, [this] { return shared_->ended; });
  }
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

}  // namespace limewash::tracking
