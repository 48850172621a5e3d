#include "launcher/hosts.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "launcher/mpi_command.h"
#include "runtime/captured_process.h"
#include "runtime/environment.h"
#include "runtime/error.h"
#include "runtime/host_info.h"
#include "runtime/rank_gpu.h"
#include "runtime/stop_signal.h"

namespace limewash::launcher {

namespace {

using nlohmann::json;

constexpr double kLongestLook = 60;
constexpr double kLongestQuestion = 10;
constexpr size_t kLooksAtOnce = 16;
constexpr int64_t kMostHosts = 65536, kMostRanks = 65536;

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// `ranks` shared by `hosts`, rounded up.
int64_t even_share(int64_t ranks, size_t hosts) {
  const auto count = static_cast<int64_t>(hosts);
  return (ranks + count - 1) / count;
}

int64_t places_of(const std::vector<Host>& hosts) {
  return std::accumulate(hosts.begin(), hosts.end(), int64_t{0}, [](int64_t sum, const Host& host) {
    return sum + host.ranks;
  });
}

/// "4(x2),3" as {4, 4, 3}; nothing where it is of another form.
std::optional<std::vector<int64_t>> expand_task_counts(const std::string& text) {
  std::vector<int64_t> counts;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t times_at = part.find("(x");
    std::optional<int64_t> times = 1;
    if (times_at != std::string::npos) {
      if (part.back() != ')') return std::nullopt;
      times = whole_number(std::string_view(part).substr(times_at + 2, part.size() - times_at - 3));
    }
    const auto count = whole_number(std::string_view(part).substr(0, times_at));
    if (!count || !times || *count < 1 || *count > kMostRanks || *times < 1 ||
        *times > kMostHosts) {
      return std::nullopt;
    }
    counts.insert(counts.end(), static_cast<size_t>(*times), *count);
  }
  return counts;
}

std::vector<std::string> slurm_host_names(const std::string& list) {
  const auto answer = run_captured({"scontrol", "show", "hostnames", list}, {}, kLongestQuestion);
  if (answer.status != 0) {
    throw InputError("scontrol show hostnames " + list + ": status " +
                     std::to_string(answer.status) + " " + answer.last_line());
  }
  std::vector<std::string> names;
  std::istringstream lines(answer.output);
  for (std::string name; std::getline(lines, name);)
    if (!name.empty()) names.push_back(name);
  return names;
}

/// What ssh, mpirun and srun take for a host, and for nothing else: mpirun counts hosts by bare
/// numbers, and a leading '-' would be an option.
bool is_host_name(const std::string& name) {
  const auto is_plain = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  };
  return !name.empty() && name.front() != '-' && std::all_of(name.begin(), name.end(), is_plain) &&
         name.find_first_not_of("0123456789") != std::string::npos;
}

/// The first line that is not a rule: ssh or srun speak first, then mpirun's page of what it may
/// have been.
std::string first_words(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.find_first_not_of("- \t\r") != std::string::npos) return line;
  return "";
}

HostState examine_host(const std::string& program, const Host& host, bool here) {
  HostState state{.host = host};
  std::vector<std::string> command;
  if (!here) command = mpirun_command(1, {.hosts = host.name});
  command.insert(command.end(), {program, "doctor", "--host-state"});
  const auto answer = run_captured(command, mpirun_environment(), kLongestLook, stop_requested);
  const json found = json::parse(answer.last_output_line(), nullptr, /*allow_exceptions=*/false);
  if (answer.status == 0 && found.is_object() && found.contains("gpus")) {
    state.gpus = found.at("gpus").get<int64_t>();
    state.gpu_problem = found.value("gpu_problem", "");
  } else if (answer.timed_out) {
    state.problem = "no answer in " + std::to_string(static_cast<int>(kLongestLook)) + " s";
  } else {
    const auto line = first_words(answer.errors);
    state.problem = line.empty() ? "status " + std::to_string(answer.status) : line;
  }
  return state;
}

}  // namespace

