#include "eval/report_sections.h"

#include <algorithm>
#include <functional>
#include <set>

#include <spdlog/fmt/fmt.h>

#include "eval/base64.h"
#include "eval/case_pictures.h"
#include "eval/figures.h"
#include "eval/report_page.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::eval {
namespace {

using nlohmann::json;

/// Rows of one breakdown; a palette of more colours is cut with a note.
constexpr size_t kMostRows = 60;
constexpr uint64_t kMostPictureBytes = uint64_t{2} << 20;

struct Column {
  const char* name;
  const char* head;
};
constexpr Column kColumns[] = {{"delta_e_2000", "ΔE2000"},
                               {"delta_e_2000_exact", "exact<br>ΔE2000"},
                               {"hue_error", "hue,<br>degrees"},
                               {"lightness_difference", "|ΔL|"},
                               {"chroma_difference", "|ΔC|"},
                               {"shading_fidelity", "shading"}};

using Breakdown = std::function<std::vector<BreakdownRow>(const std::vector<json>&,
                                                          const std::vector<std::string>&)>;

std::string label_of(const BreakdownRow& row) {
  return row.is_color ? color_chip(row.label) : shown_text(row.label);
}

std::string headline_of_run(const ReportedRun& run) {
  return headline_of(member_of(run.records->head, "metrics"));
}

std::string more_rows(size_t rows) {
  if (rows <= kMostRows) return "";
  return fmt::format("<p class='faint'>and {} others, in metrics.json</p>\n", rows - kMostRows);
}

std::string breakdown_table(const ReportedRun& run,
                            const std::string& title,
                            const std::vector<BreakdownRow>& rows) {
  const std::string headline = headline_of_run(run);
  double highest = 0;
  for (const BreakdownRow& row : rows)
    highest = std::max(highest, row.medians.at(headline).value_or(0));
  std::string html =
      fmt::format("<h3>{}</h3>\n<div class='card'><table><tr><th></th><th>paintings</th>", title);
  for (const Column& column : kColumns) html += fmt::format("<th>{}</th>", column.head);
  html += fmt::format("<th class='bars'>{}</th></tr>\n", headline);
  for (size_t i = 0; i < std::min(rows.size(), kMostRows); ++i) {
    const BreakdownRow& row = rows[i];
    html += fmt::format("<tr><td>{}</td><td>{}</td>", label_of(row), row.paintings);
    for (const Column& column : kColumns)
      html += "<td>" + figure_text(column.name, row.medians.at(column.name)) + "</td>";
    const auto value = row.medians.at(headline);
    const double share = value && highest > 0 ? std::max(0.0, *value) / highest : 0;
    html += fmt::format(
        "<td class='bars'><span class='bar' style='width:{:.1f}%'></span></td></tr>\n", share * 90);
  }
  return html + "</table></div>\n" + more_rows(rows.size());
}

std::vector<std::string> column_names() {
  std::vector<std::string> names;
  for (const Column& column : kColumns) names.emplace_back(column.name);
  return names;
}

/// All rows of all runs, in the order in which they first come.
std::vector<BreakdownRow> merged_labels(const std::vector<std::vector<BreakdownRow>>& tables) {
  std::vector<BreakdownRow> labels;
  std::set<std::string> known;
  for (const auto& table : tables) {
    for (const BreakdownRow& row : table) {
      if (known.insert(row.label).second) labels.push_back(row);
    }
  }
  return labels;
}

const BreakdownRow* find_row(const std::vector<BreakdownRow>& table, const std::string& label) {
  const auto found = std::find_if(
      table.begin(), table.end(), [&](const BreakdownRow& row) { return row.label == label; });
  return found == table.end() ? nullptr : &*found;
}

std::string compared_table(const std::vector<ReportedRun>& runs,
                           const std::string& title,
                           const std::string& figure,
                           const Breakdown& breakdown,
                           bool mark_better) {
  std::vector<std::vector<BreakdownRow>> tables;
  for (const ReportedRun& run : runs) {
    tables.push_back(run.records ? breakdown(run.records->records, {figure})
                                 : std::vector<BreakdownRow>());
  }
  const std::vector<BreakdownRow> labels = merged_labels(tables);
  if (labels.empty()) return "";
  std::string html =
      fmt::format("<h3>{}</h3>\n<div class='card'><table><tr><th></th><th>paintings</th>", title);
  for (const ReportedRun& run : runs) html += "<th>" + letter_badge(run) + "</th>";
  html += "</tr>\n";
  for (size_t i = 0; i < std::min(labels.size(), kMostRows); ++i) {
    std::vector<std::optional<double>> values;
    std::set<double> present;
    int64_t paintings = 0;
    for (const auto& table : tables) {
      const BreakdownRow* row = find_row(table, labels[i].label);
      values.push_back(row == nullptr ? std::nullopt : row->medians.at(figure));
      if (row != nullptr) paintings = std::max(paintings, row->paintings);
      if (values.back()) present.insert(*values.back());
    }
    html += fmt::format("<tr><td>{}</td><td>{}</td>", label_of(labels[i]), paintings);
    for (const auto& value : values) {
      const bool better = mark_better && present.size() > 1 && value == *present.begin();
      html +=
          fmt::format("<td{}>{}</td>", better ? " class='best'" : "", figure_text(figure, value));
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n" + more_rows(labels.size());
}

std::string case_figure(const ReportedRun& run, size_t index, const char* kind) {
  const auto path = run.evaluation / case_picture_path(static_cast<int64_t>(index));
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return "";
  std::string bytes;
  try {
    bytes = read_file(path, kMostPictureBytes);
  } catch (const InputError&) {
    return "";  // its line in the list stays
  }
  const json& record = run.records->records[index];
  const std::string name = headline_of_run(run);
  const json &photo = member_of(record, "photo"), &asked = member_of(record, "asked");
  const std::string photo_name = photo.is_string() ? photo.get<std::string>() : "";
  return fmt::format(
      "<figure class='card'><figcaption><b>{}</b> {} {}: {} {}</figcaption><img alt='{} painting "
      "of "
      "{}: source, asked colour, output, target' src='data:image/jpeg;base64,{}'></figure>\n",
      kind,
      shown_short(photo_name, 40),
      color_chip(asked.is_string() ? asked.get<std::string>() : ""),
      name,
      figure_text(name, figure_of(record, name)),
      kind,
      shown_text(photo_name),
      base64(bytes));
}

std::string case_row(const json& record, const char* kind) {
  const json &photo = member_of(record, "photo"), &asked = member_of(record, "asked"),
             &own = member_of(record, "own_color");
  std::string html =
      fmt::format("<tr><td>{}</td><td class='left'>{}</td><td class='left'>{}{}</td>",
                  kind,
                  shown_short(photo.is_string() ? photo.get<std::string>() : "", 48),
                  color_chip(asked.is_string() ? asked.get<std::string>() : ""),
                  own.is_boolean() && own.get<bool>() ? " (own)" : "");
  for (const Column& column : kColumns)
    html += "<td>" + figure_text(column.name, figure_of(record, column.name)) + "</td>";
  return html + "</tr>\n";
}

}  // namespace

std::string ReportedRun::letter() const {
  return index < 26 ? std::string(1, static_cast<char>('A' + index)) : std::to_string(index + 1);
}

std::string letter_badge(const ReportedRun& run) {
  return fmt::format("<span class='letter curve-{}'>{}</span>", run.index % 6, run.letter());
}

ReportedRun last_evaluation_of(const ReportData& data, int index) {
  ReportedRun run;
  run.data = &data;
  run.index = index;
  for (auto folder = data.folders.rbegin(); folder != data.folders.rend(); ++folder) {
    const auto path = data.folder / folder->path;
    std::error_code error;
    if (!std::filesystem::exists(path / "metrics.json", error)) continue;
    try {
      run.records = read_evaluation_records(path / "metrics.json");
      run.evaluation = path;
      run.step = folder->step;
    } catch (const InputError& problem) {
      run.problem = problem.what();
    }
    break;
  }
  return run;
}

std::string breakdown_of_run(const ReportedRun& run) {
  if (!run.records || run.records->records.empty()) return "";
  const auto& records = run.records->records;
  return fmt::format(
             "<h2>By colour and lightness</h2>\n<p class='faint'>Medians of the evaluation "
             "of step {}, over the paintings that asked for it.</p>\n",
             run.step) +
         breakdown_table(run, "By asked colour", breakdown_by_color(records, column_names())) +
         breakdown_table(run,
                         "By lightness of the asked colour",
                         breakdown_by_lightness(records, column_names()));
}

std::string breakdown_of_runs(const std::vector<ReportedRun>& runs, bool mark_better) {
  // One figure for all, or the columns would not compare.
  std::string figure = "delta_e_2000_exact";
  bool any = false;
  for (const ReportedRun& run : runs) {
    if (!run.records || run.records->records.empty()) continue;
    any = true;
    if (headline_of_run(run) != figure) figure = "delta_e_2000";
  }
  if (!any) return "";
  return fmt::format(
             "<h2>By colour and lightness</h2>\n<p class='faint'>Medians of {} in the last "
             "evaluation of each run.</p>\n",
             figure) +
         compared_table(runs, "By asked colour", figure, breakdown_by_color, mark_better) +
         compared_table(
             runs, "By lightness of the asked colour", figure, breakdown_by_lightness, mark_better);
}

std::string cases_of_run(const ReportedRun& run, size_t listed) {
  if (!run.records || run.records->records.empty()) return "";
  const auto& records = run.records->records;
  const std::string name = headline_of_run(run);
  const ExtremeCases cases = extreme_cases(records, name, std::max(listed, kCasePictures));
  std::string pictures, rows;
  const auto add = [&](const std::vector<size_t>& indices, size_t i, const char* kind) {
    if (i < kCasePictures) pictures += case_figure(run, indices[i], kind);
  };
  for (size_t i = 0; i < cases.worst.size(); ++i) add(cases.worst, i, "worst");
  for (size_t i = 0; i < cases.best.size(); ++i) add(cases.best, i, "best");
  std::string html = fmt::format("<p class='faint'>By {}, step {}.{}</p>\n",
                                 name,
                                 run.step,
                                 pictures.empty() ? ""
                                                  : " Each strip: source, asked colour, output, "
                                                    "target.");
  if (!pictures.empty()) html += "<div class='cases'>\n" + pictures + "</div>\n";
  if (listed == 0 && !pictures.empty()) return html;
  html +=
      "<p></p><div class='card'><table><tr><th></th><th class='left'>photo</th><th "
      "class='left'>asked</th>";
  for (const Column& column : kColumns) html += fmt::format("<th>{}</th>", column.head);
  html += "</tr>\n";
  for (const size_t index : cases.worst) html += case_row(records[index], "worst");
  for (auto it = cases.best.rbegin(); it != cases.best.rend(); ++it)
    html += case_row(records[*it], "best");
  return html + "</table></div>\n";
}

}  // namespace limewash::eval
