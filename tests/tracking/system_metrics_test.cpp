#include "tracking/system_metrics.h"

#include <atomic>
#include <fstream>
#include <map>

#include <gmock/gmock.h>

#include "runtime/error.h"
#include "tests/tracking/run_folder.h"
#include "tracking/run_recorder.h"

namespace limewash::tracking {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;

class SystemMetrics : public RunFolderTest {
 protected:
  void SetUp() override {
    RunFolderTest::SetUp();
    std::filesystem::create_directories(root_ / "proc" / "net");
    write("stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 100 0 100 800 0 0 0 0 0 0\n");
    write("meminfo", "MemTotal:  1000000 kB\nMemFree: 1 kB\nMemAvailable:  250000 kB\n");
    write("net/dev", device(1000000, 5000000));
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(root_ / "proc" / name) << text;
  }
  static std::string device(int64_t received, int64_t sent) {
    return "Inter-|   Receive |  Transmit\n face |bytes packets\n    lo: 0 0 0 0 0 0 0 0 0 0\n  "
           "eth0:" +
           std::to_string(received) + " 1 0 0 0 0 0 0 " + std::to_string(sent) + " 1 0 0 0 0 0 0\n";
  }
  std::map<std::string, double> read(SystemMonitor& monitor) const {
    const NamedValues values = monitor.read();
    return {values.begin(), values.end()};
  }
  std::vector<Entry> system_points() const {
    auto all = entries();
    std::erase_if(all, [](const Entry& entry) {
      return entry.kind != EntryKind::kMetric || !entry.key.starts_with("system/");
    });
    return all;
  }
};

TEST_F(SystemMetrics, CountFromTheReadingBefore) {
  SystemMonitor monitor(folder_, nullptr, root_ / "proc");
  // 75 ticks busy of 100.
  write("stat", "cpu  150 0 125 715 110 0 0 0 0 0\n");
  write("net/dev", device(3500000, 5000000));
  const auto values = read(monitor);
  EXPECT_THAT(values.at("cpu_utilization_percentage"), DoubleNear(75, 1e-9));
  EXPECT_THAT(values.at("system_memory_usage_megabytes"), DoubleNear(768, 1e-9));
  EXPECT_THAT(values.at("system_memory_usage_percentage"), DoubleNear(75, 1e-9));
  EXPECT_THAT(values.at("network_receive_megabytes"), DoubleNear(2.5, 1e-9));
  EXPECT_THAT(values.at("network_transmit_megabytes"), DoubleNear(0, 1e-9));
  EXPECT_GT(values.at("disk_available_megabytes"), 0);
  EXPECT_GT(values.at("disk_usage_megabytes"), 0);
  EXPECT_GT(values.at("disk_usage_percentage"), 0);
  EXPECT_LT(values.at("disk_usage_percentage"), 100.001);
  EXPECT_EQ(values.size(), 8u);
}

TEST_F(SystemMetrics, LeaveOutWhatTheMachineDoesNotTell) {
  for (const char* damaged : {"", "cpu", "cpu x y", "MemTotal: 0 kB\n", "eth0: 1 2\n"}) {
    for (const char* file : {"stat", "meminfo", "net/dev"}) write(file, damaged);
    SystemMonitor monitor(root_ / "absent", nullptr, root_ / "proc");
    EXPECT_TRUE(read(monitor).empty()) << damaged;
  }
  SystemMonitor nowhere(root_ / "absent", nullptr, root_ / "absent");
  EXPECT_TRUE(read(nowhere).empty());
}

TEST_F(SystemMetrics, AskTheGpusThroughTheirLibrary) {
  EXPECT_EQ(Nvml::load("libno-such-library.so.1"), nullptr);
  // A library that is not NVIDIA's.
  EXPECT_EQ(Nvml::load("libm.so.6"), nullptr);
  auto gpus = Nvml::load(LIMEWASH_FAKE_NVML);
  ASSERT_NE(gpus, nullptr);
  SystemMonitor monitor(folder_, std::move(gpus), root_ / "proc");
  const auto values = read(monitor);
  EXPECT_THAT(values.at("gpu_0_memory_usage_megabytes"), DoubleNear(20000, 1e-9));
  EXPECT_THAT(values.at("gpu_0_memory_usage_percentage"), DoubleNear(25, 1e-9));
  EXPECT_THAT(values.at("gpu_0_utilization_percentage"), DoubleNear(87, 1e-9));
  EXPECT_THAT(values.at("gpu_0_power_usage_watts"), DoubleNear(350, 1e-9));
  EXPECT_THAT(values.at("gpu_0_power_usage_percentage"), DoubleNear(50, 1e-9));
  EXPECT_THAT(values.at("gpu_1_memory_usage_megabytes"), DoubleNear(0, 1e-9));
  EXPECT_FALSE(values.contains("gpu_1_utilization_percentage"));
  EXPECT_FALSE(values.contains("gpu_1_power_usage_watts"));
}

TEST_F(SystemMetrics, CountOnAfterAResume) {
  int64_t last = -1;
  for (int attempt = 0; attempt < 2; ++attempt) {
    TrackingOptions options;
    options.system_metrics_every = 0.1;
    RunRecorder recorder(options, folder_, "demo");
    const size_t before = system_points().size();
    for (int i = 0; i < 200 && system_points().size() < before + 12; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    recorder.close(RunStatus::kKilled);
  }
  for (const Entry& point : system_points()) {
    if (point.key != "system/system_memory_usage_percentage") continue;
    EXPECT_EQ(point.step, last + 1);
    last = point.step;
  }
  EXPECT_GE(last, 2);
}

TEST_F(SystemMetrics, CanBeSwitchedOffAndNamedAfterTheNode) {
  setenv("MLFLOW_SYSTEM_METRICS_NODE_ID", "node_7", 1);
  EXPECT_EQ(system_metrics_prefix(), "system/node_7/");
  unsetenv("MLFLOW_SYSTEM_METRICS_NODE_ID");
  EXPECT_EQ(system_metrics_prefix(), "system/");

  setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "2.5", 1);
  EXPECT_EQ(TrackingOptions().system_metrics_every, 2.5);
  setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "False", 1);
  EXPECT_EQ(TrackingOptions().system_metrics_every, 0);
  unsetenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING");
  unsetenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL");

