#include "data/room.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "data/room_layout.h"
#include "data/room_light.h"
#include "data/room_material.h"
#include "data/room_raster.h"
#include "data/room_scene.h"
#include "runtime/random.h"

namespace limewash::data {
namespace {

using namespace rooms;

constexpr int64_t kSamples = 4;  // along each side of a pixel
constexpr int64_t kDraftSize = 64;
// Tighter than what is promised of the picture itself, since a draft counts coarsely.
constexpr float kLeastWall = 0.15f, kMostWall = 0.80f;
constexpr int kMaxDrafts = 64;

/// Rooms that are nearly all wall or hardly show any are drawn again, from the same stream.
Scene draw_usable_scene(RandomStream& stream) {
  Scene scene;
  for (int draft = 0; draft < kMaxDrafts; ++draft) {
    scene = draw_scene(stream);
    const float share = wall_share(rasterize(scene, kDraftSize, 1));
    if (share >= kLeastWall && share <= kMostWall) break;
  }
  return scene;
}

/// Above `knee`, `value` approaches knee + room.
float roll_off(float value, float knee, float room) {
  if (value <= knee) return value;
  return knee + room * (1 - std::exp(-(value - knee) / room));
}

float median(std::vector<float>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

float luminance(const Linear& color) {
  return 0.2126f * color[0] + 0.7152f * color[1] + 0.0722f * color[2];
}

/// Turns a point of the picture into a point of a surface.
class Viewer {
 public:
  Viewer(const Scene& scene, int64_t size) : scene_(scene), light_(scene), size_(size) {
    pixel_ = 1 / (scene.camera.focal * static_cast<float>(size));
  }

  /// What a wall receives, or what any other surface sends.
  Linear at(int64_t row, int64_t column, uint16_t id) const {
    if (id >= kFirstFace) return face(scene_.faces[id - kFirstFace], row, column);
    const auto surface = static_cast<Surface>(id);
    const Shell& shell = scene_.shell;
    switch (surface) {
      case kBack:
        return light_.on_shell(surface, hit(Axis::kZ, shell.depth, row, column));
      case kLeft:
        return light_.on_shell(surface, hit(Axis::kX, shell.left, row, column));
      case kRight:
        return light_.on_shell(surface, hit(Axis::kX, shell.right, row, column));
      case kCeiling:
        return level(surface, scene_.ceiling, shell.height, row, column);
      default:
        return level(surface, scene_.floor, 0, row, column);
    }
  }

 private:
  /// Where the ray of a pixel's middle meets a plane; points past the room's edges are pulled back,
  /// since a surface may cover a corner of a pixel only.
  Position hit(Axis axis, float position, int64_t row, int64_t column) const {
    const Camera& camera = scene_.camera;
    const float size = static_cast<float>(size_);
    const float x =
        ((static_cast<float>(column) + 0.5f) / size - camera.vanishing_x) / camera.focal;
    const float y = (camera.vanishing_y - (static_cast<float>(row) + 0.5f) / size) / camera.focal;
    const float farthest = scene_.shell.depth;
    float z = position;
    if (axis == Axis::kX) z = x * position > 0 ? position / x : farthest;
    if (axis == Axis::kY) {
      const float rise = position - camera.eye;
      z = y * rise > 0 ? rise / y : farthest;
    }
    z = std::clamp(z, 0.2f, farthest);
    return {
        axis == Axis::kX ? position : x * z, axis == Axis::kY ? position : camera.eye + y * z, z};
  }

  /// In-plane coordinates of a point and the metres that a pixel covers there.
  SurfacePoint on_plane(Axis axis, float position, const Position& point) const {
    const float across = point[2] * pixel_;
    switch (axis) {
      case Axis::kX:
        return {{point[2], point[1]}, {}, {across * point[2] / std::abs(position), across}};
      case Axis::kY:
        return {{point[0], point[2]},
                {},
                {across, across * point[2] / std::abs(position - scene_.camera.eye)}};
      default:
        return {{point[0], point[1]}, {}, {across, across}};
    }
  }

  Linear level(
      Surface surface, const Material& material, float height, int64_t row, int64_t column) const {
    const Position point = hit(Axis::kY, height, row, column);
    const Linear color = surface_color(material, on_plane(Axis::kY, height, point));
    return times(color, light_.on_shell(surface, point));
  }

  Linear face(const Face& face, int64_t row, int64_t column) const {
    const Position point = hit(face.axis, face.position, row, column);
    SurfacePoint on = on_plane(face.axis, face.position, point);
    for (int i = 0; i < 2; ++i) {
      const float extent = std::max(face.high[i] - face.low[i], 1e-4f);
      on.metres[i] = std::clamp(on.metres[i], face.low[i], face.high[i]);
      on.share[i] = (on.metres[i] - face.low[i]) / extent;
    }
    const Linear color = surface_color(face.material, on);
    if (shines(face.material.texture)) return color;
    return times(color, light_.on_face(face.axis, face.sign, point));
  }

  static Linear times(const Linear& a, const Linear& b) {
    return {a[0] * b[0], a[1] * b[1], a[2] * b[2]};
  }

  const Scene& scene_;
  RoomLight light_;
  int64_t size_;
  float pixel_;  // metres that a pixel covers at one metre
};

/// The share of each surface in one pixel, at most kSamples^2 of them.
struct Coverage {
  std::array<uint16_t, kSamples * kSamples> ids{};
  std::array<uint16_t, kSamples * kSamples> counts{};
  int size = 0;

  Coverage(const IdBuffer& buffer, int64_t row, int64_t column) {
    const int64_t side = buffer.size * kSamples;
    const uint16_t* first = &buffer.ids[static_cast<size_t>((row * side + column) * kSamples)];
    for (int64_t y = 0; y < kSamples; ++y) {
      for (int64_t x = 0; x < kSamples; ++x) add(first[y * side + x]);
    }
  }

  void add(uint16_t id) {
    int i = 0;
    while (i < size && ids[i] != id) ++i;
    if (i == size) ids[size++] = id;
    ++counts[i];
  }
};

}  // namespace

struct Room::Impl {
  uint64_t seed = 0, id = 0;
  int64_t size = 0;
  std::vector<Linear> rest;   ///< what does not change with the paint, linear
  std::vector<Linear> light;  ///< what the paint is multiplied by: light times coverage
  std::vector<float> coverage;
  std::vector<Linear> noise;  ///< added in sRGB
  Mask mask;

