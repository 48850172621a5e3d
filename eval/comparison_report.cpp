// The page of eval/run_comparison.h.

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include "eval/best_choice.h"
#include "eval/figures.h"
#include "eval/report_page.h"
#include "eval/run_comparison.h"
#include "eval/svg_chart.h"

namespace limewash::eval {
namespace {

using nlohmann::json;

constexpr size_t kNameCharacters = 28, kValueCharacters = 60;

struct Curve {
  const char* name;
  const char* title;
  bool from_zero;
  bool with_floor;
};
constexpr Curve kCurves[] = {
    {"delta_e_2000_exact", "ΔE2000 of the pixels to the exact repaint, median", true, true},
    {"delta_e_2000", "ΔE2000 of the wall to the reference, median", true, true},
    {"hue_error", "hue error, degrees", true, false},
    {"shading_fidelity", "shading fidelity", false, false},
    {"edge_bleed", "edge bleed", true, false}};

std::string head(const std::vector<ReportedRun>& runs, const RunComparison& comparison) {
  std::string html = fmt::format("<h1>{} runs compared</h1>\n", runs.size());
  for (const std::string& warning : comparison.warnings)
    html += "<p class='warning'><b>" + shown_text(warning) + "</b></p>\n";
  html += "<p></p><div class='tiles'>\n";
  for (const ReportedRun& run : runs) {
    const auto best = choose_best(run.data->evaluations);
    std::string value = "–", what = "no evaluation of the adapter";
    if (best) {
      const json& evaluation = run.data->evaluations[best->index];
      const std::string name = headline_of(evaluation);
      value = figure_text(name, figure_of(evaluation, name));
      what = fmt::format("{}, best at step {}", name, step_of(evaluation));
    }
    html += tile(letter_badge(run) + value,
                 fmt::format("<b>{}</b>, {}<br>{}",
                             shown_short(run.data->run_name, 3 * kNameCharacters),
                             shown_text(run.data->status),
                             what));
  }
  html += "</div>\n";
  for (const ReportedRun& run : runs) {
    if (!run.problem.empty())
      html +=
          fmt::format("<p class='warning'>{}{}</p>\n", letter_badge(run), shown_text(run.problem));
  }
  return html;
}

ChartSeries series_of(const ReportedRun& run) {
  ChartSeries series;
  series.name = run.data->run_name;
  series.color = run.index;
  series.letter = run.letter();
  return series;
}

/// The floor is the same line for all runs on one dataset; where they differ none is drawn.
std::optional<double> common_floor(const std::vector<ReportedRun>& runs, const char* name) {
  std::optional<double> floor;
  for (const ReportedRun& run : runs) {
    const auto value = figure_of(member_of(run.data->controls, "floor"), name);
    if (value && floor && std::abs(*value - *floor) > 1e-6) return std::nullopt;
    if (value) floor = value;
  }
  return floor;
}

std::string figure_chart(const std::vector<ReportedRun>& runs, const Curve& curve) {
  Chart chart{curve.title, "step", {}, curve.from_zero};
  double last = 0;
  for (const ReportedRun& run : runs) {
    ChartSeries series = series_of(run);
    series.markers = true;
    for (const json& evaluation : run.data->evaluations) {
      if (const auto value = figure_of(evaluation, curve.name))
        series.points.emplace_back(static_cast<double>(step_of(evaluation)), *value);
    }
    if (!series.points.empty()) last = std::max(last, series.points.back().first);
    chart.series.push_back(std::move(series));
  }
  const bool any = std::any_of(chart.series.begin(),
                               chart.series.end(),
                               [](const ChartSeries& one) { return !one.points.empty(); });
  if (!any) return "";
  const auto floor = curve.with_floor ? common_floor(runs, curve.name) : std::nullopt;
  if (floor && last > 0)
    chart.series.push_back({"floor", {{0.0, *floor}, {last, *floor}}, true, false, false, 5, ""});
  return "<div class='card'>" + render_svg(chart) + "</div>\n";
}

std::string loss_chart(const std::vector<ReportedRun>& runs) {
  Chart chart{"loss, smoothed", "step", {}, true};
  for (const ReportedRun& run : runs) {
    ChartSeries raw = series_of(run);
    for (const auto& [step, terms] : run.data->losses) {
      const auto found = terms.find("loss");
      if (found != terms.end()) raw.points.emplace_back(static_cast<double>(step), found->second);
    }
    if (!raw.points.empty()) chart.series.push_back(smoothed(raw));
  }
  return chart.series.empty() ? "" : "<div class='card'>" + render_svg(chart) + "</div>\n";
}

std::string curves(const std::vector<ReportedRun>& runs) {
  std::string html = loss_chart(runs);
  for (const Curve& curve : kCurves) html += figure_chart(runs, curve);
  if (html.empty()) return "";
  return "<h2>Curves</h2>\n<div class='charts'>\n" + html + "</div>\n";
}

std::string columns_head(const std::vector<ReportedRun>& runs) {
  std::string html = "<tr><th></th>";
  for (const ReportedRun& run : runs)
    html += "<th>" + letter_badge(run) + shown_short(run.data->run_name, kNameCharacters) + "</th>";
  return html + "</tr>\n";
}

std::string group_title(const std::string& group) {
  if (group == "final") return "Last evaluation";
  if (group == "best") return "Best evaluation (docs/evaluation.md has how it is chosen)";
  if (group == "shuffled_reference") return "Control: shuffled reference";
  if (group == "recolored_without_network") return "Control: recoloured without a network";
  return "Floor: the target through the VAE alone";
}

std::string steps_row(const std::vector<std::optional<int64_t>>& steps) {
  std::string html = "<tr><td>step</td>";
  for (const auto& step : steps)
    html += "<td>" + (step ? std::to_string(*step) : std::string("–")) + "</td>";
  return html + "</tr>\n";
}

std::string figures_table(const std::vector<ReportedRun>& runs, const RunComparison& comparison) {
  std::string html =
      "<h2>Figures beside controls and floor</h2>\n<p class='faint'>Medians over all paintings. "
      "The "
      "better run of each row is marked. Definitions: docs/evaluation.md. –: missing or not "
      "defined.</p>\n<div class='card'><table>" +
      columns_head(runs);
  std::string group;
  for (const ComparedFigure& figure : comparison.figures) {
    if (figure.group == "best" && comparison.best_is_last()) continue;
    if (figure.group != group) {
      group = figure.group;
      html += fmt::format(
          "<tr class='group'><th colspan='{}'>{}{}</th></tr>\n",
          runs.size() + 1,
          group_title(group),
          group == "final" && comparison.best_is_last() ? ", of each run the best" : "");
      if (group == "final") html += steps_row(comparison.final_steps);
      if (group == "best") html += steps_row(comparison.best_steps);
    }
    const bool control = group != "final" && group != "best";
    html += fmt::format(
        "<tr class='{}'><td>{}</td>", control ? "control" : "", shown_text(figure.name));
    for (size_t i = 0; i < figure.values.size(); ++i) {
      html += fmt::format("<td{}>{}</td>",
                          figure.better[i] ? " class='best'" : "",
                          figure_text(figure.name, figure.values[i]));
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string settings_table(const std::vector<ReportedRun>& runs, const RunComparison& comparison) {
  std::string html = "<h2>Settings that differ</h2>\n";
  if (comparison.settings.empty())
    return html + "<p>None, or the runs have no configuration that can be read.</p>\n";
  html += "<div class='card'><table>" + columns_head(runs);
  for (const auto& [key, values] : comparison.settings) {
    html += "<tr><td>" + shown_short(key, kValueCharacters) + "</td>";
    for (const auto& value : values)
      html += "<td>" + (value ? shown_short(*value, kValueCharacters) : std::string("–")) + "</td>";
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string cases(const std::vector<ReportedRun>& runs) {
  std::string html;
  for (const ReportedRun& run : runs) {
    const std::string section = cases_of_run(run, 0);
    if (!section.empty())
      html += "<h3>" + letter_badge(run) + shown_text(run.data->run_name) + "</h3>\n" + section;
  }
  return html.empty() ? "" : "<h2>Worst and best paintings</h2>\n" + html;
}

}  // namespace

std::string comparison_html(const std::vector<ReportedRun>& runs, const RunComparison& comparison) {
  std::string names;
  for (const ReportedRun& run : runs) names += (names.empty() ? "" : ", ") + run.data->run_name;
  return report_page(shortened(names, 80),
                     head(runs, comparison) + settings_table(runs, comparison) + curves(runs) +
                         figures_table(runs, comparison) +
                         breakdown_of_runs(runs, comparison.comparable()) + cases(runs));
}

}  // namespace limewash::eval
