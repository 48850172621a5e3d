#include "eval/comparison.h"

#include <algorithm>

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include "eval/base64.h"
#include "eval/report_style.h"
#include "eval/svg_chart.h"
#include "runtime/files.h"

namespace limewash::eval {
namespace {

/// A column of the table: a subject, or the shuffled control of one.
struct Column {
  std::string name;
  bool control = false;
  const Metrics* metrics = nullptr;
};

std::vector<Column> columns_of(const Comparison& comparison) {
  std::vector<Column> columns;
  for (const ComparedSubject& subject : comparison.subjects) {
    columns.push_back({subject.name, subject.control, &subject.result.metrics});
    if (subject.shuffled_reference) {
      columns.push_back({subject.name + ", shuffled", true, &*subject.shuffled_reference});
    }
  }
  return columns;
}

/// The names of all figures, in the first subject's order.
std::vector<std::string> figure_names(const std::vector<Column>& columns) {
  std::vector<std::string> names;
  for (const Column& column : columns) {
    for (const auto& [name, unused] : column.metrics->values) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::string text(const std::optional<double>& value, const char* missing) {
  return value ? fmt::format("{:.3f}", *value) : missing;
}

nlohmann::json subject_json(const ComparedSubject& subject) {
  const nlohmann::json result = subject.result.to_json();
  nlohmann::json json = {
      {"name", subject.name},
      {"method", subject.method},
      {"source", subject.source.empty() ? nlohmann::json() : nlohmann::json(subject.source)},
      {"step", result.at("step")},
      {"files", subject.files.empty() ? "." : subject.files.string()},
      {"metrics", metrics_to_json(subject.result.metrics)},
      {"missing", result.at("missing")},
      {"shuffled_reference", nullptr}};
  if (subject.shuffled_reference) {
    json["shuffled_reference"] = metrics_to_json(*subject.shuffled_reference);
  }
  return json;
}

int64_t paintings_of(const Comparison& comparison) {
  return comparison.subjects.empty() ? 0 : comparison.subjects.front().result.paintings;
}

std::string html_table(const Comparison& comparison) {
  const std::vector<Column> columns = columns_of(comparison);
  std::string html = "<div class='card'><table><tr><th>median over the paintings</th>";
  for (const Column& column : columns) {
    html += fmt::format(
        "<th>{}{}</th>", column.control ? "control:<br>" : "", escape_html(column.name));
  }
  html += "</tr>\n";
  for (const std::string& name : figure_names(columns)) {
    html += fmt::format("<tr><td>{}</td>", escape_html(name));
    for (const Column& column : columns)
      html += fmt::format("<td>{}</td>", text(column.metrics->get(name), "–"));
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

/// The grids, embedded; controls too, since a person compares by eye.
std::string html_grids(const std::filesystem::path& folder, const Comparison& comparison) {
  std::string html;
  for (const ComparedSubject& subject : comparison.subjects) {
    const auto grid = folder / subject.files / "grid.png";
    if (!std::filesystem::exists(grid)) continue;
    html += fmt::format("<h2>{}</h2>\n<p class='faint'>{}</p>\n",
                        escape_html(subject.name),
                        escape_html(subject.source));
    html += fmt::format("<img alt='{}' src='data:image/png;base64,{}'>\n",
                        escape_html(subject.name),
                        base64(read_file(grid)));
  }
  return html;
}

std::string html_page(const std::filesystem::path& folder, const Comparison& comparison) {
  std::string html = fmt::format(
      "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
      "content='width=device-width, initial-scale=1'><title>Evaluation: "
      "{0}</title><style>{1}</style></head><body><main>\n<h1>Evaluation</h1>\n<div class='facts'>"
      "<span>dataset <b>{0}</b></span><span>split <b>{2}</b></span><span>base <b>{3}</b></span>"
      "<span>paintings <b>{4}</b></span><span>protocol <b>{5}</b></span></div>\n",
      escape_html(comparison.dataset),
      kReportStyle,
      escape_html(comparison.split),
      escape_html(comparison.base),
      paintings_of(comparison),
      kProtocolVersion);
  html += html_table(comparison);
  html +=
      "<p class='faint'>What each figure means, and which way is better, stands in "
      "docs/evaluation.md. – is missing.</p>\n";
  return html + html_grids(folder, comparison) + "</main></body></html>\n";
}

}  // namespace

nlohmann::json comparison_json(const Comparison& comparison) {
  nlohmann::json subjects = nlohmann::json::array(), controls = nlohmann::json::object();
  for (const ComparedSubject& subject : comparison.subjects) {
    if (!subject.control) subjects.push_back(subject_json(subject));
    if (subject.method == baseline_name(Baseline::kRecolored) ||
        subject.method == baseline_name(Baseline::kFloor)) {
      controls[subject.method] = metrics_to_json(subject.result.metrics);
    }
  }
  return {{"protocol", kProtocolVersion},
          {"dataset",
           {{"folder", comparison.dataset},
            {"fingerprint", comparison.fingerprint},
            {"split", comparison.split}}},
          {"base", comparison.base},
          {"paintings", paintings_of(comparison)},
          {"subjects", std::move(subjects)},
          {"controls", std::move(controls)}};
}

std::string comparison_table(const Comparison& comparison) {
  const std::vector<Column> columns = columns_of(comparison);
  std::string table = fmt::format("\n{}, {}: medians of {} paintings\n\n{:<26}",
                                  comparison.dataset,
                                  comparison.split,
                                  paintings_of(comparison),
                                  "");
  const auto width = [](const Column& column) { return std::max<size_t>(12, column.name.size()); };
  for (const Column& column : columns) table += fmt::format("  {:>{}}", column.name, width(column));
  table += "\n";
  for (const std::string& name : figure_names(columns)) {
    table += fmt::format("{:<26}", name);
    for (const Column& column : columns)
      table += fmt::format("  {:>{}}", text(column.metrics->get(name), "-"), width(column));
    table += "\n";
  }
  return table;
}

void write_comparison(const std::filesystem::path& folder, const Comparison& comparison) {
  std::filesystem::create_directories(folder);
  const auto replace = nlohmann::json::error_handler_t::replace;
  write_file_atomically(folder / "evaluation.json",
                        comparison_json(comparison).dump(1, ' ', false, replace) + "\n");
  write_file_atomically(folder / "report.html", html_page(folder, comparison));
}

}  // namespace limewash::eval