std::vector<Host> parse_hosts(const std::vector<std::string>& entries, int64_t ranks) {
  std::vector<Host> hosts;
  std::set<std::string> names;
  for (const auto& entry : entries) {
    const size_t colon = entry.find(':');
    Host host{.name = entry.substr(0, colon), .ranks = even_share(ranks, entries.size())};
    const auto places = colon == std::string::npos
                            ? std::optional(host.ranks)
                            : whole_number(std::string_view(entry).substr(colon + 1));
    if (!is_host_name(host.name) || !places || *places < 1 || *places > kMostRanks) {
      throw ConfigError("launch.hosts = '" + entry + "': expected a host and its ranks, node1:4");
    }
    if (!names.insert(host.name).second)
      throw ConfigError("launch.hosts: '" + host.name + "' stands there twice; expected it once");
    host.ranks = *places;
    hosts.push_back(host);
  }
  if (!hosts.empty() && places_of(hosts) < ranks) {
    throw ConfigError("launch.hosts: places for " + std::to_string(places_of(hosts)) +
                      " ranks; expected those of launch.trainers and launch.evaluators, " +
                      std::to_string(ranks));
  }
  return hosts;
}

std::vector<Host> slurm_hosts(const std::vector<std::string>& names,
                              const std::string& tasks_per_node,
                              int64_t ranks) {
  std::vector<Host> hosts;
  const auto tasks = expand_task_counts(tasks_per_node);
  const bool fits = tasks && tasks->size() == names.size();
  for (size_t i = 0; i < names.size(); ++i)
    hosts.push_back({names[i], fits ? (*tasks)[i] : even_share(ranks, names.size())});
  const int64_t places = places_of(hosts);
  if (places < ranks)
    for (auto& host : hosts) host.ranks = (host.ranks * ranks + places - 1) / places;
  return hosts;
}

std::vector<Host> hosts_of(const std::vector<std::string>& entries, int64_t ranks) {
  if (!entries.empty()) return parse_hosts(entries, ranks);
  const auto list = environment_variable("SLURM_JOB_NODELIST");
  if (!list.empty())
    return slurm_hosts(slurm_host_names(list), environment_variable("SLURM_TASKS_PER_NODE"), ranks);
  for (const char* other : {"PBS_NODEFILE",
                            "LSB_HOSTS",
                            "LSB_MCPU_HOSTS",
                            "PE_HOSTFILE",
                            "OMPI_MCA_orte_default_hostfile"}) {
    if (!environment_variable(other).empty())
      throw InputError(std::string(other) + " says where ranks run; expected launch.hosts");
  }
  return {};
}

std::string host_argument(const std::vector<Host>& hosts) {
  std::string text;
  for (const auto& host : hosts)
    text += (text.empty() ? "" : ",") + host.name + ":" + std::to_string(host.ranks);
  return text;
}

std::vector<HostState> examine_hosts(const std::string& program,
                                     const std::vector<Host>& hosts,
                                     int64_t ranks) {
  if (hosts.empty()) return {examine_host(program, {host_name(), ranks}, /*here=*/true)};
  std::vector<HostState> states(hosts.size());
  std::atomic<size_t> next = 0;
  const auto examine_some = [&] {
    for (size_t i = next++; i < hosts.size(); i = next++) {
      try {
        states[i] = examine_host(program, hosts[i], /*here=*/false);
      } catch (const std::exception& error) {
        states[i] = {.host = hosts[i], .problem = error.what()};
      }
    }
  };
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < std::min(hosts.size(), kLooksAtOnce); ++i)
    threads.emplace_back(examine_some);
  threads.clear();
  return states;
}

int print_host_state() {
  int64_t visible = 0, working = 0;
  json state = {{"host", host_name()}, {"gpus", 0}, {"gpu_problem", ""}};
  for (int gpu = 0; gpu == 0 || gpu < visible; ++gpu) {
    const auto found = read_rank_gpu(gpu);
    visible = found.visible;
    if (found.problem.empty())
      ++working;
    else
      state["gpu_problem"] = found.problem;
  }
  state["gpus"] = working;
  std::printf("%s\n", state.dump().c_str());
  return kExitDone;
}

}  // namespace limewash::launcher
