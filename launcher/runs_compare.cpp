// runs compare.

#include <cstdio>
#include <filesystem>
#include <set>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "eval/figures.h"
#include "eval/report_page.h"
#include "eval/run_comparison.h"
#include "launcher/runs_commands.h"
#include "launcher/text_table.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/run_folder.h"

namespace limewash::launcher {
namespace {

using nlohmann::json;

constexpr size_t kNameCharacters = 26;

struct CompareFlags {
  std::vector<std::string> folders;
  std::string html;
  bool json = false;
};

using Rows = std::vector<std::vector<std::string>>;

void add_settings(Rows& rows, const eval::RunComparison& comparison) {
  rows.push_back({""});
  rows.push_back({comparison.settings.empty() ? "no setting differs" : "settings that differ"});
  for (const auto& [key, values] : comparison.settings) {
    rows.push_back({"  " + eval::shortened(key, 2 * kNameCharacters)});
    for (const auto& value : values)
      rows.back().push_back(value ? eval::shortened(*value, kNameCharacters) : "-");
  }
}

void add_steps(Rows& rows, const std::vector<std::optional<int64_t>>& steps) {
  rows.push_back({"  step"});
  for (const auto& step : steps) rows.back().push_back(step ? std::to_string(*step) + " " : "- ");
}

std::string group_title(const std::string& group, bool best_is_last) {
  if (group == "final")
    return best_is_last ? "last evaluation, of each run the best" : "last evaluation";
  if (group == "best") return "best evaluation";
  return group == "floor" ? "floor: the VAE alone" : "control: " + group;
}

void add_figures(Rows& rows, const eval::RunComparison& comparison) {
  std::string group;
  for (const eval::ComparedFigure& figure : comparison.figures) {
    if (figure.group == "best" && comparison.best_is_last()) continue;
    if (figure.group != group) {
      group = figure.group;
      rows.push_back({""});
      rows.push_back({group_title(group, comparison.best_is_last())});
      if (group == "final") add_steps(rows, comparison.final_steps);
      if (group == "best") add_steps(rows, comparison.best_steps);
    }
    rows.push_back({"  " + figure.name});
    for (size_t i = 0; i < figure.values.size(); ++i) {
      const auto& value = figure.values[i];
      rows.back().push_back((value ? eval::figure_text(figure.name, value) : "-") +
                            (figure.better[i] ? "*" : " "));
    }
  }
}

std::string table_of(const std::vector<eval::ReportedRun>& runs,
                     const eval::RunComparison& comparison) {
  Rows rows = {{""}, {"status"}, {"steps"}, {"samples/s"}};
  for (const eval::ReportedRun& run : runs) {
    rows[0].push_back(run.letter() + " " + eval::shortened(run.data->run_name, kNameCharacters));
    rows[1].push_back(run.data->status + " ");
    std::string steps = "-", rate = "-";
    for (const auto& [name, value] : run.data->facts) {
      if (name == "steps") steps = value;
      if (name == "samples/s") rate = value;
    }
    rows[2].push_back(steps + " ");
    rows[3].push_back(rate + " ");
  }
  add_figures(rows, comparison);
  add_settings(rows, comparison);
  std::string text = text_table(rows, 1);
  if (comparison.comparable()) text += "\n* the better of the row\n";
  return text;
}

int compare(const CompareFlags& flags) {
  if (flags.folders.size() < 2)
    throw ConfigError("runs compare: expected at least two run folders");
  std::vector<eval::ReportData> data;
  std::set<std::filesystem::path> seen;
  for (const std::string& folder : flags.folders) {
    const auto run = trainer::read_run_folder(folder);
    if (!seen.insert(std::filesystem::canonical(folder)).second)
      throw ConfigError("runs compare: '" + folder + "' is named twice");
    data.push_back(trainer::read_report_data(run));
  }
  std::vector<eval::ReportedRun> runs;
  for (const eval::ReportData& one : data)
    runs.push_back(eval::last_evaluation_of(one, static_cast<int>(runs.size())));
  for (const eval::ReportedRun& run : runs) {
    if (!run.problem.empty()) spdlog::warn("{}", run.problem);
  }
  const eval::RunComparison comparison = eval::compare_runs(runs);
  for (const std::string& warning : comparison.warnings) spdlog::warn("{}", warning);
  if (!flags.html.empty()) {
    write_file_atomically(flags.html, eval::comparison_html(runs, comparison));
  }
  if (flags.json) {
    json result = eval::comparison_json(runs, comparison);
    result["html"] = flags.html.empty() ? json(nullptr) : json(flags.html);
    std::printf("%s\n", result.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  } else {
    std::printf("%s", table_of(runs, comparison).c_str());
    if (!flags.html.empty()) std::printf("report: %s\n", flags.html.c_str());
  }
  return kExitDone;
}

}  // namespace

void add_runs_compare(CLI::App& runs, Action& action) {
  auto flags = std::make_shared<CompareFlags>();
  auto* command = runs.add_subcommand(
      "compare", "Runs side by side: figures, controls, floor, and the settings that differ");
  command->add_option("folders", flags->folders, "Two or more run folders")
      ->required()
      ->type_name("RUN");
  command->add_option("--html", flags->html, "Also write a page with curves and pictures")
      ->type_name("FILE");
  command->add_flag("--json", flags->json, "Print the comparison as one line of JSON");
  command->footer("Example: limewash runs compare runs/a runs/b --html compare.html");
  command->callback([flags, &action] { action = [flags] { return compare(*flags); }; });
}

}  // namespace limewash::launcher
