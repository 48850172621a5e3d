#include "eval/report.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include <spdlog/fmt/fmt.h>

#include "eval/base64.h"
#include "eval/best_choice.h"
#include "eval/figures.h"
#include "eval/report_page.h"
#include "eval/report_sections.h"
#include "eval/svg_chart.h"
#include "runtime/files.h"

namespace limewash::eval {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Paintings of each end in the list of the worst and the best.
constexpr size_t kListedCases = 6;

/// The figures of the table, with what heads their columns.
struct Column {
  const char* name;
  const char* head;
  int decimals;
};
constexpr Column kColumns[] = {{"delta_e_2000", "ΔE2000", 2},
                               {"delta_e_2000_p90", "ΔE2000<br>p90", 2},
                               {"delta_e_2000_exact", "exact<br>ΔE2000", 2},
                               {"delta_e_2000_exact_p90", "exact<br>p90", 2},
                               {"delta_e_76", "ΔE76", 2},
                               {"hue_error", "hue,<br>degrees", 1},
                               {"lightness_difference", "|ΔL|", 2},
                               {"chroma_difference", "|ΔC|", 2},
                               {"shading_fidelity", "shading", 3},
                               {"psnr_outside", "PSNR<br>outside", 1},
                               {"ssim_outside", "SSIM<br>outside", 3},
                               {"edge_bleed", "edge<br>bleed", 2}};

std::string text(const std::optional<double>& value, int decimals) {
  return value ? fmt::format("{:.{}f}", *value, decimals) : "–";
}

std::string head(const ReportData& data) {
  std::string html = fmt::format("<h1>{}</h1>\n<div class='facts'><span><b>{}</b></span>",
                                 shown_text(data.run_name),
                                 shown_text(data.status));
  for (const auto& [name, value] : data.facts) {
    html += fmt::format("<span>{} <b>{}</b></span>", escape_html(name), escape_html(value));
  }
  html += "</div>\n";
  if (data.evaluations.empty()) return html;
  const json &first = data.evaluations.front(), &last = data.evaluations.back();
  const auto change = [&](const char* name) {
    const std::string now = text(figure_of(last, name), 2);
    return data.evaluations.size() == 1 ? now : text(figure_of(first, name), 2) + " → " + now;
  };
  html += "<div class='tiles'>\n" +
          tile(change("delta_e_2000"), "ΔE2000 of the wall to the reference, median");
  if (figure_of(last, "delta_e_2000_exact")) {
    html += tile(change("delta_e_2000_exact"), "ΔE2000 of the pixels to the exact repaint, median");
  }
  if (data.controls.is_object()) {
    html += tile(text(figure_of(member_of(data.controls, "shuffled_reference"), "delta_e_2000"), 2),
                 "asked with another painting's reference: must be clearly worse");
    html += tile(text(figure_of(data.controls.value("floor", json()), "delta_e_2000"), 2),
                 "floor: the target through the VAE alone");
  }
  return html + "</div>\n";
}

ChartSeries of_evaluations(const ReportData& data, const char* name, const char* label, int color) {
  ChartSeries series{label, {}, false, true, false, color};
  for (const json& evaluation : data.evaluations) {
    if (const auto value = figure_of(evaluation, name)) {
      series.points.emplace_back(static_cast<double>(step_of(evaluation)), *value);
    }
  }
  return series;
}

/// A control as a level line from the first to the last evaluation.
ChartSeries level(
    const ReportData& data, const char* control, const char* name, const char* label, int color) {
  ChartSeries series{label, {}, true, false, false, color};
  const auto value =
      figure_of(data.controls.is_object() ? data.controls.value(control, json()) : json(), name);
  if (value && data.evaluations.size() > 1) {
    series.points = {{static_cast<double>(step_of(data.evaluations.front())), *value},
                     {static_cast<double>(step_of(data.evaluations.back())), *value}};
  }
  return series;
}

std::string charts(const ReportData& data) {
  std::string html = "<h2>Curves</h2>\n<div class='charts'>\n";
  const auto card = [&](const Chart& chart) {
    html += "<div class='card'>" + render_svg(chart) + "</div>\n";
  };
  if (!data.evaluations.empty()) {
    card({"ΔE2000 of the wall to the reference",
          "step",
          {of_evaluations(data, "delta_e_2000", "median", 0),
           of_evaluations(data, "delta_e_2000_p90", "p90", 1),
           level(data, "shuffled_reference", "delta_e_2000", "shuffled", 4),
           level(data, "floor", "delta_e_2000", "floor", 5)}});
    if (figure_of(data.evaluations.back(), "delta_e_2000_exact")) {
      card({"ΔE2000 of the pixels to the exact repaint",
            "step",
            {of_evaluations(data, "delta_e_2000_exact", "median", 0),
             of_evaluations(data, "delta_e_2000_exact_p90", "p90", 1),
             level(data, "recolored_without_network", "delta_e_2000_exact", "without a network", 2),
             level(data, "floor", "delta_e_2000_exact", "floor", 5)}});
    }
  }
  std::set<std::string> terms;
  for (const auto& [step, values] : data.losses) {
    for (const auto& [name, value] : values) terms.insert(name);
  }
  int color = 0;
  for (const std::string& term : terms) {
    ChartSeries raw{term, {}, false, false, true, color++};
    for (const auto& [step, values] : data.losses) {
      const auto found = values.find(term);
      if (found != values.end()) raw.points.emplace_back(static_cast<double>(step), found->second);
    }
    ChartSeries smooth = smoothed(raw);
    smooth.faint = false;
    smooth.name = "smoothed";
    card({term, "step", {raw, smooth}});
  }
  return html + "</div>\n";
}

std::string row(const json& figures,
                const std::string& name,
                const std::string& paintings,
                const char* kind) {
  std::string html = fmt::format("<tr class='{}'><td>{}</td>", kind, name);
  for (const Column& column : kColumns) {
    html += "<td>" + text(figure_of(figures, column.name), column.decimals) + "</td>";
  }
  return html + "<td>" + paintings + "</td></tr>\n";
}

std::string table(const ReportData& data) {
  std::string html =
      "<h2>Evaluations beside the controls</h2>\n<p class='faint'>Medians over all paintings, "
      "measured "
      "before anything is pasted back. The row in green is the best. Definitions: "
      "docs/evaluation.md. "
      "–: missing or not defined.</p>\n<div class='card'><table><tr><th></th>";
  for (const Column& column : kColumns) html += fmt::format("<th>{}</th>", column.head);
  html += "<th>paintings</th></tr>\n";
  const std::optional<BestChoice> best = choose_best(data.evaluations);
  for (size_t i = 0; i < data.evaluations.size(); ++i) {
    const json& evaluation = data.evaluations[i];
    const int64_t step = step_of(evaluation);
    html += row(evaluation,
                step == 0 ? "base alone" : "step " + std::to_string(step),
                text(figure_of(evaluation, "paintings"), 0),
                best && best->index == i ? "best" : "");
  }
  if (data.controls.is_object()) {
    html += row(data.controls.value("shuffled_reference", json()),
                "control: shuffled reference",
                "",
                "control");
    html += row(data.controls.value("recolored_without_network", json()),
                "control: recoloured without a network",
                "",
                "control");
    html += row(data.controls.value("floor", json()), "floor: VAE alone", "", "control");
  }
  html += "</table></div>\n";
  std::string missing;
  if (!data.evaluations.empty() && data.evaluations.back().contains("missing")) {
    for (const auto& [name, count] : data.evaluations.back().at("missing").items()) {
      missing +=
          fmt::format("{}{} {}", missing.empty() ? "" : ", ", escape_html(name), count.dump());
    }
  }
  if (!missing.empty())
    html += "<p class='faint'>Missing in the last evaluation: " + missing + ".</p>\n";
  return html;
}

std::string grids(const fs::path& run_folder, const std::vector<ReportFolder>& folders) {
  std::vector<ReportFolder> present;
  for (const ReportFolder& folder : folders) {
    if (fs::exists(run_folder / folder.path / "grid.png")) present.push_back(folder);
  }
  if (present.empty()) return "";
  const auto name = [](const ReportFolder& folder) {
    return folder.step == 0 ? std::string("base alone") : "step " + std::to_string(folder.step);
  };
  const auto embedded = [&](const ReportFolder& folder) {
    return fmt::format(
        "<div class='card'><b>{0}</b><img alt='{0}' src='data:image/png;base64,{1}'></div>\n",
        name(folder),
        base64(read_file(run_folder / folder.path / "grid.png")));
  };
  std::string html = "<h2>Pictures</h2>\n" + embedded(present.back());
  if (present.size() > 1) html += "<p></p>\n" + embedded(present.front());
  if (present.size() > 2) {
    html += "<p>Between them: ";
    for (size_t i = 1; i + 1 < present.size(); ++i) {
      html += fmt::format("<a href='{}'>{}</a> ",
                          escape_html((present[i].path / "grid.png").generic_string()),
                          name(present[i]));
    }
    html += "</p>\n";
  }
  return html;
}

}  // namespace

void write_report(const fs::path& run_folder, const ReportData& data) {
  std::string body = head(data) + charts(data) + table(data) + grids(run_folder, data.folders);
  ReportData located = data;
  located.folder = run_folder;
  const ReportedRun run = last_evaluation_of(located, 0);
  body += breakdown_of_run(run);
  if (const std::string cases = cases_of_run(run, kListedCases); !cases.empty())
    body += "<h2>Worst and best paintings of the last evaluation</h2>\n" + cases;
  write_file_atomically(run_folder / "report.html", report_page(data.run_name, body));
}

}  // namespace limewash::eval
