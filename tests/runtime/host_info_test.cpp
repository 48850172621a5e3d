#include "runtime/host_info.h"

#include <cstdlib>
#include <fstream>
#include <sys/resource.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace limewash {
namespace {

namespace fs = std::filesystem;

/// A machine of 1000 MiB, 800 of them free, described in a temporary folder.
class HostInfo : public testing::Test {
 protected:
  HostInfo() {
    write("proc/meminfo", "MemTotal: 1024000 kB\nMemFree: 1 kB\nMemAvailable: 819200 kB\n");
    write("proc/self/cgroup", "0::/job/step\n");
    fs::create_directories(root_ / "cgroup/job/step");
  }
  ~HostInfo() override {
    fs::remove_all(root_);
  }
  void write(const fs::path& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  HostFiles files() const {
    return {.proc = root_ / "proc", .cgroup = root_ / "cgroup"};
  }
  static constexpr int64_t kMib = 1 << 20;
  const fs::path root_ = fs::temp_directory_path() / ("limewash-host-" + std::to_string(getpid()));
};

TEST_F(HostInfo, WithoutAControlGroupTheMachineIsTheLimit) {
  const auto memory = read_memory_limits(files());
  EXPECT_EQ(memory.total, 1000 * kMib);
  EXPECT_EQ(memory.usable(), 800 * kMib);
  EXPECT_FALSE(memory.group_limit);
  EXPECT_FALSE(read_core_limits(files()).quota);
}

TEST_F(HostInfo, AGroupsPageCacheCountsAsFree) {
  write("cgroup/job/memory.max", std::to_string(500 * kMib) + "\n");
  write("cgroup/job/memory.current", std::to_string(450 * kMib) + "\n");
  write("cgroup/job/memory.stat", "anon 7\ninactive_file " + std::to_string(100 * kMib) + "\n");
  const auto memory = read_memory_limits(files());
  EXPECT_EQ(memory.group_limit, 500 * kMib);
  EXPECT_EQ(memory.usable(), 150 * kMib);
}

TEST_F(HostInfo, TheTightestLevelCounts) {
  write("cgroup/memory.max", "max\n");
  write("cgroup/job/memory.max", std::to_string(300 * kMib));
  write("cgroup/job/memory.current", "0");
  write("cgroup/job/step/memory.max", std::to_string(600 * kMib));
  write("cgroup/job/step/memory.current", std::to_string(590 * kMib));
  write("cgroup/job/cpu.max", "150000 100000\n");
  write("cgroup/job/step/cpu.max", "max 100000\n");
  const auto memory = read_memory_limits(files());
  EXPECT_EQ(memory.group_limit, 300 * kMib);
  EXPECT_EQ(memory.usable(), 10 * kMib);
  EXPECT_DOUBLE_EQ(read_core_limits(files()).quota.value(), 1.5);
}

TEST_F(HostInfo, VersionOneIsReadToo) {
  write("proc/self/cgroup", "9:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n0::/\n");
  write("cgroup/memory/docker/a/memory.limit_in_bytes", std::to_string(200 * kMib));
  write("cgroup/memory/docker/a/memory.usage_in_bytes", std::to_string(50 * kMib));
  write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("cgroup/cpu,cpuacct/docker/a/cpu.cfs_quota_us", "50000");
  write("cgroup/cpu,cpuacct/docker/a/cpu.cfs_period_us", "100000");
  write("cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1");
  write("cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
  EXPECT_EQ(read_memory_limits(files()).usable(), 150 * kMib);
  const auto cores = read_core_limits(files());
  EXPECT_DOUBLE_EQ(cores.quota.value(), 0.5);
  EXPECT_EQ(cores.usable(), 1);
}

TEST_F(HostInfo, APathOfTheHostThatAContainerDoesNotSeeMeansItsRoot) {
  write("proc/self/cgroup", "0::/../../system.slice/docker-1.scope\n");
  write("cgroup/memory.max", std::to_string(100 * kMib));
  write("cgroup/memory.current", "0");
  EXPECT_EQ(read_memory_limits(files()).usable(), 100 * kMib);
}

TEST_F(HostInfo, BrokenFilesAreNoLimits) {
  write("proc/self/cgroup", "nonsense\n0:\n::\n");
  write("cgroup/memory.max", "-\n");
  write("cgroup/cpu.max", "much little\n");
  EXPECT_EQ(read_memory_limits(files()).usable(), 800 * kMib);
  EXPECT_GE(read_core_limits(files()).usable(), 1);
}

TEST_F(HostInfo, AFolderThatWorksIsLeftAsItWas) {
  fs::create_directories(root_ / "runs");
  const auto check = check_storage(root_ / "runs");
  EXPECT_EQ(check.problem, "");
  EXPECT_TRUE(check.locks);
  EXPECT_GT(check.sync_seconds, 0);
  EXPECT_LT(std::abs(check.clock_ahead_seconds), 2);
  EXPECT_TRUE(fs::is_empty(root_ / "runs"));
  const auto storage = read_storage_info(root_ / "runs");
  EXPECT_GT(storage.free_bytes, 0);
  EXPECT_LE(storage.free_bytes, storage.total_bytes);
}

TEST_F(HostInfo, AFolderThatCannotBeMadeIsAProblem) {
  write("file", "");
  EXPECT_NE(check_storage(root_ / "file").problem, "");
  EXPECT_THROW(read_storage_info(root_ / "nothing"), InputError);
}

TEST_F(HostInfo, TheNearestFolderAboveExists) {
  fs::create_directories(root_ / "a");
  EXPECT_EQ(nearest_existing_folder(root_ / "a/b/c"), root_ / "a");
  EXPECT_EQ(nearest_existing_folder("not-there/x"), fs::current_path());
}

TEST_F(HostInfo, FindsWhatAShellWouldRun) {
  EXPECT_EQ(find_program("sh").filename(), "sh");
  EXPECT_TRUE(find_program("no-such-program-anywhere").empty());
}

TEST_F(HostInfo, SaysLimitsThatAreSet) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &before), 0);
  rlimit lowered = before;
  lowered.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_CORE, &lowered), 0);
  EXPECT_EQ(soft_limit(RLIMIT_CORE), 0);
  setrlimit(RLIMIT_CORE, &before);
}

TEST_F(HostInfo, WritesBytesForPeople) {
  EXPECT_EQ(bytes_text(0), "0 MiB");
  EXPECT_EQ(bytes_text(320 * kMib), "320 MiB");
  EXPECT_EQ(bytes_text(1536 * kMib), "1.5 GiB");
}

TEST_F(HostInfo, ThePeakGrowsWithWhatIsTouched) {
  const int64_t before = peak_resident_bytes();
  const std::string touched(static_cast<size_t>(before) + 64 * kMib, 'x');
  EXPECT_GE(peak_resident_bytes(), before + 32 * kMib) << touched.size();
}

}  // namespace
}  // namespace limewash