  TrackingOptions options;
  options.system_metrics_every = 0.01;
  EXPECT_THROW(options.validate(), ConfigError);
  options.system_metrics_every = 0;
  EXPECT_NO_THROW(options.validate());
  RunRecorder recorder(options, folder_, "demo");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  recorder.close(RunStatus::kFinished);
  EXPECT_TRUE(system_points().empty());
}

TEST(SystemSampler, HandsNothingOnOnceItIsStopped) {
  std::atomic<int> readings{0};
  auto sampler = std::make_unique<SystemSampler>(
      std::chrono::duration<double>(0.001),
      [] { return std::make_unique<SystemMonitor>("/", nullptr); },
      [&readings](const NamedValues&) { ++readings; });
  for (int i = 0; i < 500 && readings < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  sampler->stop();
  const int stopped_at = readings;
  EXPECT_GE(stopped_at, 3);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(readings, stopped_at);
}

TEST(SystemSampler, LeavesAReadingThatHangsAlone) {
  const auto release = std::make_shared<std::atomic<bool>>(false);
  std::atomic<bool> began{false};
  auto sampler = std::make_unique<SystemSampler>(
      std::chrono::duration<double>(0.001),
      [release, &began]() -> std::unique_ptr<SystemMonitor> {
        began = true;
        while (!*release) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return std::make_unique<SystemMonitor>("/", nullptr);
      },
      [](const NamedValues&) { ADD_FAILURE() << "a value came after the end"; });
  while (!began) std::this_thread::yield();
  const auto begin = std::chrono::steady_clock::now();
  sampler.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  *release = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

}  // namespace
}  // namespace limewash::tracking
