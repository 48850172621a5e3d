#pragma once
// How MLflow's page finds the images of a run: by their file names below
// images/, each with a thumbnail.

#include <cstdint>
#include <filesystem>
#include <string>

namespace limewash::tracking {

struct StepImagePaths {
  std::string image, thumbnail;
};

/// images/KEY+step+STEP+timestamp+MS+IDENTITY.png and
/// ...IDENTITY+compressed.png. In KEY "/" becomes "~" and what the page cannot
/// parse becomes "_". `identity` keeps images apart that share all else.
StepImagePaths step_image_paths(const std::string& key,
                                int64_t step,
                                int64_t time_ms,
                                const std::string& identity);

/// The image as PNG with no side longer than `max_side`. Throws InputError when
/// it is no image.
std::string make_thumbnail(const std::filesystem::path& image, int max_side = 256);

}  // namespace limewash::tracking
