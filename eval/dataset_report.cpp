#include "eval/dataset_report.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include "eval/dataset_contact_sheet.h"
#include "eval/report_page.h"
#include "eval/svg_histogram.h"

namespace limewash::eval {
namespace {

using data::Rejection;

/// Samples at each end of the contact sheet; rejections and problems named one by one.
constexpr size_t kShownSamples = 24, kShownRejections = 12, kShownProblems = 100;

constexpr const char* kMoreStyle = R"css(
.sheet { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); }
.sheet .card { font-size: 13px; overflow-wrap: anywhere; }
.sheet .card > div { margin-top: 7px; }
.palette { display: flex; height: 12px; border: 1px solid #0003; border-radius: 3px; overflow: hidden; }
.scores { display: flex; flex-wrap: wrap; gap: 1px 12px; color: var(--faint); font-variant-numeric: tabular-nums; }
.scores b { color: var(--ink); }
.bad { color: var(--bad); }
details { margin: 8px 0; }
summary { cursor: pointer; font-weight: 600; }
)css";

std::string head(const std::filesystem::path& folder,
                 const data::DatasetIndex& index,
                 const data::DatasetSummary& summary) {
  std::string html = fmt::format(
      "<h1>{}</h1>\n<div class='facts'><span><b>{}</b></span><span>fingerprint <b>{}</b></span>"
      "<span>shards <b>{}</b></span></div>\n<div class='tiles'>\n",
      shown_text(folder.string()),
      index.complete ? "complete" : "unfinished",
      index.fingerprint(),
      index.shards.size());
  html += tile(std::to_string(summary.samples()), "samples");
  html += tile(std::to_string(index.rejections.size()),
               fmt::format("of {} photos rejected", index.photos));
  for (const data::Distribution* one : summary.distributions())
    if (one->name() == "quality" || one->name() == "wall_share")
      html += tile(fmt::format("{:.3f}", one->quantile(0.5)), one->name() + ", median");
  html +=
      "</div>\n<h2>Samples</h2>\n<div class='card'><table><tr><th>split</th><th>size</th>"
      "<th>samples</th></tr>\n";
  for (const auto& [group, count] : summary.groups())
    html += fmt::format("<tr><td>{}</td><td>{}x{}</td><td>{}</td></tr>\n",
                        shown_text(std::get<0>(group)),
                        std::get<2>(group),
                        std::get<1>(group),
                        count);
  return html + "</table></div>\n";
}

std::string histograms(const data::DatasetSummary& summary) {
  std::string html =
      "<h2>Wall share and mask quality</h2>\n<p class='faint'>Of the samples that were kept; the "
      "dashed line is the median.</p>\n<div class='charts'>\n";
  for (const data::Distribution* one : summary.distributions()) {
    std::string note = fmt::format("median {:.3f}, p05 {:.3f}, p95 {:.3f}",
                                   one->quantile(0.5),
                                   one->quantile(0.05),
                                   one->quantile(0.95));
    if (one->missing() > 0) note += fmt::format(", missing {}", one->missing());
    html += "<div class='card'>" +
            render_histogram(data::valid_utf8(one->name()), note, one->values()) + "</div>\n";
  }
  return html + "</div>\n";
}

std::string rejections(const data::DatasetIndex& index) {
  if (index.rejections.empty()) return "<h2>Rejected photos</h2>\n<p>None.</p>\n";
  std::map<std::string, std::vector<const Rejection*>> reasons;
  for (const Rejection& one : index.rejections) reasons[one.reason].push_back(&one);
  std::vector<std::pair<std::string, std::vector<const Rejection*>>> sorted(reasons.begin(),
                                                                            reasons.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.size() > b.second.size();
  });
  sorted.resize(std::min<size_t>(sorted.size(), 50));  // a damaged index may name any reasons
  std::string html = "<h2>Rejected photos</h2>\n<div class='card'>\n";
  for (const auto& [reason, photos] : sorted) {
    html += fmt::format(
        "<details open><summary>{}: {}</summary><table>\n", shown_text(reason), photos.size());
    const size_t rows = std::min(kShownRejections, photos.size());
    for (size_t i = 0; i < rows; ++i)
      html += fmt::format("<tr><td class='wrap'>{}</td><td class='wrap'>{}</td></tr>\n",
                          shown_text(photos[i]->photo),
                          shown_text(photos[i]->detail));
    html += "</table>";
    if (rows < photos.size())
      html += fmt::format(
          "<p class='faint'>and {} others: rejected.txt and report.json name all"
          "</p>",
          photos.size() - rows);
    html += "</details>\n";
  }
  return html + "</div>\n";
}

std::string problems_list(const std::vector<std::string>& problems) {
  if (problems.empty()) return "";
  std::string html = fmt::format("<h2>Damaged: {}</h2>\n<div class='card bad'>\n", problems.size());
  for (size_t i = 0; i < std::min(kShownProblems, problems.size()); ++i)
    html += "<p>" + shown_text(problems[i]) + "</p>\n";
  return html + "</div>\n";
}

std::string configuration(const data::DatasetIndex& index) {
  const auto json = nlohmann::ordered_json::parse(index.configuration, nullptr, false);
  if (!json.is_object()) return "";
  std::string html =
      "<h2>Prepared with</h2>\n<div class='card'><details><summary>options</summary><table>\n";
  for (const auto& item : json.items())
    html += fmt::format("<tr><td>prepare.{}</td><td class='wrap'>{}</td></tr>\n",
                        shown_text(item.key()),
                        shown_text(item.value().dump()));
  return html + "</table></details></div>\n";
}

}  // namespace

std::string dataset_report_html(const std::filesystem::path& folder,
                                const data::DatasetIndex& index,
                                const data::DatasetSummary& summary,
                                const std::vector<std::string>& problems) {
  return report_page(folder.string(),
                     head(folder, index, summary) + problems_list(problems) + histograms(summary) +
                         rejections(index) + contact_sheet(folder, index, kShownSamples) +
                         configuration(index),
                     kMoreStyle);
}

}  // namespace limewash::eval
