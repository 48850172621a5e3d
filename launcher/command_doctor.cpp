// doctor: what works here, and what to do about the rest.

#include <algorithm>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "launcher/commands.h"
#include "launcher/doctor.h"
#include "launcher/hosts.h"
#include "runtime/error.h"
#include "runtime/host_info.h"

namespace limewash::launcher {

namespace {

struct DoctorFlags : CommonFlags {
  bool all_reduce = false;
  bool host_state = false;
};

const char* name_of(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kNote:
      return "note";
    case Health::kProblem:
      return "problem";
  }
  return "";
}

void append(std::vector<Finding>& findings, std::vector<Finding> more) {
  std::move(more.begin(), more.end(), std::back_inserter(findings));
}

int examine(const DoctorFlags& flags, const std::string& program) {
  DoctorRequest request;
  request.config = load_config(flags.config, flags.overrides);
  request.has_config = !flags.config.empty() || !flags.overrides.empty();
  request.program = program;
  std::vector<Finding> findings = examine_host(request, read_device_info());
  append(findings, examine_ranks(request));
  append(findings, examine_services(request));
  append(findings, examine_config(request));
  if (flags.json) {
    using nlohmann::json;
    const auto line = findings_json(findings).dump(-1, ' ', false, json::error_handler_t::replace);
    std::printf("%s\n", line.c_str());
  } else {
    std::printf("%s", findings_text(findings).c_str());
  }
  const bool healthy = std::none_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.health == Health::kProblem;
  });
  return healthy ? kExitDone : kExitFailed;
}

}  // namespace

std::string findings_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const auto& finding : findings) {
    char start[64];
    std::snprintf(
        start, sizeof start, "%-8s %-16s", name_of(finding.health), finding.topic.c_str());
    text += start + finding.found + "\n";
    if (!finding.advice.empty()) text += std::string(25, ' ') + "-> " + finding.advice + "\n";
  }
  return text;
}

nlohmann::json findings_json(const std::vector<Finding>& findings) {
  using nlohmann::json;
  json checks = json::object();
  int64_t problems = 0;
  for (const auto& finding : findings) {
    json check = finding.details;
    check["status"] = name_of(finding.health);
    check["found"] = finding.found;
    check["advice"] = finding.advice.empty() ? json() : json(finding.advice);
    checks[finding.topic] = check;
    problems += finding.health == Health::kProblem ? 1 : 0;
  }
  return {{"host", host_name()}, {"problems", problems}, {"checks", checks}};
}

void add_doctor(CLI::App& app, Action& action, const std::string& program) {
  auto* command =
      app.add_subcommand("doctor", "Say what works on this machine, and what to do about the rest");
  auto flags = std::make_shared<DoctorFlags>();
  add_common_flags(*command, *flags);
  command->add_flag("--all-reduce", flags->all_reduce, "Be one of the ranks that it starts")
      ->group("");
  command->add_flag("--host-state", flags->host_state, "Say what launch asks of a host")->group("");
  command->footer(
      "With a configuration it also estimates the memory and disk that its training takes, and\n"
      "ends with status 1 when something is missing that this configuration needs.\n"
      "Example: limewash doctor --config configs/sd15_joint.yaml");
  command->callback([flags, &action, program] {
    action = [flags, program] {
      if (flags->all_reduce) return run_all_reduce_check();
      return flags->host_state ? print_host_state() : examine(*flags, program);
    };
  });
}

}  // namespace limewash::launcher
