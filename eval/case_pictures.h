#pragma once
// The worst and the best paintings of an evaluation as pictures, for the report.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/color.h"
#include "data/image.h"

namespace limewash::eval {

/// How many of each end are kept.
inline constexpr size_t kCasePictures = 3;

/// Keeps the pictures with the highest and the lowest values of a figure, as many as
/// `kCasePictures` of each, whatever number is offered.
class CaseKeeper {
 public:
  void offer(int64_t painting, double value, const data::Image& picture);
  /// Move what was kept into `pictures`, by painting; what is there already stays.
  void move_into(std::map<int64_t, data::Image>& pictures);

 private:
  struct Kept {
    double value = 0;
    int64_t painting = 0;
    data::Image picture;
  };
  std::vector<Kept> lowest_, highest_;
};

/// Where the picture of a painting, by its place in metrics.json's records, lies in the folder of
/// its evaluation: cases/painting-000017.jpg.
std::filesystem::path case_picture_path(int64_t painting);

/// Source, asked colour, output and target side by side, as a JPEG of at most 800 x 200 pixels.
std::string case_strip(const data::Image& source,
                       const data::Rgb& asked,
                       const data::Image& output,
                       const data::Image& target);

}  // namespace limewash::eval
