// runs list, runs show.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "eval/best_choice.h"
#include "eval/figures.h"
#include "eval/report_page.h"
#include "launcher/run_table.h"
#include "launcher/runs_commands.h"
#include "launcher/text_table.h"
#include "runtime/error.h"
#include "trainer/run_folder.h"

namespace limewash::launcher {
namespace {

using nlohmann::json;

struct ListFlags {
  std::string parent = "runs", sort = "name";
  int64_t limit = 0;
  bool json = false;
};

/// A run with what is sorted by.
struct Listed {
  trainer::RunFolder run;
  json best;
  std::string tracker;
};

std::string time_text(int64_t milliseconds, const char* form, bool local) {
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  if (local) {
    localtime_r(&seconds, &parts);
  } else {
    gmtime_r(&seconds, &parts);
  }
  char text[40];
  return {text, std::strftime(text, sizeof text, form, &parts)};
}

Listed listed(trainer::RunFolder run) {
  Listed result;
  std::vector<json> evaluations;
  for (const json& one : eval::member_of(run.summary, "evaluations")) evaluations.push_back(one);
  if (const auto best = eval::choose_best(evaluations)) result.best = evaluations[best->index];
  result.tracker = trainer::tracker_state(run.folder);
  result.run = std::move(run);
  return result;
}

/// Missing figures sort behind all others; better ones first.
void sort_runs(std::vector<Listed>& runs, const std::string& by) {
  if (by == "name") return;  // find_runs gives them so
  const auto key = [&](const Listed& one) -> std::optional<double> {
    if (by == "when") return -static_cast<double>(one.run.modified_ms);
    if (by == "steps") {
      const auto steps = eval::figure_of(one.run.summary, "steps");
      return steps ? std::optional(-*steps) : std::nullopt;
    }
    const bool of_run = by == "samples_per_second";
    const auto value = eval::figure_of(of_run ? one.run.summary : one.best, by);
    if (!value) return std::nullopt;
    return eval::better_end(by) == eval::Better::kHigher ? -*value : *value;
  };
  std::stable_sort(runs.begin(), runs.end(), [&](const Listed& a, const Listed& b) {
    const auto first = key(a), second = key(b);
    return first && (!second || *first < *second);
  });
}

json to_json(const Listed& one) {
  const json& summary = one.run.summary;
  const auto or_null = [](const std::optional<double>& value) {
    return value ? json(*value) : json(nullptr);
  };
  return {{"name", one.run.name},
          {"folder", one.run.folder.string()},
          {"status", one.run.status},
          {"steps", eval::member_of(summary, "steps")},
          {"best_step", one.best.is_null() ? json(nullptr) : json(eval::step_of(one.best))},
          {"delta_e_2000_exact", or_null(eval::figure_of(one.best, "delta_e_2000_exact"))},
          {"delta_e_2000", or_null(eval::figure_of(one.best, "delta_e_2000"))},
          {"samples_per_second", or_null(eval::figure_of(summary, "samples_per_second"))},
          {"modified", time_text(one.run.modified_ms, "%Y-%m-%dT%H:%M:%SZ", false)},
          {"tracker", one.tracker},
          {"problem", one.run.problem.empty() ? json(nullptr) : json(one.run.problem)}};
}

std::string table_of(const std::vector<Listed>& runs) {
  std::vector<std::vector<std::string>> rows = {{"run",
                                                 "status",
                                                 "steps",
                                                 "best at",
                                                 "dE2000 exact",
                                                 "dE2000",
                                                 "samples/s",
                                                 "when",
                                                 "tracker"}};
  const auto figure = [](const json& object, const char* name) {
    const auto value = eval::figure_of(object, name);
    return value ? eval::figure_text(name, value) : std::string("-");
  };
  for (const Listed& one : runs) {
    const auto steps = eval::figure_of(one.run.summary, "steps");
    rows.push_back({eval::shortened(one.run.folder.string(), 48),
                    one.run.status,
                    steps ? std::to_string(static_cast<int64_t>(*steps)) : "-",
                    one.best.is_null() ? "-" : std::to_string(eval::step_of(one.best)),
                    figure(one.best, "delta_e_2000_exact"),
                    figure(one.best, "delta_e_2000"),
                    figure(one.run.summary, "samples_per_second"),
                    time_text(one.run.modified_ms, "%Y-%m-%d %H:%M", true),
                    one.tracker});
  }
  return text_table(rows, 2);
}

int list_runs(const ListFlags& flags) {
  const bool known = flags.sort == "name" || flags.sort == "when" || flags.sort == "steps" ||
                     eval::better_end(flags.sort).has_value();
  if (!known) {
    throw ConfigError("--sort '" + flags.sort +
                      "': expected name, when, steps, samples_per_second or a figure such as "
                      "delta_e_2000_exact");
  }
  std::vector<Listed> runs;
  for (auto& run : trainer::find_runs(flags.parent)) runs.push_back(listed(std::move(run)));
  sort_runs(runs, flags.sort);
  if (flags.limit > 0 && runs.size() > static_cast<size_t>(flags.limit))
    runs.resize(static_cast<size_t>(flags.limit));
  if (flags.json) {
    json list = json::array();
    for (const Listed& one : runs) list.push_back(to_json(one));
    std::printf("%s\n",
                json{{"runs", list}}.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    return kExitDone;
  }
  for (const Listed& one : runs) {
    if (!one.run.problem.empty()) spdlog::warn("{}", one.run.problem);
  }
  if (runs.empty()) {
    std::printf("no run below %s\n", flags.parent.c_str());
  } else {
    std::printf("%s", table_of(runs).c_str());
  }
  return kExitDone;
}

}  // namespace

void add_runs_list(CLI::App& runs, Action& action) {
  auto flags = std::make_shared<ListFlags>();
  auto* list = runs.add_subcommand("list", "The runs below a folder, with their best figures");
  list->add_option("folder", flags->parent, "Where to look")
      ->type_name("FOLDER")
      ->capture_default_str();
  list->add_option("--sort",
                   flags->sort,
                   "name, when, steps, samples_per_second or a figure of the best evaluation; the "
                   "newest, longest or best first")
      ->type_name("BY")
      ->capture_default_str();
  list->add_option("--limit", flags->limit, "Show only so many; 0: all")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  list->add_flag("--json", flags->json, "Print the list as one line of JSON");
  list->footer("Example: limewash runs list runs --sort delta_e_2000_exact --limit 10");
  list->callback([flags, &action] { action = [flags] { return list_runs(*flags); }; });
}

void add_runs_show(CLI::App& runs, Action& action) {
  struct Flags {
    std::string folder;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  auto* show = runs.add_subcommand("show", "What a run came to");
  show->add_option("folder", flags->folder, "The run's folder")->required()->type_name("RUN");
  show->add_flag("--json", flags->json, "Print summary.json as one line");
  show->footer("Example: limewash runs show runs/demo");
  show->callback([flags, &action] {
    action = [flags] {
      const auto run = trainer::read_run_folder(flags->folder);
      const auto summary = trainer::read_checked_summary(run.folder);
      std::printf("%s\n",
                  flags->json ? summary.dump(-1, ' ', false, json::error_handler_t::replace).c_str()
                              : run_table(flags->folder, summary).c_str());
      return kExitDone;
    };
  });
}

}  // namespace limewash::launcher
