// Making a piece of the latent cache: references are drawn, targets painted, variants cut, holes
// filled, all of it encoded.

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "data/crop_scale.h"
#include "data/latent_piece.h"
#include "data/sample_references.h"
#include "data/variant.h"
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
             const SwatchBank* bank,
             LatentPiece& piece)
      : dataset_(dataset),
        options_(options),
        encoders_(encoders),
        references_(dataset, options, bank),
        piece_(piece),
        shape_(piece.shape),
        images_(encoders, shape_) {}

  void make(PieceSamples samples) {
    for (int64_t i = 0; i < piece_.count; ++i) add_sample(i, samples[static_cast<size_t>(i)]);
    images_.flush();
  }

 private:
  /// A sample in all its variants.
  void add_sample(int64_t i, int64_t index) {
    const SampleInfo& info = dataset_.info(index);
    const Sample sample = dataset_.read(index);
    const Rgb own = own_color(options_.reference, options_.seed, info, sample);
    std::vector<AskedReference> asked;
    std::vector<Image> targets, pictures;
    for (int64_t k = 0; k < shape_.recolorings; ++k) {
      asked.push_back(references_.ask(index, own, k));
      const AskedReference& reference = asked.back();
      targets.push_back(references_.target(index, sample, own, reference));
      if (shape_.embedding() > 0)
        pictures.push_back(references_.picture(
            index, sample, k, reference, targets.back(), encoders_.swatch_size));
      const int64_t row = i * shape_.recolorings + k;
      std::copy_n(reference.color.begin(), 3, &piece_.color[at(row, 3)]);
      piece_.swatch[static_cast<size_t>(row)] =
          static_cast<uint64_t>(std::max<int64_t>(reference.swatch, 0));
    }
    for (int64_t v = 0; v < shape_.variants; ++v) {
      const Variant variant = draw_variant(options_.seed, info.stable_id, v, sample.core);
      add_view(i * shape_.variants + v, variant, variant.apply(sample), asked, targets, info.id);
    }
    add_embeddings(i, pictures, info.id);
  }

  /// A sample in one variant: row `seen` of all samples' variants.
  void add_view(int64_t seen,
                const Variant& variant,
                const Sample& sample,
                const std::vector<AskedReference>& asked,
                const std::vector<Image>& targets,
                const std::string& photo) {
    add_masks(seen, sample);
    images_.add(fill_hole(options_.reference, sample.image, sample.mask),
                photo,
                [this, seen](const float* mean, const float*) {
                  std::copy_n(mean, shape_.latent(), &piece_.hole[at(seen, shape_.latent())]);
                });
    std::vector<int64_t> unpainted;
    for (size_t k = 0; k < asked.size(); ++k) {
      const int64_t row = seen * shape_.recolorings + static_cast<int64_t>(k);
      if (asked[k].unpainted)
        unpainted.push_back(row);
      else
        add_target({row}, variant.apply(targets[k]), photo);
    }
    // The photo itself is encoded once, however many references ask for it.
    if (!unpainted.empty()) add_target(std::move(unpainted), sample.image, photo);
  }

  void add_masks(int64_t seen, const Sample& sample) {
    const int64_t scale = encoders_.downscale, width = sample.mask.width;
    const Mask hole = hole_mask(options_.reference, sample.mask);
    float* mask = &piece_.mask[at(seen, shape_.plane())];
    for (int64_t y = 0; y < shape_.height; ++y)
      for (int64_t x = 0; x < shape_.width; ++x)
        mask[y * shape_.width + x] =
            hole.pixels[at(y * scale, width) + static_cast<size_t>(x * scale)] > 127 ? 1 : 0;
    float* core = &piece_.core[at(seen, shape_.plane())];
    block_means(sample.core.pixels.data(), sample.core.height, width, 1, scale, core);
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

  void add_embeddings(int64_t i, const std::vector<Image>& pictures, const std::string& photo) {
    if (pictures.empty()) return;
    float* embeddings = &piece_.embedding[at(i, shape_.recolorings * shape_.embedding())];
    encoders_.encode_references(pictures, embeddings);
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
  const SampleReferences references_;
  LatentPiece& piece_;
  const LatentShape& shape_;
  ImageEncoder images_;
};

}  // namespace

LatentPiece encode_piece(const Dataset& dataset,
                         const LatentCacheOptions& options,
                         const Encoders& encoders,
                         const LatentShape& shape,
                         const SwatchBank* bank,
                         PieceSamples samples) {
  LatentPiece piece(shape, static_cast<int64_t>(samples.size()));
  PieceMaker(dataset, options, encoders, bank, piece).make(samples);
  return piece;
}

}  // namespace limewash::data
