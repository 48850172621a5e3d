#include "data/reference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "data/dataset.h"
#include "data/wall_color.h"
#include "runtime/error.h"

namespace limewash::data {
void ReferenceOptions::describe(config::Fields& fields) {
  fields.choice("strategy",
                strategy,
                {"median", "mean", "kmeans", "random", "hybrid"},
                "the colour asked for: the wall's own, measured so; a random one; or either");
  fields.field("random_probability", random_probability, "of a random colour under hybrid", {0, 1});
  fields.choice(
      "image",
      image,
      {"swatch", "wall_crop", "exemplar"},
      "what shows the colour: a swatch, a piece of the wall, or one of a photo, distorted");
  fields.field("bank",
               bank,
               "swatches that all samples share, encoded once; 0: each reference its own",
               {0, 65536});
  fields.choice("target",
                target,
                {"recolored", "original"},
                "what to learn: the wall in the colour asked for, or the photo as it is");
  fields.choice("hole",
                hole,
                {"shading", "empty"},
                "what the network sees of the wall: its light without its colour, or nothing");
  fields.field("hole_margin", hole_margin, "pixels by which the hole is dilated", {0, 64});
  fields.field("noise", noise, "sigma of the swatch's noise, in 1/255", {0, 128});
  fields.field(
      "gradient", gradient, "the swatch's light falls from 1 + this to 1 - this", {0, 0.9});
  fields.field("jitter",
               jitter,
               "moves the own colour asked for, on each axis of Lab; the target too",
               {0, 50});
}

void ReferenceOptions::validate() const {
  if (bank > 0 && image != "swatch")
    throw ConfigError("reference.bank = " + std::to_string(bank) +
                      ": a bank holds swatches; with reference.image: " + image + " it must be 0");
}

Rgb own_color(const ReferenceOptions& options,
              uint64_t seed,
              const SampleInfo& info,
              const Sample& sample) {
  if (options.strategy == "random" || options.strategy == "hybrid") return info.color;
  const auto strategy = wall_color_strategy(options.strategy, "reference.strategy");
  return wall_color(sample.image, sample.core, strategy, seed, info.stable_id).value_or(info.color);
}

Reference draw_reference(const ReferenceOptions& options,
                         uint64_t seed,
                         uint64_t sample_id,
                         int64_t k,
                         const Rgb& own_color) {
  RandomStream stream(seed, Purpose::kReference, static_cast<uint64_t>(k), sample_id);
  const float choice = stream.uniform();
  const bool random =
      options.strategy == "random" ||
      (options.strategy == "hybrid" && choice < static_cast<float>(options.random_probability));
  if (!random) {
    if (options.jitter <= 0) return {own_color, true};
    RandomStream moves(seed, Purpose::kSwatch, static_cast<uint64_t>(k), sample_id);
    Lab lab = rgb_to_lab(own_color);
    for (float& axis : lab) axis += moves.uniform(-1, 1) * static_cast<float>(options.jitter);
    return {lab_to_rgb(lab), false};
  }
  Rgb color;
  for (float& channel : color) channel = stream.uniform(kDarkestReference, kBrightestReference);
  return {color, false, true};
}

Image render_swatch(const ReferenceOptions& options,
                    const Rgb& color,
                    int64_t size,
                    RandomStream stream,
                    bool exact) {
  if (size < 1) throw std::invalid_argument("a swatch needs at least one pixel a side");
  const auto pixels = static_cast<size_t>(size * size);
  Image image{size, size, std::vector<uint8_t>(3 * pixels)};

  // The first three draws of the stream are draw_reference's: its jitter.
  for (int axis = 0; axis < 3; ++axis) stream.next_u32();
  const float angle = stream.uniform(0, 2 * std::numbers::pi_v<float>);
  const float across = std::cos(angle), down = std::sin(angle);
  // From the middle to the farthest corner in that direction.
  const float reach = 0.5f * static_cast<float>(size) * (std::abs(across) + std::abs(down));
  const auto gradient = static_cast<float>(exact ? 0.0 : options.gradient);

  std::vector<float> noise(3 * pixels);
  const auto sigma = static_cast<float>(exact ? 0.0 : options.noise / 255);
  if (sigma > 0) stream.fill_normal(noise);

  const Rgb linear = {srgb_to_linear(color[0]), srgb_to_linear(color[1]), srgb_to_linear(color[2])};
  const float middle = 0.5f * static_cast<float>(size - 1);
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const float along =
          (across * (static_cast<float>(x) - middle) + down * (static_cast<float>(y) - middle)) /
          reach;
      const float light = 1 - gradient * along;
      const auto at = static_cast<size_t>(3 * (y * size + x));
      for (size_t c = 0; c < 3; ++c) {
        const float plain = gradient > 0 ? linear_to_srgb(linear[c] * light) : color[c];
        const float value = std::clamp(plain + sigma * noise[at + c], 0.0f, 1.0f);
        image.pixels[at + c] = static_cast<uint8_t>(value * 255 + 0.5f);
      }
    }
  }
  return image;
}

}  // namespace limewash::data