  void shade(const Scene& scene, const IdBuffer& buffer) {
    const Viewer viewer(scene, size);
    // Lamps and windows shine by themselves; the rest follows the exposure that normalise() sets.
    std::vector<Linear> shining(rest.size());
    for (int64_t row = 0; row < size; ++row) {
      for (int64_t column = 0; column < size; ++column) {
        const auto at = static_cast<size_t>(row * size + column);
        const Coverage covered(buffer, row, column);
        for (int i = 0; i < covered.size; ++i) {
          const uint16_t surface = covered.ids[i];
          const float share = static_cast<float>(covered.counts[i]) / (kSamples * kSamples);
          const Linear color = viewer.at(row, column, surface);
          const bool wall = is_wall(surface);
          const bool shining_face =
              surface >= kFirstFace && shines(scene.faces[surface - kFirstFace].material.texture);
          auto& into = wall ? light[at] : shining_face ? shining[at] : rest[at];
          if (wall) coverage[at] += share;
          for (int c = 0; c < 3; ++c) into[c] += share * color[c];
        }
        mask.pixels[at] = coverage[at] > 0.5f ? 255 : 0;
      }
    }
    normalise();
    for (size_t at = 0; at < rest.size(); ++at) {
      for (int c = 0; c < 3; ++c) rest[at][c] += shining[at][c];
    }
  }

