// Measures docs/colour.md's tables again and draws its pictures:
//   color_study ROOMS FOLDER
// writes FOLDER/colour_recoloring.png and FOLDER/colour_holes.png, and prints Markdown.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>

#include "data/recolor.h"
#include "tests/data/color_study.h"

namespace {

using namespace limewash::data;

constexpr int64_t kSize = 128;

void print_recolorings(uint64_t rooms) {
  std::printf(
      "| method | to another paint | to a random colour | deep in the wall | at its edge |\n"
      "|---|---|---|---|---|\n");
  const std::pair<const char*, study::RecolorMethod> methods[] = {
      {"ratio in linear light", recolor_linear_ratio}, {"shift in Lab", recolor_lab_shift}};
  for (const auto& [name, method] : methods) {
    const auto paint = study::recolor_error(method, rooms, kSize, false);
    const auto random = study::recolor_error(method, rooms, kSize, true);
    std::printf("| %s | %.2f | %.2f | %.2f | %.2f |\n",
                name,
                paint.wall,
                random.wall,
                paint.deep,
                paint.edge);
  }
}

void print_holes(uint64_t rooms) {
  std::printf(
      "\n| hole | margin | mask | R2 of L | R2 of a | R2 of b | dE76 left | with the ring: L | a | "
      "b "
      "| light | light, pixels | light, edge "
      "|\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const char* hole : {"empty", "shading"})
    for (const int64_t margin : {0, 2, 4})
      for (const int64_t error : {0, 2, -2}) {
        ReferenceOptions options;
        options.hole = hole;
        options.hole_margin = margin;
        const auto inside = study::leak(options, error, false, rooms, kSize);
        const auto around = study::leak(options, error, true, rooms, kSize);
        const auto light = study::kept_light(options, error, rooms, kSize);
        std::printf(
            "| %s | %d | %+d | %.3f | %.3f | %.3f | %.1f of %.1f | %.3f | %.3f | %.3f | %.3f | "
            "%.3f "
            "| %.3f |\n",
            hole,
            static_cast<int>(margin),
            static_cast<int>(error),
            inside.r2_lightness,
            inside.r2_a,
            inside.r2_b,
            inside.error,
            inside.error_of_mean,
            around.r2_lightness,
            around.r2_a,
            around.r2_b,
            light.low_pass,
            light.pixels,
            light.edge);
        std::fflush(stdout);
      }
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 3) {
    std::fprintf(stderr, "usage: color_study ROOMS FOLDER\n");
    return 2;
  }
  const auto rooms = std::strtoull(arguments[1], nullptr, 10);
  if (rooms < 10) {
    std::fprintf(stderr, "color_study: '%s' rooms; expected at least 10\n", arguments[1]);
    return 2;
  }
  const std::string folder = arguments[2];
  study::draw_recolorings(folder + "/colour_recoloring.png");
  study::draw_holes(folder + "/colour_holes.png");
  print_recolorings(rooms);
  print_holes(rooms);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "color_study: %s\n", error.what());
  return 1;
}
