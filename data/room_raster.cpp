#include "data/room_raster.h"

#include <algorithm>
#include <cmath>

namespace limewash::data::rooms {
namespace {

constexpr float kNear = 0.25f;

struct Vertex {
  float x, y, z;
};

std::vector<Vertex> to_world(const Face& face) {
  std::vector<Vertex> vertices;
  vertices.reserve(face.outline.size());
  for (const Plane2& point : face.outline) {
    switch (face.axis) {
      case Axis::kX:
        vertices.push_back({face.position, point[1], point[0]});
        break;
      case Axis::kY:
        vertices.push_back({point[0], face.position, point[1]});
        break;
      case Axis::kZ:
        vertices.push_back({point[0], point[1], face.position});
        break;
    }
  }
  return vertices;
}

/// What lies at z >= kNear.
std::vector<Vertex> clip_near(const std::vector<Vertex>& polygon) {
  std::vector<Vertex> clipped;
  for (size_t i = 0; i < polygon.size(); ++i) {
    const Vertex& a = polygon[i];
    const Vertex& b = polygon[(i + 1) % polygon.size()];
    if (a.z >= kNear) clipped.push_back(a);
    if ((a.z >= kNear) != (b.z >= kNear)) {
      const float t = (kNear - a.z) / (b.z - a.z);
      clipped.push_back({a.x + t * (b.x - a.x), a.y + t * (b.y - a.y), kNear});
    }
  }
  return clipped;
}

/// 1/z is linear on the screen for every plane: x_step * x + y_step * y + constant.
struct InverseDepth {
  float x_step = 0, y_step = 0, constant = 0;
};

class Rasterizer {
 public:
  Rasterizer(const Scene& scene, int64_t size, int64_t samples)
      : camera_(scene.camera),
        side_(size * samples),
        focal_(scene.camera.focal * static_cast<float>(side_)),
        center_x_(scene.camera.vanishing_x * static_cast<float>(side_)),
        center_y_(scene.camera.vanishing_y * static_cast<float>(side_)),
        depth_(static_cast<size_t>(side_ * side_)) {
    buffer_.size = size;
    buffer_.samples = samples;
    buffer_.ids.resize(static_cast<size_t>(side_ * side_));
  }

  /// From inside a box, the nearest of its planes is the one with the largest 1/z.
  void fill_shell(const Shell& shell) {
    const float back = 1 / shell.depth;
    for (int64_t row = 0; row < side_; ++row) {
      const float up = (center_y_ - (static_cast<float>(row) + 0.5f)) / focal_;
      const float level = up > 0 ? up / (shell.height - camera_.eye) : up / -camera_.eye;
      const uint16_t level_id = up > 0 ? kCeiling : kFloor;
      for (int64_t column = 0; column < side_; ++column) {
        const float across = (static_cast<float>(column) + 0.5f - center_x_) / focal_;
        const float side = across > 0 ? across / shell.right : across / shell.left;
        float nearest = back;
        uint16_t id = kBack;
        if (side > nearest) {
          nearest = side;
          id = across > 0 ? kRight : kLeft;
        }
        if (level > nearest) {
          nearest = level;
          id = level_id;
        }
        const size_t at = static_cast<size_t>(row * side_ + column);
        depth_[at] = nearest;
        buffer_.ids[at] = id;
      }
    }
  }

  void fill_face(const Face& face, uint16_t id) {
    std::vector<Vertex> polygon = clip_near(to_world(face));
    if (polygon.size() < 3) return;
    float top = static_cast<float>(side_), bottom = 0;
    for (Vertex& vertex : polygon) {
      vertex.x = center_x_ + focal_ * vertex.x / vertex.z;
      vertex.y = center_y_ - focal_ * (vertex.y - camera_.eye) / vertex.z;
      top = std::min(top, vertex.y);
      bottom = std::max(bottom, vertex.y);
    }
    const InverseDepth plane = inverse_depth(face);
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(std::ceil(top - 0.5f)));
    const int64_t last =
        std::min<int64_t>(side_ - 1, static_cast<int64_t>(std::floor(bottom - 0.5f)));
    for (int64_t row = first; row <= last; ++row) fill_row(polygon, plane, row, id);
  }

  IdBuffer take() {
    return std::move(buffer_);
  }

 private:
  InverseDepth inverse_depth(const Face& face) const {
    switch (face.axis) {
      case Axis::kX: {
        const float step = 1 / (focal_ * face.position);
        return {step, 0, -center_x_ * step};
      }
      case Axis::kY: {
        const float step = -1 / (focal_ * (face.position - camera_.eye));
        return {0, step, -center_y_ * step};
      }
      case Axis::kZ:
        break;
    }
    return {0, 0, 1 / face.position};
  }

  void fill_row(const std::vector<Vertex>& polygon,
                const InverseDepth& plane,
                int64_t row,
                uint16_t id) {
    const float y = static_cast<float>(row) + 0.5f;
    float from = 1e9f, to = -1e9f;
    for (size_t i = 0; i < polygon.size(); ++i) {
      const Vertex& a = polygon[i];
      const Vertex& b = polygon[(i + 1) % polygon.size()];
      if ((a.y <= y) == (b.y <= y)) continue;
      const float x = a.x + (b.x - a.x) * (y - a.y) / (b.y - a.y);
      from = std::min(from, x);
      to = std::max(to, x);
    }
    if (from > to) return;
    const float limit = static_cast<float>(side_);
    const auto first = static_cast<int64_t>(std::ceil(std::clamp(from, 0.0f, limit) - 0.5f));
    const auto end = static_cast<int64_t>(std::ceil(std::clamp(to, 0.0f, limit) - 0.5f));
    const float row_depth = plane.y_step * y + plane.constant;
    for (int64_t column = first; column < end; ++column) {
      const float depth = row_depth + plane.x_step * (static_cast<float>(column) + 0.5f);
      const size_t at = static_cast<size_t>(row * side_ + column);
      if (depth <= depth_[at]) continue;
      depth_[at] = depth;
      buffer_.ids[at] = id;
    }
  }

  Camera camera_;
  int64_t side_;
  float focal_, center_x_, center_y_;
  std::vector<float> depth_;  // 1/z
  IdBuffer buffer_;
};

}  // namespace

IdBuffer rasterize(const Scene& scene, int64_t size, int64_t samples) {
  Rasterizer rasterizer(scene, size, samples);
  rasterizer.fill_shell(scene.shell);
  for (size_t i = 0; i < scene.faces.size(); ++i) {
    rasterizer.fill_face(scene.faces[i], static_cast<uint16_t>(kFirstFace + i));
  }
  return rasterizer.take();
}

float wall_share(const IdBuffer& buffer) {
  const auto walls = std::count_if(buffer.ids.begin(), buffer.ids.end(), is_wall);
  return static_cast<float>(walls) / static_cast<float>(buffer.ids.size());
}

}  // namespace limewash::data::rooms
