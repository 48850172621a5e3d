#include "eval/evaluation_options.h"

#include <filesystem>

#include "data/mask_corruption.h"
#include "eval/palette.h"
#include "runtime/error.h"

namespace limewash::eval {
namespace {

std::vector<std::string> corruption_choices() {
  std::vector<std::string> names = {"none", "any"};
  for (uint32_t kind = 1; kind < data::kCorruptions; ++kind)
    names.push_back(data::corruption_name(static_cast<data::Corruption>(kind)));
  return names;
}

}  // namespace

void EvaluationOptions::describe(config::Fields& fields) {
  fields.field("every", every, "steps between evaluations; 0: never", {0});
  fields.field("photos", photos, "photos, the first of the validation set", {1});
  fields.field(
      "palette", palette, "colours to ask for, \"#rrggbb\"; empty: the classic colour chart");
  fields.field("references", references, "palette colours per photo, in rotation; 0: all", {0});
  fields.field("own_color", own_color, "also ask for the wall's own colour");
  fields.field("steps", steps, "sampling steps", {1, 1000});
  fields.field("seed", seed, "of the paintings' noise", {0});
  fields.field("guidance", guidance, "classifier-free, on the reference; 1: none", {0, 30});
  fields.field("batch", batch, "paintings at a time", {1, 1024});
  fields.field(
      "lpips",
      lpips,
      "LPIPS weights, made by eval/make_lpips_weights.py; empty: lpips_outside is missing");
  fields.choice("mask_corruption",
                mask_corruption,
                corruption_choices(),
                "give wrong masks to the painter, of this kind; the right ones still measure");
  fields.field(
      "mask_iou", mask_iou, "how wrong: the IoU of those masks with the right ones", {0.1, 1.0});
  fields.field("paste", paste, "measure after the untouched pixels are pasted back");
}

void EvaluationOptions::validate() const {
  const size_t size = colors().size();
  if (references > static_cast<int64_t>(size)) {
    throw ConfigError("evaluation.references: " + std::to_string(references) +
                      " colours per photo, but evaluation.palette has " + std::to_string(size) +
                      "; expected at most that many, or 0 for all");
  }
  if (!lpips.empty() && !std::filesystem::is_regular_file(lpips)) {
    throw ConfigError("evaluation.lpips is '" + lpips + "': expected an existing file");
  }
}

bool EvaluationOptions::corrupts_masks() const {
  return mask_corruption != "none";
}

std::vector<data::Rgb> EvaluationOptions::colors() const {
  std::vector<data::Rgb> result;
  for (const std::string& text : palette.empty() ? classic_chart() : palette) {
    result.push_back(parse_color(text, "evaluation.palette"));
  }
  return result;
}

}  // namespace limewash::eval
