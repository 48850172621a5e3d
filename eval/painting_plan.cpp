#include "eval/painting_plan.h"

#include <map>

#include "eval/palette.h"

namespace limewash::eval {

std::vector<PlannedPainting> plan_paintings(
    const EvaluationOptions& options,
    int64_t photos,
    const std::function<const data::SampleInfo&(int64_t)>& info) {
  const std::vector<data::Rgb> palette = options.colors();
  const auto size = static_cast<int64_t>(palette.size());
  const int64_t references = options.references == 0 ? size : options.references;
  std::vector<PlannedPainting> paintings;
  for (int64_t photo = 0; photo < photos; ++photo) {
    const data::SampleInfo& sample = info(photo);
    if (options.own_color) {
      paintings.push_back({photo, sample.color, true, sample.id + color_text(sample.color)});
    }
    for (int64_t j = 0; j < references; ++j) {
      const data::Rgb& color = palette[(photo * references + j) % size];
      paintings.push_back({photo, color, false, sample.id + color_text(color)});
    }
  }
  return paintings;
}

std::vector<std::vector<int64_t>> cut_batches(const std::vector<PlannedPainting>& paintings,
                                              int64_t batch,
                                              const std::function<int64_t(int64_t)>& size_of) {
  std::map<int64_t, std::vector<std::vector<int64_t>>> by_size;
  for (int64_t i = 0; i < static_cast<int64_t>(paintings.size()); ++i) {
    auto& batches = by_size[size_of(paintings[i].photo)];
    if (batches.empty() || static_cast<int64_t>(batches.back().size()) == batch) {
      batches.emplace_back();
    }
    batches.back().push_back(i);
  }
  std::vector<std::vector<int64_t>> result;
  for (auto& [size, batches] : by_size) result.insert(result.end(), batches.begin(), batches.end());
  return result;
}

std::vector<int64_t> shuffle_references(const std::vector<PlannedPainting>& paintings) {
  constexpr double kClearlyAnother = 10.0;
  const auto size = static_cast<int64_t>(paintings.size());
  std::vector<int64_t> result(paintings.size(), -1);
  for (int64_t i = 0; i < size; ++i) {
    const data::Lab own = data::rgb_to_lab(paintings[i].asked);
    for (int64_t step = 0; step < size; ++step) {
      const int64_t other = (i + size / 2 + step) % size;
      if (data::delta_e_2000(own, data::rgb_to_lab(paintings[other].asked)) < kClearlyAnother)
        continue;
      result[i] = other;
      break;
    }
  }
  return result;
}

std::vector<int64_t> pick_for_grid(const std::vector<PlannedPainting>& paintings, int64_t photos) {
  std::vector<int64_t> picked;
  for (int64_t i = 0; i < static_cast<int64_t>(paintings.size()); ++i) {
    const PlannedPainting& painting = paintings[i];
    const bool new_photo = picked.empty() || paintings[picked.back()].photo != painting.photo;
    if (new_photo) {
      if (static_cast<int64_t>(picked.size()) == photos) break;
      picked.push_back(i);
    } else if (paintings[picked.back()].own) {
      picked.back() = i;
    }
  }
  return picked;
}

}  // namespace limewash::eval
