#include "runtime/host_info.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <sched.h>
#include <sstream>
#include <sys/resource.h>
#include <sys/timex.h>
#include <unistd.h>
#include <vector>

namespace limewash {

namespace {

namespace fs = std::filesystem;

/// The first word of a file; nothing when it cannot be read.
std::optional<std::string> first_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word)) return std::nullopt;
  return word;
}

/// A whole number; nothing for "max" and whatever else is none.
std::optional<int64_t> number_in(const fs::path& path) {
  const auto word = first_word(path);
  if (!word) return std::nullopt;
  char* end = nullptr;
  const auto value = std::strtoull(word->c_str(), &end, 10);
  if (end == word->c_str() || *end != '\0') return std::nullopt;
  return static_cast<int64_t>(
      std::min<unsigned long long>(value, std::numeric_limits<int64_t>::max()));
}

/// The number behind `key` in a file of "key value" lines.
std::optional<int64_t> value_of(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t value = 0;
    if (words >> name >> value && name == key) return value;
  }
  return std::nullopt;
}

/// The folders that describe this process's control group and those above it, innermost first.
/// `controller` is empty for version 2, whose controllers share one tree.
std::vector<fs::path> group_folders(const HostFiles& files, const std::string& controller) {
  std::ifstream list(files.proc / "self/cgroup");
  for (std::string line; std::getline(list, line);) {
    // "0::/path", or "4:cpu,cpuacct:/path"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    const bool matches =
        controller.empty() ? names.empty()
                           : ("," + names + ",").find("," + controller + ",") != std::string::npos;
    if (!matches) continue;
    fs::path root = files.cgroup;
    if (!controller.empty()) {
      root /= fs::exists(files.cgroup / controller) ? controller : names;
    }
    std::vector<fs::path> folders;
    const fs::path inside = fs::path(line.substr(second + 1)).relative_path().lexically_normal();
    // Inside of a container the path may be one of the host's: only its root is there then.
    const bool visible =
        !inside.empty() && *inside.begin() != ".." && fs::is_directory(root / inside);
    for (fs::path at = visible ? inside : fs::path(); !at.empty() && at != ".";
         at = at.parent_path()) {
      folders.push_back(root / at);
    }
    folders.push_back(root);
    return folders;
  }
  return {files.cgroup};
}

void lower(std::optional<double>& value, double other) {
  value = value ? std::min(*value, other) : other;
}

void lower(std::optional<int64_t>& value, int64_t other) {
  value = value ? std::min(*value, other) : other;
}

/// Version 2: "QUOTA PERIOD", or "max PERIOD"; version 1: two files, -1 for none.
std::optional<double> group_quota(const HostFiles& files) {
  std::optional<double> cores;
  for (const auto& folder : group_folders(files, "")) {
    std::ifstream file(folder / "cpu.max");
    double quota = 0, period = 0;
    if (file >> quota >> period && quota > 0 && period > 0) lower(cores, quota / period);
  }
  for (const auto& folder : group_folders(files, "cpu")) {
    std::ifstream quota_file(folder / "cpu.cfs_quota_us"),
        period_file(folder / "cpu.cfs_period_us");
    double quota = 0, period = 0;
    if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) {
      lower(cores, quota / period);
    }
  }
  return cores;
}

/// The names of one version's files.
struct MemoryFiles {
  const char *controller, *limit, *used, *reclaimable;
};
constexpr std::array<MemoryFiles, 2> kMemoryFiles = {
    {{"", "memory.max", "memory.current", "inactive_file"},
     {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}}};

/// Open files, memory and the like of this process.
std::optional<int64_t> limit_of(int resource) {
  rlimit limit{};
  // The C library's type of the first argument is an enumeration in C++.
  if (getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return std::nullopt;
  if (limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return static_cast<int64_t>(
      std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int64_t>::max()));
}

}  // namespace

int64_t CoreLimits::usable() const {
  return share(1, 1);
}

int64_t CoreLimits::share(int ranks, int ranks_on_cores) const {
  int64_t cores = allowed / std::max(1, ranks_on_cores);
  if (quota) cores = std::min<int64_t>(cores, std::lround(*quota) / std::max(1, ranks));
  return std::max<int64_t>(1, cores);
}

CoreLimits read_core_limits(const HostFiles& files) {
  CoreLimits cores;
  cores.online = std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
  cores.allowed = cores.online;
  cpu_set_t set;
  // Fails on machines with more than 1024 cores; the count of online cores stands then.
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores.allowed = CPU_COUNT(&set);
  cores.quota = group_quota(files);
  return cores;
}

int64_t MemoryLimits::usable() const {
  return std::min(available, group_available.value_or(available));
}

MemoryLimits read_memory_limits(const HostFiles& files) {
  constexpr int64_t kKib = 1024;
  MemoryLimits memory;
  memory.total = value_of(files.proc / "meminfo", "MemTotal:").value_or(0) * kKib;
  memory.available = value_of(files.proc / "meminfo", "MemAvailable:").value_or(0) * kKib;
  for (const auto& names : kMemoryFiles) {
    for (const auto& folder : group_folders(files, names.controller)) {
      const auto limit = number_in(folder / names.limit);
      // Version 1 writes a number beyond any machine where there is no limit.
      if (!limit || *limit >= memory.total) continue;
      lower(memory.group_limit, *limit);
      const int64_t used = number_in(folder / names.used).value_or(0);
      const int64_t reclaimable = value_of(folder / "memory.stat", names.reclaimable).value_or(0);
      const int64_t left = *limit - std::max<int64_t>(0, used - reclaimable);
      lower(memory.group_available, std::max<int64_t>(0, left));
    }
  }
  memory.address_space = limit_of(RLIMIT_AS);
  return memory;
}

int64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

ClockInfo read_clock_info() {
  constexpr time_t kFirstOf2026 = 1767225600;
  ClockInfo clock;
  clock.plausible = time(nullptr) >= kFirstOf2026;
  timex status{};
  clock.synchronized = adjtimex(&status) != TIME_ERROR && (status.status & STA_UNSYNC) == 0;
  return clock;
}

std::optional<int64_t> soft_limit(int resource) {
  return limit_of(resource);
}

fs::path find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path candidate = fs::path(folder.empty() ? "." : folder) / name;
    std::error_code ignored;
    if (fs::is_regular_file(candidate, ignored) && access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return {};
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown host";
  return name.data();
}

std::string bytes_text(int64_t bytes) {
  constexpr double kMib = 1 << 20;
  const auto value = static_cast<double>(bytes);
  std::array<char, 48> text{};
  if (std::abs(value) >= 1024 * kMib) {
    std::snprintf(text.data(), text.size(), "%.1f GiB", value / (1024 * kMib));
  } else {
    std::snprintf(text.data(), text.size(), "%.0f MiB", value / kMib);
  }
  return text.data();
}

}  // namespace limewash
