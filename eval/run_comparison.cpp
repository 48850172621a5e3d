#include "eval/run_comparison.h"

#include <algorithm>
#include <array>
#include <set>

#include <nlohmann/json.hpp>

#include "eval/best_choice.h"
#include "eval/figures.h"

namespace limewash::eval {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 3> kControls = {
    "shuffled_reference", "recolored_without_network", "floor"};

bool says_nothing_of_the_result(const std::string& key) {
  if (key == "run.name" || key == "run.output") return true;
  for (const char* section : {"tracking.", "synthesize.", "prepare."}) {
    if (key.starts_with(section)) return true;
  }
  return false;
}

const json& final_of(const ReportedRun& run) {
  static const json kNothing;
  return run.data->evaluations.empty() ? kNothing : run.data->evaluations.back();
}

const json& best_of(const ReportedRun& run) {
  static const json kNothing;
  const auto best = choose_best(run.data->evaluations);
  return best ? run.data->evaluations[best->index] : kNothing;
}

std::optional<int64_t> step_if_any(const json& evaluation) {
  return evaluation.is_object() ? std::optional(step_of(evaluation)) : std::nullopt;
}

std::optional<double> last_loss(const ReportedRun& run) {
  if (run.data->losses.empty()) return std::nullopt;
  const auto& terms = run.data->losses.back().second;
  const auto found = terms.find("loss");
  return found == terms.end() ? std::nullopt : std::optional(found->second);
}

void mark_better(ComparedFigure& figure) {
  figure.better.assign(figure.values.size(), false);
  const auto end = better_end(figure.name);
  std::set<double> present;
  int64_t count = 0;
  for (const auto& value : figure.values) {
    if (!value) continue;
    present.insert(*value);
    ++count;
  }
  // Alone, or equal everywhere, nothing is better.
  if (!end || count < 2 || present.size() < 2) return;
  const double winner = end == Better::kLower ? *present.begin() : *present.rbegin();
  for (size_t i = 0; i < figure.values.size(); ++i)
    figure.better[i] = figure.values[i] && *figure.values[i] == winner;
}

/// Names of figures in the order of the first evaluations that have them.
std::vector<std::string> figure_names(const std::vector<ReportedRun>& runs) {
  std::vector<std::string> names = {"delta_e_2000_exact",
                                    "delta_e_2000_exact_p90",
                                    "delta_e_2000",
                                    "delta_e_2000_p90",
                                    "delta_e_76",
                                    "hue_error",
                                    "lightness_difference",
                                    "chroma_difference",
                                    "shading_fidelity"};
  const size_t first = names.size();
  std::set<std::string> others, known(names.begin(), names.end());
  for (const ReportedRun& run : runs) {
    for (const json& evaluation : run.data->evaluations) {
      for (const auto& item : evaluation.items()) {
        if (better_end(item.key()) && !known.contains(item.key())) others.insert(item.key());
      }
    }
  }
  names.insert(names.begin() + static_cast<std::ptrdiff_t>(first), others.begin(), others.end());
  return names;
}

template <class Value>
void add_figure(std::vector<ComparedFigure>& figures,
                const std::vector<ReportedRun>& runs,
                const std::string& group,
                const std::string& name,
                bool comparable,
                const Value& value_of) {
  ComparedFigure figure{group, name, {}, {}};
  bool any = false;
  for (const ReportedRun& run : runs) {
    figure.values.push_back(value_of(run));
    any = any || figure.values.back();
  }
  if (!any) return;
  if (comparable) {
    mark_better(figure);
  } else {
    figure.better.assign(runs.size(), false);
  }
  figures.push_back(std::move(figure));
}

void compare_settings(const std::vector<ReportedRun>& runs, RunComparison& comparison) {
  std::set<std::string> keys;
  for (const ReportedRun& run : runs) {
    for (const auto& [key, value] : run.data->settings) keys.insert(key);
  }
  for (const std::string& key : keys) {
    if (says_nothing_of_the_result(key)) continue;
    std::vector<std::optional<std::string>> values;
    for (const ReportedRun& run : runs) {
      const auto found = run.data->settings.find(key);
      values.push_back(found == run.data->settings.end() ? std::nullopt
                                                         : std::optional(found->second));
    }
    const bool same = std::all_of(
        values.begin(), values.end(), [&](const auto& value) { return value == values.front(); });
    if (!same) comparison.settings[key] = std::move(values);
  }
}

void check_comparable(const std::vector<ReportedRun>& runs, RunComparison& comparison) {
  struct Check {
    const char* field;
    const char* sentence;
  };
  constexpr std::array<Check, 3> kChecks = {
      {{"protocol", "The runs were evaluated by different versions of the protocol"},
       {"dataset", "The runs were evaluated on different photos"},
       {"options", "The runs were evaluated with different options (steps, seed, guidance)"}}};
  for (const Check& check : kChecks) {
    std::set<std::string> values;
    for (const ReportedRun& run : runs) {
      const json* value = run.records ? &member_of(run.records->head, check.field) : nullptr;
      if (value != nullptr && !value->is_null()) values.insert(value->dump());
    }
    if (values.size() < 2) continue;
    comparison.warnings.push_back(std::string(check.sentence) +
                                  ": their figures must not be compared, and none is marked.");
  }
}

}  // namespace

RunComparison compare_runs(const std::vector<ReportedRun>& runs) {
  RunComparison comparison;
  compare_settings(runs, comparison);
  check_comparable(runs, comparison);
  const bool comparable = comparison.comparable();
  for (const ReportedRun& run : runs) {
    comparison.final_steps.push_back(step_if_any(final_of(run)));
    comparison.best_steps.push_back(step_if_any(best_of(run)));
  }
  auto& figures = comparison.figures;
  const auto names = figure_names(runs);
  for (const std::string& name : names) {
    add_figure(figures, runs, "final", name, comparable, [&](const ReportedRun& run) {
      return figure_of(final_of(run), name);
    });
  }
  add_figure(figures, runs, "final", "loss", false, last_loss);
  for (const std::string& name : names) {
    add_figure(figures, runs, "best", name, comparable, [&](const ReportedRun& run) {
      return figure_of(best_of(run), name);
    });
  }
  for (const char* control : kControls) {
    for (const char* name : {"delta_e_2000_exact", "delta_e_2000"}) {
      // A control is a yardstick: none of them wins.
      add_figure(figures, runs, control, name, false, [&](const ReportedRun& run) {
        return figure_of(member_of(run.data->controls, control), name);
      });
    }
  }
  return comparison;
}

json comparison_json(const std::vector<ReportedRun>& runs, const RunComparison& comparison) {
  json list = json::array();
  for (const ReportedRun& run : runs) {
    list.push_back({{"name", run.data->run_name},
                    {"folder", run.data->folder.string()},
                    {"status", run.data->status},
                    {"final", final_of(run)},
                    {"best", best_of(run)},
                    {"controls", run.data->controls}});
  }
  json settings = json::object();
  for (const auto& [key, values] : comparison.settings) {
    for (const auto& value : values) settings[key].push_back(value ? json(*value) : json(nullptr));
  }
  json better = {{"final", json::object()}, {"best", json::object()}};
  for (const ComparedFigure& figure : comparison.figures) {
    for (size_t i = 0; i < figure.better.size(); ++i) {
      if (figure.better[i]) better[figure.group][figure.name].push_back(i);
    }
  }
  return {{"runs", list},
          {"settings", settings},
          {"better", better},
          {"warnings", comparison.warnings}};
}

}  // namespace limewash::eval
