#include "runtime/rank_cores.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sched.h>
#include <sstream>

#include "runtime/host_info.h"

namespace limewash {

namespace {

/// A line, and a byte for each core.
std::string encode(const RankCores& cores) {
  return cores.machine + "\n" + std::string(cores.allowed.begin(), cores.allowed.end());
}

RankCores decode(const std::string& bytes) {
  std::istringstream text(bytes);
  RankCores cores;
  std::getline(text, cores.machine);
  cores.allowed.assign(std::istreambuf_iterator<char>(text), {});
  return cores;
}

bool share_a_core(const RankCores& one, const RankCores& other) {
  if (one.allowed.empty() || other.allowed.empty()) return true;
  const size_t cores = std::min(one.allowed.size(), other.allowed.size());
  for (size_t core = 0; core < cores; ++core)
    if (one.allowed[core] != 0 && other.allowed[core] != 0) return true;
  return false;
}

}  // namespace

RankCores read_rank_cores() {
  RankCores cores;
  cores.machine = host_name();
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  if (std::string boot; std::getline(file, boot)) cores.machine = boot;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  cores.allowed.resize(CPU_SETSIZE);
  for (size_t core = 0; core < cores.allowed.size(); ++core)
    cores.allowed[core] = CPU_ISSET(core, &set) ? 1 : 0;
  return cores;
}

int count_sharers(const RankCores& own, const std::vector<RankCores>& all) {
  return static_cast<int>(std::count_if(all.begin(), all.end(), [&](const RankCores& other) {
    return other.machine == own.machine && share_a_core(own, other);
  }));
}

int ranks_on_these_cores(Communicator& ranks) {
  const auto own = read_rank_cores();
  std::vector<RankCores> all;
  for (const auto& bytes : ranks.all_gather(encode(own))) all.push_back(decode(bytes));
  return count_sharers(own, all);
}

}  // namespace limewash
