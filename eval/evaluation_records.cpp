#include "eval/evaluation_records.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <spdlog/fmt/fmt.h>

#include "eval/figures.h"
#include "eval/metrics.h"
#include "eval/palette.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::eval {
namespace {

using nlohmann::json;

constexpr int kBands = 5;

std::string text_of(const json& record, const char* name) {
  const json& value = member_of(record, name);
  return value.is_string() ? value.get<std::string>() : "";
}

bool is_own(const json& record) {
  const json& value = member_of(record, "own_color");
  return value.is_boolean() && value.get<bool>();
}

std::optional<double> lightness_asked(const json& record) {
  try {
    return data::rgb_to_lab(parse_color(text_of(record, "asked"), "asked"))[0];
  } catch (const ConfigError&) {
    return std::nullopt;
  }
}

BreakdownRow row_of(const std::string& label,
                    bool is_color,
                    const std::vector<const json*>& part,
                    const std::vector<std::string>& names) {
  BreakdownRow row{label, is_color, static_cast<int64_t>(part.size()), {}};
  for (const std::string& name : names) {
    std::vector<double> values;
    for (const json* record : part) {
      if (const auto value = figure_of(*record, name)) values.push_back(*value);
    }
    row.medians[name] = quantile(std::move(values), 0.5);
  }
  return row;
}

}  // namespace

EvaluationRecords read_evaluation_records(const std::filesystem::path& metrics_file) {
  const std::string bytes = read_file(metrics_file);
  EvaluationRecords result;
  try {
    result.head = json::parse(bytes);
  } catch (const json::exception& error) {
    throw InputError(metrics_file.string() + ": " + error.what());
  }
  if (!result.head.is_object() || !member_of(result.head, "metrics").is_object()) {
    throw InputError(metrics_file.string() + ": expected an object with 'metrics'");
  }
  const auto records = result.head.find("records");
  if (records == result.head.end()) return result;
  if (!records->is_array())
    throw InputError(metrics_file.string() + ": records: expected a list of objects");
  for (json& record : *records) {
    if (!record.is_object())
      throw InputError(metrics_file.string() + ": records: expected a list of objects");
    result.records.push_back(std::move(record));
  }
  result.head.erase("records");
  return result;
}

std::vector<BreakdownRow> breakdown_by_color(const std::vector<json>& records,
                                             const std::vector<std::string>& names) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<const json*>> parts;
  std::vector<const json*> own;
  for (const json& record : records) {
    if (is_own(record)) {
      own.push_back(&record);
      continue;
    }
    const std::string color = text_of(record, "asked");
    auto& part = parts[color];
    if (part.empty()) order.push_back(color);
    part.push_back(&record);
  }
  const auto& chart = classic_chart();
  const auto place = [&](const std::string& color) {
    return std::find(chart.begin(), chart.end(), color) - chart.begin();
  };
  std::stable_sort(order.begin(), order.end(), [&](const std::string& a, const std::string& b) {
    return place(a) < place(b);
  });
  std::vector<BreakdownRow> rows;
  for (const std::string& color : order) {
    rows.push_back(
        row_of(color.empty() ? "no colour named" : color, !color.empty(), parts[color], names));
  }
  if (!own.empty()) rows.push_back(row_of("the wall's own colour", false, own, names));
  return rows;
}

std::vector<BreakdownRow> breakdown_by_lightness(const std::vector<json>& records,
                                                 const std::vector<std::string>& names) {
  std::array<std::vector<const json*>, kBands> bands;
  for (const json& record : records) {
    const auto lightness = lightness_asked(record);
    if (!lightness) continue;
    const int band = std::clamp(static_cast<int>(*lightness / (100.0 / kBands)), 0, kBands - 1);
    bands[static_cast<size_t>(band)].push_back(&record);
  }
  std::vector<BreakdownRow> rows;
  for (size_t i = 0; i < bands.size(); ++i) {
    if (bands[i].empty()) continue;
    rows.push_back(
        row_of(fmt::format("L* {} to {}", i * 20, (i + 1) * 20), false, bands[i], names));
  }
  return rows;
}

ExtremeCases extreme_cases(const std::vector<json>& records,
                           const std::string& name,
                           size_t count) {
  const auto better = better_end(name);
  std::vector<std::pair<double, size_t>> badness;
  for (size_t i = 0; i < records.size(); ++i) {
    const auto value = figure_of(records[i], name);
    if (value) badness.emplace_back(better == Better::kHigher ? -*value : *value, i);
  }
  std::stable_sort(badness.begin(), badness.end(), [](const auto& a, const auto& b) {
    return a.first > b.first;
  });
  const size_t shown = std::min(count, badness.size() / 2);
  ExtremeCases result;
  for (size_t i = 0; i < shown; ++i) {
    result.worst.push_back(badness[i].second);
    result.best.push_back(badness[badness.size() - 1 - i].second);
  }
  return result;
}

}  // namespace limewash::eval
