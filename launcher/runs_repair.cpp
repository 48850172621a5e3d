// runs repair.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/runs_commands.h"
#include "runtime/error.h"
#include "tracking/journal.h"
#include "tracking/journal_repair.h"

namespace limewash::launcher {
namespace {

using nlohmann::json;

struct RepairFlags {
  std::string folder;
  bool dry_run = false, json = false;
};

/// Places of damage that are named one by one.
constexpr size_t kNamedPlaces = 100;

std::vector<tracking::JournalRepair> inspect_all(const std::filesystem::path& folder) {
  std::vector<tracking::JournalRepair> result;
  for (const auto& journal : tracking::find_journals(folder))
    result.push_back(tracking::inspect_journal(journal));
  if (result.empty()) throw InputError("'" + folder.string() + "' holds no journal of a run");
  return result;
}

json to_json(const tracking::JournalRepair& repair) {
  json damage = json::array();
  for (size_t i = 0; i < std::min(kNamedPlaces, repair.damage.size()); ++i) {
    const auto& one = repair.damage[i];
    damage.push_back({{"line", one.line},
                      {"lines", one.lines},
                      {"offset", one.offset},
                      {"bytes", one.bytes},
                      {"problem", one.problem},
                      {"torn", one.torn}});
  }
  return {
      {"journal", repair.journal.string()},
      {"intact", repair.intact},
      {"places", repair.damage.size()},
      {"damage", damage},
      {"newline_added", repair.newline_added},
      {"set_aside", repair.set_aside.empty() ? json(nullptr) : json(repair.set_aside.string())}};
}

void print(const tracking::JournalRepair& repair, bool dry_run) {
  std::printf("%s: %llu intact entries, %zu damaged places\n",
              repair.journal.string().c_str(),
              static_cast<unsigned long long>(repair.intact),
              repair.damage.size());
  for (size_t i = 0; i < std::min(kNamedPlaces, repair.damage.size()); ++i) {
    const auto& one = repair.damage[i];
    std::printf("  line %llu, byte %llu: %llu line(s) of %llu bytes: %s%s\n",
                static_cast<unsigned long long>(one.line),
                static_cast<unsigned long long>(one.offset),
                static_cast<unsigned long long>(one.lines),
                static_cast<unsigned long long>(one.bytes),
                one.problem.c_str(),
                one.torn ? "; the file ends in the middle of the line" : "");
  }
  if (repair.damage.size() > kNamedPlaces)
    std::printf("  and %zu other places\n", repair.damage.size() - kNamedPlaces);
  if (repair.newline_added)
    std::printf("  the newline of the last entry %s\n", dry_run ? "is missing" : "was added");
  if (!repair.set_aside.empty())
    std::printf("  the damaged bytes are in %s\n", repair.set_aside.string().c_str());
}

int repair(const RepairFlags& flags) {
  std::error_code error;
  if (!std::filesystem::is_directory(flags.folder, error))
    throw InputError(flags.folder + ": no such folder");
  const auto repairs =
      flags.dry_run ? inspect_all(flags.folder) : tracking::repair_journals(flags.folder);
  if (flags.json) {
    json list = json::array();
    for (const auto& one : repairs) list.push_back(to_json(one));
    const json result = {{"repaired", !flags.dry_run}, {"journals", std::move(list)}};
    std::printf("%s\n", result.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    return kExitDone;
  }
  for (const auto& one : repairs) print(one, flags.dry_run);
  return kExitDone;
}

}  // namespace

void add_runs_repair(CLI::App& runs, Action& action) {
  auto flags = std::make_shared<RepairFlags>();
  auto* command = runs.add_subcommand(
      "repair", "Take torn and damaged lines out of a run's journals; every intact entry stays");
  command->add_option("folder", flags->folder, "The run's folder")->required()->type_name("RUN");
  command->add_flag("--dry-run", flags->dry_run, "Only say what is damaged");
  command->add_flag("--json", flags->json, "Print the result as one line of JSON");
  command->footer("Example: limewash runs repair runs/demo");
  command->callback([flags, &action] { action = [flags] { return repair(*flags); }; });
}

}  // namespace limewash::launcher
