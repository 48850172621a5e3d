#include "eval/figures.h"

#include <array>
#include <cmath>

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

namespace limewash::eval {
namespace {

using nlohmann::json;

struct Figure {
  const char* name;
  Better better;
  int decimals;
};

constexpr std::array<Figure, 18> kFigures = {{{"delta_e_2000", Better::kLower, 2},
                                              {"delta_e_2000_exact", Better::kLower, 2},
                                              {"delta_e_2000_pixel", Better::kLower, 2},
                                              {"delta_e_2000_p95", Better::kLower, 2},
                                              {"delta_e_2000_outside", Better::kLower, 2},
                                              {"delta_e_76", Better::kLower, 2},
                                              {"lab_distance", Better::kLower, 2},
                                              {"hue_error", Better::kLower, 1},
                                              {"lightness_difference", Better::kLower, 2},
                                              {"chroma_difference", Better::kLower, 2},
                                              {"shading_fidelity", Better::kHigher, 3},
                                              {"psnr_outside", Better::kHigher, 1},
                                              {"ssim_outside", Better::kHigher, 3},
                                              {"lpips_outside", Better::kLower, 3},
                                              {"edge_bleed", Better::kLower, 2},
                                              {"edge_error", Better::kLower, 2},
                                              {"clip_similarity", Better::kHigher, 1},
                                              {"loss", Better::kLower, 4}}};
constexpr Figure kSpeed = {"samples_per_second", Better::kHigher, 1};
/// Variants of a figure (another network, another setting) share its better end.
constexpr std::array<Figure, 6> kFamilies = {{{"delta_e_", Better::kLower, 2},
                                              {"psnr_", Better::kHigher, 1},
                                              {"ssim_", Better::kHigher, 3},
                                              {"lpips_", Better::kLower, 3},
                                              {"clip_", Better::kHigher, 3},
                                              {"edge_bleed_", Better::kLower, 2}}};

const Figure* find(std::string name) {
  if (name.ends_with("_p90")) name.resize(name.size() - 4);
  for (const Figure& figure : kFigures) {
    if (name == figure.name) return &figure;
  }
  if (name == kSpeed.name) return &kSpeed;
  for (const Figure& family : kFamilies) {
    if (name.starts_with(family.name)) return &family;
  }
  return nullptr;
}

}  // namespace

std::optional<Better> better_end(const std::string& name) {
  const Figure* figure = find(name);
  return figure == nullptr ? std::nullopt : std::optional(figure->better);
}

std::vector<std::string> known_figures() {
  std::vector<std::string> names;
  for (const Figure& figure : kFigures) names.emplace_back(figure.name);
  names.emplace_back(kSpeed.name);
  return names;
}

std::optional<double> figure_of(const json& object, const std::string& name) {
  const json& value = member_of(object, name);
  if (!value.is_number() || !std::isfinite(value.get<double>())) return std::nullopt;
  return value.get<double>();
}

const json& member_of(const json& object, const std::string& name) {
  static const json kNothing;
  if (!object.is_object()) return kNothing;
  const auto found = object.find(name);
  return found == object.end() ? kNothing : *found;
}

std::string figure_text(const std::string& name, const std::optional<double>& value) {
  if (!value) return "–";
  const Figure* figure = find(name);
  return fmt::format("{:.{}f}", *value, figure == nullptr ? 2 : figure->decimals);
}

std::string headline_of(const json& evaluation) {
  return figure_of(evaluation, "delta_e_2000_exact") ? "delta_e_2000_exact" : "delta_e_2000";
}

int64_t step_of(const json& evaluation) {
  const double step = figure_of(evaluation, "step").value_or(0);
  return std::abs(step) < 1e15 ? static_cast<int64_t>(step) : 0;
}

}  // namespace limewash::eval
