// Making a piece of the latent cache: references are drawn, targets painted, holes filled, all of
// it encoded.

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "data/crop_scale.h"
#include "data/latent_piece.h"
#include "runtime/error.h"
#include "runtime/random.h"

namespace limewash::data {
namespace {

constexpr size_t kImagesOfBatch = 16;

/// Collects images and hands them to the encoder in batches of a fixed size, so that the batches,
/// and with them the last bits, depend on the piece alone.
class ImageEncoder {
 public:
  using Store = std::function<void(const float* mean, const float* deviation)>;

  ImageEncoder(const Encoders& encoders, const LatentShape& shape)
      : encoders_(encoders), shape_(shape) {}

  void add(Image image, const std::string& photo, Store store) {
    images_.push_back(std::move(image));
    photos_.push_back(photo);
    stores_.push_back(std::move(store));
    if (images_.size() == kImagesOfBatch) flush();
  }

  void flush() {
    if (images_.empty()) return;
    const auto latent = static_cast<size_t>(shape_.latent());
    std::vector<float> mean(images_.size() * latent), deviation(mean.size());
    encoders_.encode_images(images_, mean.data(), deviation.data());
    for (size_t i = 0; i < images_.size(); ++i) {
      const float *own_mean = &mean[i * latent], *own_deviation = &deviation[i * latent];
      const auto finite = [&](const float* values) {
        return std::all_of(
            values, values + latent, [](float value) { return std::isfinite(value); });
      };
      if (!finite(own_mean) || !finite(own_deviation))
        throw InputError("the latents of photo " + photos_[i] + " are not finite");
      stores_[i](own_mean, own_deviation);
    }
    images_.clear();
    photos_.clear();
    stores_.clear();
  }

 private:
  const Encoders& encoders_;
  const LatentShape& shape_;
  std::vector<Image> images_;
  std::vector<std::string> photos_;
  std::vector<Store> stores_;
};

/// Encodes one piece.
class PieceMaker {
 public:
  PieceMaker(const Dataset& dataset,
             const LatentCacheOptions& options,
             const Encoders& encoders,
             LatentPiece& piece)
      : dataset_(dataset),
        options_(options),
        encoders_(encoders),
        piece_(piece),
        shape_(piece.shape),
        images_(encoders, shape_) {}

  void make() {
    for (int64_t i = 0; i < piece_.count; ++i) add_sample(i);
    images_.flush();
  }

 private:
  void add_sample(int64_t i) {
    const int64_t index = piece_.first + i;
    const SampleInfo& info = dataset_.info(index);
    const Sample sample = dataset_.read(index);
    add_masks(i, sample);
    images_.add(fill_hole(options_.reference, sample.image, sample.mask),
                info.id,
                [this, i](const float* mean, const float*) {
                  std::copy_n(mean, shape_.latent(), &piece_.hole[at(i, shape_.latent())]);
                });

    std::vector<int64_t> unpainted;
    std::vector<Image> swatches;
    for (int64_t k = 0; k < shape_.recolorings; ++k) {
      const auto reference =
          draw_reference(options_.reference, options_.seed, info.stable_id, k, info.color);
      const int64_t row = i * shape_.recolorings + k;
      std::copy_n(reference.color.begin(), 3, &piece_.color[at(row, 3)]);
      swatches.push_back(render_swatch(
          options_.reference,
          reference.color,
          encoders_.swatch_size,
          RandomStream(options_.seed, Purpose::kSwatch, static_cast<uint64_t>(k), info.stable_id)));
      if (reference.own || options_.reference.target == "original")
        unpainted.push_back(row);
      else
        add_target({row}, dataset_.repainted(index, sample, reference.color), info.id);
    }
    // The photo itself is encoded once, however many references ask for it.
    if (!unpainted.empty()) add_target(std::move(unpainted), sample.image, info.id);
    add_embeddings(i, swatches, info.id);
  }

  void add_masks(int64_t i, const Sample& sample) {
    const int64_t scale = encoders_.downscale, width = dataset_.width();
    const Mask hole = hole_mask(options_.reference, sample.mask);
    float* mask = &piece_.mask[at(i, shape_.plane())];
    for (int64_t y = 0; y < shape_.height; ++y)
      for (int64_t x = 0; x < shape_.width; ++x)
        mask[y * shape_.width + x] =
            hole.pixels[at(y * scale, width) + static_cast<size_t>(x * scale)] > 127 ? 1 : 0;
    float* core = &piece_.core[at(i, shape_.plane())];
    block_means(sample.core.pixels.data(), dataset_.height(), width, 1, scale, core);
    std::for_each(core, core + shape_.plane(), [](float& value) { value /= 255.0f; });
  }

  void add_target(std::vector<int64_t> rows, Image target, const std::string& photo) {
    std::vector<float> rgb(static_cast<size_t>(shape_.plane() * 3));
    block_means(
        target.pixels.data(), target.height, target.width, 3, encoders_.downscale, rgb.data());
    for (float& value : rgb) value /= 255.0f;
    images_.add(
        std::move(target),
        photo,
        [this, rows = std::move(rows), rgb = std::move(rgb)](const float* mean,
                                                             const float* deviation) {
          for (const int64_t row : rows) {
            std::copy_n(mean, shape_.latent(), &piece_.target_mean[at(row, shape_.latent())]);
            std::copy_n(
                deviation, shape_.latent(), &piece_.target_deviation[at(row, shape_.latent())]);
            piece_.fit.add(mean, rgb.data(), shape_.plane());
          }
        });
  }

  void add_embeddings(int64_t i, const std::vector<Image>& swatches, const std::string& photo) {
    if (shape_.embedding() == 0) return;
    float* embeddings = &piece_.embedding[at(i, shape_.recolorings * shape_.embedding())];
    encoders_.encode_references(swatches, embeddings);
    const auto finite = [](float value) { return std::isfinite(value); };
    if (!std::all_of(embeddings, embeddings + shape_.recolorings * shape_.embedding(), finite))
      throw InputError("the reference embeddings of photo " + photo + " are not finite");
  }

  static size_t at(int64_t row, int64_t size) {
    return static_cast<size_t>(row * size);
  }

  const Dataset& dataset_;
  const LatentCacheOptions& options_;
  const Encoders& encoders_;
  LatentPiece& piece_;
  const LatentShape& shape_;
  ImageEncoder images_;
};

}  // namespace

LatentPiece encode_piece(const Dataset& dataset,
                         const LatentCacheOptions& options,
                         const Encoders& encoders,
                         const LatentShape& shape,
                         int64_t first,
                         int64_t count) {
  LatentPiece piece(shape, first, count);
  PieceMaker(dataset, options, encoders, piece).make();
  return piece;
}

}  // namespace limewash::data
