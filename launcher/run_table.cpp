#include "launcher/run_table.h"

#include <cstdio>
#include <vector>

namespace limewash::launcher {

namespace {

using nlohmann::json;

struct Column {
  const char* key;
  const char* title;
};

constexpr Column kColumns[] = {{"delta_e_2000", "dE2000"},
                               {"delta_e_2000_p90", "p90"},
                               {"delta_e_2000_exact", "dE2000 exact"},
                               {"hue_error", "hue deg"},
                               {"shading_fidelity", "shading"}};

std::string line(const std::string& title, const json& figures) {
  char text[64];
  std::snprintf(text, sizeof text, "%-32s", title.c_str());
  std::string result = text;
  for (const auto& column : kColumns) {
    const auto found = figures.find(column.key);
    if (found != figures.end() && found->is_number()) {
      std::snprintf(text, sizeof text, "%14.2f", found->get<double>());
    } else {
      std::snprintf(text, sizeof text, "%14s", "missing");
    }
    result += text;
  }
  return result + "\n";
}

}  // namespace

std::string run_table(const std::filesystem::path& run_folder, const json& summary) {
  char text[256];
  std::snprintf(text,
                sizeof text,
                "\n%s: %s after %lld steps, %.1f samples/s on %lld trainer rank(s)\n\n%-32s",
                run_folder.string().c_str(),
                summary.value("status", "unknown").c_str(),
                static_cast<long long>(summary.value("steps", int64_t{0})),
                summary.value("samples_per_second", 0.0),
                static_cast<long long>(summary.value("trainers", int64_t{1})),
                "medians over the validation set");
  std::string table = text;
  for (const auto& column : kColumns) {
    std::snprintf(text, sizeof text, "%14s", column.title);
    table += text;
  }
  table += "\n";
  std::string last_folder;
  for (const auto& evaluation : summary.value("evaluations", json::array())) {
    const auto step = evaluation.value("step", int64_t{0});
    table +=
        line(step == 0 ? "step 0, the base alone" : "step " + std::to_string(step), evaluation);
    std::snprintf(text, sizeof text, "evaluations/step-%06lld", static_cast<long long>(step));
    last_folder = text;
  }
  const auto controls = summary.find("controls");
  if (controls != summary.end() && controls->is_object()) {
    table +=
        line("control: shuffled reference", controls->value("shuffled_reference", json::object()));
    table += line("control: without a network",
                  controls->value("recolored_without_network", json::object()));
    table += line("floor: the VAE alone", controls->value("floor", json::object()));
  }
  if (!last_folder.empty())
    table += "\ngrid      " + (run_folder / last_folder / "grid.png").string() + "\n";
  if (std::filesystem::exists(run_folder / "report.html")) {
    table += "report    " + (run_folder / "report.html").string() + "\n";
  }
  if (std::filesystem::exists(run_folder / "adapter"))
    table += "adapter   " + (run_folder / "adapter").string() + "\n";
  return table;
}

}  // namespace limewash::launcher
