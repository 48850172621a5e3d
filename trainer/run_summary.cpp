#include "trainer/run_summary.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "eval/best_choice.h"
#include "eval/report.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/run_folder.h"
#include "trainer/validation_loss.h"

namespace limewash::trainer {

namespace {

using nlohmann::json;

json read_json(const std::filesystem::path& path) {
  try {
    return json::parse(read_file(path));
  } catch (const json::exception& error) {
    throw InputError(path.string() + ": " + error.what());
  }
}

/// The aggregate figures of every evaluation of a run, by step.
std::vector<json> read_evaluations(const std::filesystem::path& run_folder) {
  std::vector<json> evaluations;
  const auto folder = run_folder / "evaluations";
  if (!std::filesystem::is_directory(folder)) return evaluations;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto path = entry.path() / "metrics.json";
    if (!std::filesystem::exists(path)) continue;
    auto document = read_json(path);
    json figures = {{"step", document.at("step")}};
    for (const auto& [name, value] : document.at("metrics").items()) figures[name] = value;
    figures["paintings"] = document.at("paintings");
    figures["missing"] = document.at("missing");
    evaluations.push_back(std::move(figures));
  }
  std::sort(evaluations.begin(), evaluations.end(), [](const json& a, const json& b) {
    return a["step"] < b["step"];
  });
  return evaluations;
}

/// [{step, loss, t000_100, ...}], or null where none was measured.
json validation_losses(const std::filesystem::path& run_folder) {
  const auto table = read_validation_losses(run_folder / "validation_losses.csv");
  if (table.rows.empty()) return nullptr;
  json rows = json::array();
  for (const auto& row : table.rows) {
    json one = {{"step", row.step}, {"loss", row.loss}};
    for (size_t bin = 0; bin < row.bins.size(); ++bin) one[table.bins[bin]] = row.bins[bin];
    rows.push_back(std::move(one));
  }
  return rows;
}

const json* best_of(const std::vector<json>& evaluations) {
  const auto best = eval::choose_best(evaluations);
  return best ? &evaluations[best->index] : nullptr;
}

}  // namespace

void write_run_summary(const std::filesystem::path& run_folder,
                       const RunSummary& summary,
                       const json& controls) {
  const auto evaluations = read_evaluations(run_folder);
  const auto* best = best_of(evaluations);
  if (const auto choice = eval::choose_best(evaluations); choice && !choice->within_bounds) {
    spdlog::warn(
        "no evaluation keeps shading and what is outside as the base alone does; the best is the "
        "one that comes nearest (docs/evaluation.md)");
  }
  json document = {
      {"status", summary.status},
      {"steps", summary.steps},
      {"samples", summary.samples},
      {"seconds", summary.seconds},
      {"samples_per_second", summary.samples_per_second},
      {"trainers", summary.trainers},
      {"evaluators", summary.evaluators},
      {"final_loss", summary.final_loss ? json(*summary.final_loss) : json(nullptr)},
      {"data_share", summary.data_share ? json(*summary.data_share) : json(nullptr)},
      {"bad_samples", summary.bad_samples},
      {"loss_spikes", summary.loss_spikes},
      {"validation_losses", validation_losses(run_folder)},
      {"checkpoint", summary.checkpoint.empty() ? json(nullptr) : json(summary.checkpoint)},
      {"evaluations", evaluations},
      {"controls", nullptr},
      {"best", best != nullptr ? *best : json(nullptr)},
  };
  const auto path = run_folder / "summary.json";
  if (!controls.is_null()) {
    document["controls"] = controls;
  } else if (std::filesystem::exists(path)) {
    const auto earlier = read_json(path);
    if (earlier.value("steps", int64_t{-1}) == summary.steps && earlier.contains("controls")) {
      document["controls"] = earlier["controls"];
    }
  }
  write_file_atomically(path, document.dump(1) + "\n");
}

void write_run_report(const std::filesystem::path& run_folder) {
  auto run = read_run_folder(run_folder);
  // Its own process holds the lock and has just written how it ended.
  run.status = run.summary.value("status", "");
  eval::write_report(run_folder, read_report_data(run));
}

void mark_run(const std::filesystem::path& run_folder, const std::string& status) {
  const auto path = run_folder / "summary.json";
  json document = json::object();
  if (std::filesystem::exists(path)) document = read_json(path);
  document["status"] = status;
  write_file_atomically(path, document.dump(1) + "\n");
}

std::optional<int64_t> best_evaluated_step(const std::filesystem::path& run_folder) {
  const auto evaluations = read_evaluations(run_folder);
  const auto* best = best_of(evaluations);
  if (best == nullptr) return std::nullopt;
  return best->at("step").get<int64_t>();
}

}  // namespace limewash::trainer
