// metrics: the figures of one picture, or of one mask.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "data/image_io.h"
#include "eval/clip_similarity.h"
#include "eval/color_metrics.h"
#include "eval/image_metrics.h"
#include "eval/lpips.h"
#include "eval/mask_metrics.h"
#include "eval/palette.h"
#include "eval/perceptual_networks.h"
#include "eval/size_text.h"
#include "launcher/commands.h"
#include "runtime/error.h"
#include "runtime/threads.h"

namespace limewash::launcher {
namespace {

using nlohmann::ordered_json;

struct MetricsFlags {
  std::string image, against, mask, reference, source, exact, core, against_mask, lpips,
      image_encoder;
  bool json = false;
};

struct Meaning {
  const char* name;
  const char* text;
};

/// docs/evaluation.md in a few words.
constexpr Meaning kMeanings[] = {
    {"delta_e_76_mean", "mean CIE76 difference"},
    {"delta_e_2000_mean", "mean CIEDE2000 difference"},
    {"psnr", "dB; missing for equal pictures"},
    {"ssim", "11 x 11 Gaussian window"},
    {"ssim_uniform", "7 x 7 uniform window"},
    {"lpips", "needs --lpips"},
    {"delta_e_2000", "CIEDE2000, region against reference"},
    {"delta_e_76", "CIE76, region against reference"},
    {"lab_distance", "the same"},
    {"delta_e_2000_pixel", "median over the pixels"},
    {"delta_e_2000_p05", "5th percentile over the pixels"},
    {"delta_e_2000_p25", "25th"},
    {"delta_e_2000_p75", "75th"},
    {"delta_e_2000_p95", "95th"},
    {"delta_e_2000_exact", "mean CIEDE2000 to the exact repaint; needs --exact"},
    {"hue_error", "degrees; missing for greys"},
    {"lightness_difference", "of L"},
    {"chroma_difference", "of chroma"},
    {"shading_fidelity", "correlation of smoothed lightness"},
    {"clip_similarity", "100 x cosine; needs --image-encoder"},
    {"psnr_outside", "dB; missing where nothing changed"},
    {"ssim_outside", "11 x 11 Gaussian window"},
    {"lpips_outside", "needs --lpips"},
    {"delta_e_2000_outside", "mean CIEDE2000 to the photo"},
    {"edge_bleed", "the same in the ring around the mask"},
    {"region_lab", "L, a, b of the region"},
    {"reference_lab", "L, a, b of the reference"},
    {"iou", "intersection over union"},
    {"boundary_f", "of the two below"},
    {"boundary_precision", "boundary near the other's"},
    {"boundary_recall", "the other's boundary near this"},
    {"boundary_tolerance", "pixels that count as near"},
};

std::string value_text(const ordered_json& value) {
  if (value.is_null()) return "missing";
  char text[64];
  if (value.is_array()) {
    std::string list;
    for (const auto& item : value) {
      std::snprintf(text, sizeof text, "%s%.2f", list.empty() ? "" : " ", item.get<double>());
      list += text;
    }
    return list;
  }
  if (value.is_number_integer()) return std::to_string(value.get<int64_t>());
  std::snprintf(text, sizeof text, "%.4f", value.get<double>());
  return text;
}

void print(const ordered_json& figures, bool json) {
  if (json) {
    std::printf("%s\n", figures.dump().c_str());
    return;
  }
  for (const auto& [name, value] : figures.items()) {
    const auto* meaning =
        std::find_if(std::begin(kMeanings), std::end(kMeanings), [&](const Meaning& candidate) {
          return candidate.name == name;
        });
    const std::string text = meaning == std::end(kMeanings) ? "" : meaning->text;
    std::printf("%-22s %20s   %s\n", name.c_str(), value_text(value).c_str(), text.c_str());
  }
}

/// `picture`, a mask or an image out of `file`, must be as large as `other`.
template <typename Picture, typename Other>
void check_size(const Picture& picture,
                const std::string& file,
                const Other& other,
                const std::string& other_file) {
  if (picture.height == other.height && picture.width == other.width) return;
  throw InputError(file + " is " + eval::size_text(picture) + ", " + other_file + " is " +
                   eval::size_text(other) + ": expected the same size");
}

data::Mask read_mask_like(const std::string& file,
                          const data::Image& image,
                          const std::string& image_file) {
  data::Mask mask = data::read_mask(file);
  check_size(mask, file, image, image_file);
  if (eval::inside(mask).empty())
    spdlog::warn("{}: the mask is empty: nothing to measure there", file);
  return mask;
}

data::Image read_image_like(const std::string& file,
                            const data::Image& image,
                            const std::string& image_file) {
  data::Image other = data::read_image(file);
  check_size(other, file, image, image_file);
  return other;
}

/// What --reference says: a colour, or a picture that stands for its robust mean.
struct Reference {
  data::Rgb color{};
  std::optional<data::Image> picture;