  /// Scale the light on the walls to median 1 per channel over the mask, and everything else by its
  /// luminance.
  void normalise() {
    Linear medians = wall_medians();
    const float exposure = 1 / std::max(luminance(medians), 1e-6f);
    for (size_t at = 0; at < light.size(); ++at) {
      if (coverage[at] > 0) {
        for (int c = 0; c < 3; ++c) {
          light[at][c] =
              coverage[at] * roll_off(light[at][c] / (coverage[at] * medians[c]), 1.15f, 0.4f);
        }
      }
      for (int c = 0; c < 3; ++c) rest[at][c] = roll_off(rest[at][c] * exposure, 0.7f, 0.3f);
    }
    medians = wall_medians();
    for (Linear& value : light) {
      for (int c = 0; c < 3; ++c) value[c] /= medians[c];
    }
  }

  Linear wall_medians() const {
    Linear medians{1, 1, 1};
    for (size_t c = 0; c < 3; ++c) {
      std::vector<float> values;
      for (size_t at = 0; at < light.size(); ++at) {
        if (mask.pixels[at]) values.push_back(light[at][c] / coverage[at]);
      }
      if (!values.empty()) medians[c] = median(values);
    }
    return medians;
  }
};

Room::Room(uint64_t seed, uint64_t id, int64_t size) : impl_(std::make_unique<Impl>()) {
  if (size < 1 || size > 8192) throw std::invalid_argument("a room's size must be in [1, 8192]");
  RandomStream stream(seed, Purpose::kRoom, 0, id);
  const Scene scene = draw_usable_scene(stream);
  const auto pixels = static_cast<size_t>(size * size);
  impl_->seed = seed;
  impl_->id = id;
  impl_->size = size;
  impl_->rest.resize(pixels);
  impl_->light.resize(pixels);
  impl_->coverage.resize(pixels);
  impl_->mask = {size, size, std::vector<uint8_t>(pixels)};
  impl_->shade(scene, rasterize(scene, size, kSamples));
  impl_->noise.resize(pixels);
  stream.fill_normal({impl_->noise.front().data(), 3 * pixels});
  for (Linear& value : impl_->noise) {
    for (float& channel : value) channel *= scene.noise;
  }
}

Room::~Room() = default;
Room::Room(Room&&) noexcept = default;
Room& Room::operator=(Room&&) noexcept = default;

Image Room::render(const Rgb& paint) const {
  const Impl& room = *impl_;
  Image image{room.size, room.size, std::vector<uint8_t>(3 * room.rest.size())};
  const Linear color = {
      srgb_to_linear(paint[0]), srgb_to_linear(paint[1]), srgb_to_linear(paint[2])};
  for (size_t at = 0; at < room.rest.size(); ++at) {
    for (size_t c = 0; c < 3; ++c) {
      const float linear = room.rest[at][c] + room.light[at][c] * color[c];
      const float value = linear_to_srgb(linear) + room.noise[at][c];
      image.pixels[3 * at + c] = static_cast<uint8_t>(std::clamp(value, 0.0f, 1.0f) * 255 + 0.5f);
    }
  }
  return image;
}

const Mask& Room::mask() const {
  return impl_->mask;
}

const std::vector<float>& Room::coverage() const {
  return impl_->coverage;
}

Rgb Room::own_paint() const {
  return draw_paint(RandomStream(impl_->seed, Purpose::kPaint, 0, impl_->id));
}

Rgb draw_paint(RandomStream stream) {
  // Out of gamut, the colour comes back changed.
  constexpr double kTolerance = 0.5;
  while (true) {
    const float l = stream.uniform(35, 92);
    const float chroma = std::min(std::abs(stream.normal()) * 28, 65.0f);
    const float hue = stream.uniform(0, 2 * std::numbers::pi_v<float>);
    const Lab lab = {l, chroma * std::cos(hue), chroma * std::sin(hue)};
    const Rgb rgb = lab_to_rgb(lab);
    if (delta_e_76(rgb_to_lab(rgb), lab) < kTolerance) return rgb;
  }
}

}  // namespace limewash::data
