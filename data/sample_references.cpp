#include "data/sample_references.h"

#include <optional>
#include <utility>

#include "data/reference_crop.h"
#include "runtime/random.h"

namespace limewash::data {

SampleReferences::SampleReferences(const Dataset& dataset,
                                   const LatentCacheOptions& options,
                                   const SwatchBank* bank)
    : dataset_(dataset), options_(options), bank_(bank) {}

AskedReference SampleReferences::ask(int64_t index, const Rgb& own, int64_t k) const {
  const uint64_t id = dataset_.info(index).stable_id;
  const ReferenceOptions& options = options_.reference;
  AskedReference asked;
  Reference drawn;
  if (bank_ != nullptr) {
    const auto [reference, swatch] =
        draw_bank_reference(options, *bank_, options_.seed, id, k, own);
    drawn = reference;
    asked.swatch = swatch;
  } else {
    drawn = draw_reference(options, options_.seed, id, k, own);
  }
  asked.color = drawn.color;
  asked.unpainted = drawn.own || options.target == "original";
  if (options.image == "exemplar" && drawn.random && dataset_.size() > 1) {
    RandomStream stream(options_.seed, Purpose::kReferenceCrop, static_cast<uint64_t>(k), id);
    const auto others = static_cast<uint64_t>(dataset_.size() - 1);
    asked.exemplar = static_cast<int64_t>(stream.below(others));
    if (asked.exemplar >= index) ++asked.exemplar;
    asked.color = dataset_.info(asked.exemplar).color;
  }
  return asked;
}

Image SampleReferences::target(int64_t index,
                               const Sample& sample,
                               const Rgb& own,
                               const AskedReference& asked) const {
  if (asked.unpainted) return sample.image;
  // A room's light has the median 1 on its walls: the paint is the colour that is seen.
  if (dataset_.info(index).room) return dataset_.repainted(index, sample, asked.color);
  return recolor(sample.image, sample.mask, own, asked.color);
}

Image SampleReferences::picture(int64_t index,
                                const Sample& sample,
                                int64_t k,
                                const AskedReference& asked,
                                const Image& target,
                                int64_t size) const {
  const ReferenceOptions& options = options_.reference;
  const uint64_t id = dataset_.info(index).stable_id, number = static_cast<uint64_t>(k);
  std::optional<Image> cut;
  if (options.image != "swatch") {
    RandomStream stream(options_.seed, Purpose::kReferenceCrop, number, id);
    stream.next_u64();  // where `ask` drew the exemplar
    if (options.image == "wall_crop") {
      cut = cut_wall(target, sample.core, asked.color, size, stream);
    } else if (asked.exemplar >= 0) {
      const Sample other = dataset_.read(asked.exemplar);
      cut = cut_exemplar(other.image, other.core, asked.color, size, stream);
    } else {
      cut = cut_exemplar(target, sample.core, asked.color, size, stream);
    }
  }
  if (cut) return *std::move(cut);
  return render_swatch(
      options, asked.color, size, RandomStream(options_.seed, Purpose::kSwatch, number, id));
}

}  // namespace limewash::data