  data::Lab lab() const {
    return picture ? eval::robust_mean(*picture) : eval::to_lab(color);
  }
};

Reference read_reference(const std::string& text) {
  const bool is_file = std::filesystem::exists(text);
  const bool has_digits =
      text.size() == 6 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (!is_file && (text.starts_with('#') || has_digits))
    return {eval::parse_color(text, "--reference"), std::nullopt};
  if (!is_file) {
    throw ConfigError("--reference: '" + text +
                      "' is neither a colour (\"#rrggbb\") nor an existing file");
  }
  return {{}, data::read_image(text)};
}

ordered_json lab_json(const data::Lab& lab) {
  return {lab[0], lab[1], lab[2]};
}

ordered_json compare_pictures(const MetricsFlags& flags) {
  const data::Image image = data::read_image(flags.image);
  const data::Image other = read_image_like(flags.against, image, flags.image);
  std::optional<data::Mask> mask;
  if (!flags.mask.empty()) mask = read_mask_like(flags.mask, image, flags.image);
  std::optional<eval::Lpips> lpips;
  if (!flags.lpips.empty()) lpips.emplace(flags.lpips);
  const auto difference =
      eval::compare_images(image, other, mask ? &*mask : nullptr, lpips ? &*lpips : nullptr);
  ordered_json figures;
  const nlohmann::json values = eval::to_json(difference);
  for (const char* name :
       {"delta_e_76_mean", "delta_e_2000_mean", "psnr", "ssim", "ssim_uniform", "lpips"})
    figures[name] = values.at(name);
  return figures;
}

ordered_json measure_region(const MetricsFlags& flags) {
  const data::Image image = data::read_image(flags.image);
  const Reference reference = read_reference(flags.reference);
  const data::Mask wall = read_mask_like(flags.mask, image, flags.image);
  const data::Mask core =
      flags.core.empty() ? wall : read_mask_like(flags.core, image, flags.image);
  eval::PerceptualNetworks networks(
      flags.lpips.empty() ? nullptr : std::make_unique<const eval::Lpips>(flags.lpips),
      flags.image_encoder.empty() ? nullptr
                                  : std::make_unique<const eval::ClipSimilarity>(
                                        std::filesystem::path(flags.image_encoder)));
  const data::Image* picture = reference.picture ? &*reference.picture : nullptr;
  eval::Metrics metrics;
  if (flags.source.empty()) {
    metrics = eval::measure_color(image, core, reference.lab());
    metrics.add("clip_similarity", networks.clip_similarity(image, wall, reference.color, picture));
  } else {
    const data::Image source = read_image_like(flags.source, image, flags.image);
    std::optional<data::Image> exact;
    if (!flags.exact.empty()) exact = read_image_like(flags.exact, image, flags.image);
    metrics = eval::measure_painting(
        {image, source, wall, core, reference.color, exact ? &*exact : nullptr, picture},
        &networks);
  }
  ordered_json figures;
  for (const auto& [name, value] : metrics.values) {
    figures[name] = value ? ordered_json(*value) : ordered_json(nullptr);
  }
  const eval::Pixels pixels = eval::inside(core);
  figures["region_lab"] = pixels.empty() ? ordered_json(nullptr)
                                         : lab_json(eval::robust_mean(eval::to_lab(image), pixels));
  figures["reference_lab"] = lab_json(reference.lab());
  return figures;
}

ordered_json compare_two_masks(const MetricsFlags& flags) {
  const data::Mask mask = data::read_mask(flags.mask), truth = data::read_mask(flags.against_mask);
  check_size(truth, flags.against_mask, mask, flags.mask);
  return eval::to_json(eval::compare_masks(mask, truth));
}

using FlagValues = std::initializer_list<std::pair<const char*, const std::string&>>;

/// Flags that would have no effect are mistakes.
void refuse(FlagValues flags, const std::string& reason) {
  for (const auto& [flag, value] : flags) {
    if (!value.empty()) throw ConfigError(std::string("metrics: ") + flag + " " + reason);
  }
}

int measure(const MetricsFlags& flags) {
  configure_threads(0);
  if (!flags.against_mask.empty()) {
    if (flags.mask.empty()) throw ConfigError("metrics: --against-mask needs --mask");
    refuse({{"--image", flags.image},
            {"--against", flags.against},
            {"--reference", flags.reference},
            {"--source", flags.source},
            {"--exact", flags.exact},
            {"--core", flags.core},
            {"--lpips", flags.lpips},
            {"--image-encoder", flags.image_encoder}},
           "does not go with --against-mask");
    print(compare_two_masks(flags), flags.json);
    return kExitDone;
  }
  if (flags.image.empty() || flags.against.empty() == flags.reference.empty()) {
    throw ConfigError(
        "metrics: expected --image with either --against IMAGE or --reference COLOR_OR_IMAGE, or "
        "--mask with --against-mask");
  }
  if (!flags.against.empty()) {
    refuse({{"--source", flags.source},
            {"--exact", flags.exact},
            {"--core", flags.core},
            {"--image-encoder", flags.image_encoder}},
           "needs --reference");
    print(compare_pictures(flags), flags.json);
    return kExitDone;
  }
  if (flags.mask.empty()) throw ConfigError("metrics: --reference needs --mask");
  if (flags.source.empty()) {
    refuse({{"--exact", flags.exact}}, "needs --source");
    refuse({{"--lpips", flags.lpips}}, "needs --against or --source");
  }
  print(measure_region(flags), flags.json);
  return kExitDone;
}

}  // namespace

void add_metrics(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "metrics",
      "Measure a picture against another or against a colour, or a mask against another");
  auto flags = std::make_shared<MetricsFlags>();
  const auto file = [&](const char* flag, std::string& value, const char* help) {
    return command->add_option(flag, value, help)->type_name("FILE");
  };
  file("--image", flags->image, "The picture to measure");
  file("--against", flags->against, "Another picture of that size");
  file("--mask", flags->mask, "Where to measure: white");
  command
      ->add_option("--reference",
                   flags->reference,
                   "The colour that the masked region should have: #rrggbb, or a picture of it")
      ->type_name("COLOR_OR_IMAGE");
  file("--source",
       flags->source,
       "With --reference: the photo before it was painted, for what should have stayed");
  file("--exact", flags->exact, "With --source: the photo as it should have become");
  file("--core", flags->core, "With --reference: a narrower mask for colour");
  file("--against-mask", flags->against_mask, "With --mask alone: the right mask");
  file("--lpips", flags->lpips, "Weights for LPIPS, made by eval/make_lpips_weights.py");
  command
      ->add_option("--image-encoder",
                   flags->image_encoder,
                   "With --reference: a CLIP vision model with projection, for clip_similarity")
      ->type_name("FOLDER");
  command->add_flag("--json", flags->json, "Print the result as one line of JSON");
  command->footer(
      "docs/evaluation.md defines every figure.\n"
      "Example: limewash metrics --image painted.png --reference '#67bdaa' --mask wall.png\n"
      "         limewash metrics --image painted.png --against photo.png --json\n"
      "         limewash metrics --mask found.png --against-mask right.png");
  command->callback([flags, &action] { action = [flags] { return measure(*flags); }; });
}

}  // namespace limewash::launcher
