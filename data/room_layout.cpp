#include "data/room_layout.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "data/room_objects.h"

namespace limewash::data::rooms {
namespace {

constexpr int kTries = 14;

class Furnisher {
 public:
  Furnisher(Scene& scene, RandomStream& stream)
      : scene_(scene), stream_(stream), palette_(draw_palette(stream)) {}

  void furnish() {
    shell_finish();
    // The camera sees most of the back wall, so windows are as likely there as on both sides
    // together.
    window_wall_ = chance(stream_, 0.5f) ? kBack : chance(stream_, 0.5f) ? kLeft : kRight;
    const float kind = stream_.uniform();
    if (kind < 0.5f) {
      living_room();
    } else if (kind < 0.7f) {
      bedroom();
    } else if (kind < 0.85f) {
      dining_room();
    } else {
      hall();
    }
    lights();
  }

 private:
  struct Span {
    float low, high;
  };

  Frame on(Surface wall) {
    return {scene_, wall};
  }

  /// The part of a wall that things may take.
  Span span(Surface wall) const {
    const Shell& shell = scene_.shell;
    if (wall == kBack) return {shell.left + 0.08f, shell.right - 0.08f};
    // Side walls are in the picture only from some distance on.
    const float x = wall == kLeft ? -shell.left : shell.right;
    const float margin = wall == kLeft ? scene_.camera.vanishing_x : 1 - scene_.camera.vanishing_x;
    const float enters = scene_.camera.focal * x / margin;
    return {std::max(0.75f, 0.85f * enters), shell.depth - 0.12f};
  }

  bool free(Surface wall, const Box& box, float margin) const {
    return std::none_of(taken_[wall].begin(), taken_[wall].end(), [&](const Box& other) {
      return box.u0 < other.u1 + margin && other.u0 < box.u1 + margin &&
             box.y0 < other.y1 + margin && other.y0 < box.y1 + margin;
    });
  }

  /// Reserve a place on a wall, or nothing when none was found.
  std::optional<Box> place(Surface wall, float width, float y0, float y1, float depth) {
    const Span limits = span(wall);
    if (limits.high - limits.low < width) return {};
    for (int i = 0; i < kTries; ++i) {
      const float u = stream_.uniform(limits.low, limits.high - width);
      const Box box{u, u + width, y0, y1, 0, depth};
      if (!free(wall, box, 0.07f)) continue;
      take(wall, box);
      return box;
    }
    return {};
  }

  void take(Surface wall, const Box& box) {
    taken_[wall].push_back(box);
    if (wall == kBack || box.d1 < 0.25f) return;
    // What stands deep at a side wall near the corner also takes that part of the back wall.
    const Shell& shell = scene_.shell;
    if (shell.depth - box.u1 > 0.9f) return;
    const float low = wall == kLeft ? shell.left : shell.right - box.d1;
    taken_[kBack].push_back({low, low + box.d1, 0, box.y1, 0, 0.1f});
  }

  Surface side() {
    return chance(stream_, 0.5f) ? kLeft : kRight;
  }

  void shell_finish() {
    const float floor = stream_.uniform();
    Material& material = scene_.floor;
    const uint32_t key = stream_.next_u32();
    if (floor < 0.6f) {
      material = textured(Texture::kPlanks, draw_wood(stream_));
      material.size = stream_.uniform(0.11f, 0.22f);
      material.amount = stream_.uniform(0.05f, 0.2f);
    } else if (floor < 0.85f) {
      material = textured(Texture::kTiles, draw_neutral(stream_, 45, 88));
      material.size = stream_.uniform(0.3f, 0.65f);
      material.amount = stream_.uniform(0.01f, 0.06f);
      material.accent = scaled(material.color, stream_.uniform(0.55f, 0.8f));
    } else {
      material = plain(draw_neutral(stream_, 40, 80));
    }
    material.key = key;
    scene_.ceiling = plain(draw_neutral(stream_, 90, 97));

    const Shell& shell = scene_.shell;
    const float skirting = stream_.uniform(0.07f, 0.15f), proud = 0.016f;
    const Material trim =
        plain(chance(stream_, 0.8f) ? palette_.trim : scaled(palette_.wood, 0.9f));
    const bool crown = chance(stream_, 0.3f);
    const float crown_height = stream_.uniform(0.06f, 0.12f);
    for (const Surface wall : {kBack, kLeft, kRight}) {
      const float u0 = wall == kBack ? shell.left : 0.1f;
      const float u1 = wall == kBack ? shell.right : shell.depth;
      on(wall).box({u0, u1, 0, skirting, 0, proud}, trim);
      if (crown) {
        on(wall).box({u0, u1, shell.height - crown_height, shell.height, 0, 0.07f},
                     plain(palette_.trim));
      }
    }
    if (chance(stream_, 0.15f)) {
      scene_.panels = {whole(stream_, 2, 5), skirting + 0.15f, shell.height - 0.3f};
    }
  }

  void living_room() {
    const bool at_back = chance(stream_, 0.72f);
    const Surface wall = at_back ? kBack : side();
    add_openings();
    const float width = stream_.uniform(1.5f, std::min(2.4f, back_width() - 1.0f));
    const auto sofa = place(wall, width, 0, 0.95f, kSofaDepth);
    if (sofa) {
      Frame frame = on(wall);
      add_sofa(frame, stream_, palette_, sofa->u0, width);
      pictures_over(wall, *sofa, 1.12f);
    }
    if (sofa && at_back) {
      const float middle = 0.5f * (sofa->u0 + sofa->u1);
      if (chance(stream_, 0.65f)) rug(middle, kSofaDepth - 0.25f);
      if (chance(stream_, 0.55f)) {
        const float half = stream_.uniform(0.4f, 0.6f), d = kSofaDepth + 0.4f;
        Frame frame = on(kBack);
        add_table(frame,
                  palette_,
                  {middle - half,
                   middle + half,
                   0,
                   stream_.uniform(0.34f, 0.44f),
                   d,
                   d + stream_.uniform(0.5f, 0.65f)});
      }
    } else if (chance(stream_, 0.8f)) {
      media_wall();
    }
    if (chance(stream_, 0.35f)) armchair();
    corner_things(0.65f, 0.5f);
    if (chance(stream_, 0.3f)) shelf();
    loose_pictures(whole(stream_, 0, 2));
  }

  void bedroom() {
    const float width = stream_.uniform(1.35f, 1.75f);
    const Span limits = span(kBack);
    const float u = stream_.uniform(limits.low + 0.4f,
                                    std::max(limits.low + 0.41f, limits.high - width - 0.4f));
    take(kBack, {u - 0.06f, u + width + 0.06f, 0, 1.25f, 0, kBedDepth});
    Frame frame = on(kBack);
    add_openings();
    if (chance(stream_, 0.6f)) rug(u + 0.5f * width, 0.9f);
    add_bed(frame, stream_, palette_, u, width);
    for (const float from : {u - 0.52f, u + width + 0.1f}) {
      const Box stand{from, from + 0.42f, 0, 0.5f, 0.02f, 0.42f};
      if (stand.u0 < limits.low || stand.u1 > limits.high || !free(kBack, stand, 0.02f)) continue;
      if (!chance(stream_, 0.8f)) continue;
      take(kBack, {stand.u0, stand.u1, 0, 1.05f, 0, 0.42f});
      add_sideboard(frame, stream_, palette_, stand);
      if (chance(stream_, 0.75f)) {
        add_table_lamp(frame, stream_, palette_, from + 0.21f, 0.5f, 0.22f);
      }
    }
    pictures_over(kBack, {u, u + width, 0, 1.2f, 0, 1}, 1.38f);
    if (chance(stream_, 0.45f)) shelf_unit(side());
    corner_things(0.15f, 0.4f);
  }

  void dining_room() {
    add_openings();
    if (chance(stream_, 0.75f)) media_wall();
    const Shell& shell = scene_.shell;
    const float half = stream_.uniform(0.55f, 0.85f), deep = stream_.uniform(0.75f, 0.95f);
    const float limit = std::max(0.05f, 0.5f * (shell.right - shell.left) - half - 0.7f);
    const float middle = 0.5f * (shell.left + shell.right) + stream_.uniform(-limit, limit);
    const float d = stream_.uniform(0.95f, std::max(1.0f, shell.depth - deep - 1.5f));
    Frame frame = on(kBack);
    if (chance(stream_, 0.4f)) {
      add_rug(frame,
              stream_,
              palette_,
              {middle - half - 0.4f,
               middle + half + 0.4f,
               0,
               0,
               d - 0.4f,
               std::min(d + deep + 0.4f, shell.depth - 0.4f)});
    }
    const float height = stream_.uniform(0.72f, 0.77f);
    add_table(frame, palette_, {middle - half, middle + half, 0, height, d, d + deep});
    for (const float shift : {-0.55f, 0.1f}) {
      add_chair(frame, palette_, middle + half * shift, d - 0.35f);
    }
    if (chance(stream_, 0.7f)) {
      add_vase(frame,
               stream_,
               palette_.accent,
               middle + stream_.uniform(-0.3f, 0.3f),
               height,
               d + 0.5f * deep);
    }
    if (chance(stream_, 0.65f)) add_pendant(frame, stream_, palette_, middle, d + 0.5f * deep);
    corner_things(0.2f, 0.6f);
    loose_pictures(whole(stream_, 1, 3));
  }

  void hall() {
    add_openings();
    media_wall();
    if (chance(stream_, 0.5f)) shelf_unit(side());
    if (chance(stream_, 0.5f)) armchair();
    if (chance(stream_, 0.5f)) rug(stream_.uniform(-0.5f, 0.5f), 0.9f);
    corner_things(0.6f, 0.8f);
    if (chance(stream_, 0.4f)) shelf();
    loose_pictures(whole(stream_, 1, 3));
  }

  float back_width() const {
    return scene_.shell.right - scene_.shell.left;
  }

  void add_openings() {
    if (chance(stream_, 0.8f)) window(window_wall_);
    if (chance(stream_, 0.25f)) window(window_wall_);
    if (chance(stream_, 0.4f)) {
      const Surface wall = chance(stream_, 0.4f) ? kBack : side();
      const auto box =
          place(wall, stream_.uniform(0.88f, 1.02f), 0, stream_.uniform(2.02f, 2.14f), 0.1f);
      if (box) {
        Frame frame = on(wall);
        add_door(frame, stream_, palette_, *box);
      }
    }
  }

  void window(Surface wall) {
    const float bottom = stream_.uniform(0.85f, 1.1f);
    const float top = std::min(bottom + stream_.uniform(0.85f, 1.35f), scene_.shell.height - 0.28f);
    const auto box = place(wall, stream_.uniform(0.7f, 1.55f), bottom, top, 0.15f);
    if (!box) return;
    Frame frame = on(wall);
    add_window(frame, stream_, palette_, *box);
    windows_.push_back({wall, *box});
    // Room for curtains.
    take(wall, {box->u0 - 0.2f, box->u1 + 0.2f, bottom, top + 0.1f, 0, 0.15f});
  }

  void pictures_over(Surface wall, const Box& below, float y) {
    if (!chance(stream_, 0.7f)) return;
    const float width = below.u1 - below.u0;
    const int count = whole(stream_, 1, width > 1.4f ? 3 : 2);
    const float gap = 0.1f;
    const float each = count == 1 ? stream_.uniform(0.5f, std::min(1.2f, width))
                                  : stream_.uniform(0.6f, 0.8f) * width / static_cast<float>(count);
    const float height =
        std::min(each * stream_.uniform(0.65f, 1.35f), scene_.shell.height - y - 0.3f);
    const float total = static_cast<float>(count) * (each + gap) - gap;
    float u = 0.5f * (below.u0 + below.u1) - 0.5f * total;
    y += stream_.uniform(0.0f, 0.12f);
    Frame frame = on(wall);
    for (int i = 0; i < count; ++i, u += each + gap) {
      const Box box{u, u + each, y, y + height, 0, 0.05f};
      if (!free(wall, box, 0.04f)) continue;
      take(wall, box);
      add_picture(frame, stream_, palette_, box);
    }
  }

  void loose_pictures(int count) {
    for (int i = 0; i < count; ++i) {
      const Surface wall = chance(stream_, 0.5f) ? kBack : side();
      const float width = stream_.uniform(0.35f, 0.8f);
      const float y = stream_.uniform(1.25f, 1.45f);
      const float height =
          std::min(width * stream_.uniform(0.7f, 1.4f), scene_.shell.height - y - 0.3f);
      const auto box = place(wall, width, y, y + height, 0.05f);
      if (!box) continue;
      Frame frame = on(wall);
      if (chance(stream_, 0.15f)) {
        add_mirror(frame, palette_, *box);
      } else {
        add_picture(frame, stream_, palette_, *box);
      }
    }
  }

  void media_wall() {
    const float width = stream_.uniform(1.0f, std::min(1.9f, back_width() - 0.8f));
    const float height = stream_.uniform(0.45f, 0.85f);
    const auto box = place(kBack, width, 0, height, 0.42f);
    if (!box) return;
    Frame frame = on(kBack);
    add_sideboard(frame, stream_, palette_, {box->u0, box->u1, 0, height, 0.02f, 0.42f});
    if (height < 0.65f && chance(stream_, 0.5f)) {
      const float screen = std::min(width * 0.85f, 1.3f), middle = 0.5f * (box->u0 + box->u1);
      const Box television{middle - screen / 2,
                           middle + screen / 2,
                           height + 0.18f,
                           height + 0.18f + 0.58f * screen,
                           0,
                           0.06f};
      if (free(kBack, television, 0.03f)) {
        take(kBack, television);
        add_television(frame, television);
        return;
      }
    }
    if (chance(stream_, 0.6f)) {
      add_table_lamp(frame, stream_, palette_, box->u0 + 0.22f, height, 0.22f);
    }
    if (chance(stream_, 0.7f)) {
      add_vase(frame, stream_, palette_.second_accent, box->u1 - 0.25f, height, 0.2f);
    }
    taken_[kBack].push_back({box->u0, box->u1, height, height + 0.5f, 0, 0.3f});
    pictures_over(kBack, *box, height + 0.55f);
  }

  void rug(float middle, float d) {
    const Shell& shell = scene_.shell;
    const float half = stream_.uniform(0.9f, 1.4f);
    const float far_edge = std::min(d + stream_.uniform(1.1f, 1.7f), shell.depth - 0.3f);
    Frame frame = on(kBack);
    add_rug(frame,
            stream_,
            palette_,
            {std::max(middle - half, shell.left + 0.15f),
             std::min(middle + half, shell.right - 0.15f),
             0,
             0,
             d,
             far_edge});
  }

  void armchair() {
    const Surface wall = side();
    const auto box = place(wall, stream_.uniform(0.78f, 0.95f), 0, 0.92f, kSofaDepth);
    if (!box) return;
    Frame frame = on(wall);
    Palette other = palette_;
    other.main_fabric = palette_.accent;
    add_sofa(frame, stream_, other, box->u0, box->u1 - box->u0);
  }

  void shelf() {
    const float y = stream_.uniform(1.3f, 1.75f);
    const auto box = place(kBack, stream_.uniform(0.6f, 1.2f), y, y + 0.35f, 0.22f);
    if (!box) return;
    Frame frame = on(kBack);
    add_wall_shelf(frame, stream_, palette_, *box);
  }

  void shelf_unit(Surface wall) {
    const float height = stream_.uniform(1.2f, 2.05f), depth = stream_.uniform(0.28f, 0.36f);
    const auto box = place(wall, stream_.uniform(0.65f, 1.2f), 0, height, depth);
    if (!box) return;
    Frame frame = on(wall);
    const Box bounds{box->u0, box->u1, 0, height, 0.01f, depth};
    if (chance(stream_, 0.6f)) {
      add_bookshelf(frame, stream_, palette_, bounds);
    } else {
      add_sideboard(frame, stream_, palette_, bounds);
    }
  }

  void corner_things(float lamp, float plant) {
    Frame frame = on(kBack);
    if (chance(stream_, lamp)) {
      if (const auto box = place(kBack, 0.42f, 0, 1.6f, 0.5f)) {
        add_floor_lamp(frame, stream_, palette_, box->u0 + 0.21f, stream_.uniform(0.25f, 0.5f));
      }
    }
    if (chance(stream_, plant)) {
      if (const auto box = place(kBack, 0.5f, 0, 1.0f, 0.5f)) {
        add_plant(frame, stream_, palette_, box->u0 + 0.25f, stream_.uniform(0.25f, 0.45f));
      }
    }
  }

  void lights() {
    const Shell& shell = scene_.shell;
    const float warmth = stream_.uniform(-1, 1);
    const Linear tint = {1 + 0.05f * warmth, 1.0f, 1 - 0.08f * warmth};
    scene_.ambient = scaled(tint, stream_.uniform(0.34f, 0.5f));
    Light key;
    key.reach = stream_.uniform(1.6f, 2.8f);
    key.wrap = 0.3f;
    const float strength = stream_.uniform(0.55f, 1.1f);
    if (!windows_.empty()) {
      const auto& [wall, box] = windows_.front();
      const float u = 0.5f * (box.u0 + box.u1), y = 0.5f * (box.y0 + box.y1) + 0.3f;
      const float inside = 0.35f;
      key.position = wall == kBack   ? std::array{u, y, shell.depth - inside}
                     : wall == kLeft ? std::array{shell.left + inside, y, u}
                                     : std::array{shell.right - inside, y, u};
      key.color = scaled({0.96f, 1.0f, 1.06f}, strength);
      key.reach *= 0.8f;
      scene_.ambient = scaled(scene_.ambient, 1.12f);
    } else {
      key.position = {stream_.uniform(0.7f * shell.left, 0.7f * shell.right),
                      shell.height - stream_.uniform(0.1f, 0.6f),
                      stream_.uniform(-0.3f, 0.5f) * shell.depth};
      key.color = scaled(tint, 1.2f * strength);
    }
    scene_.lights.insert(scene_.lights.begin(), key);
    scene_.corner_darkness = stream_.uniform(0.1f, 0.28f);
    scene_.corner_width = stream_.uniform(0.12f, 0.3f);
    scene_.noise = stream_.uniform(0.0025f, 0.006f);
  }

  struct Opening {
    Surface wall;
    Box box;
  };

  Scene& scene_;
  RandomStream& stream_;
  Palette palette_;
  Surface window_wall_ = kBack;
  std::array<std::vector<Box>, 3> taken_;
  std::vector<Opening> windows_;
};

}  // namespace

Scene draw_scene(RandomStream& stream) {
  Scene scene;
  Shell& shell = scene.shell;
  const float width = stream.uniform(3.3f, 5.0f), camera_at = stream.uniform(0.3f, 0.7f);
  shell.left = -width * camera_at;
  shell.right = width * (1 - camera_at);
  shell.height = stream.uniform(2.4f, 2.95f);
  shell.depth = stream.uniform(3.2f, 5.0f);

  Camera& camera = scene.camera;
  camera.eye = stream.uniform(1.2f, 1.55f);
  // The share of the picture's width that the back wall takes.
  const float share = stream.uniform(0.55f, 0.98f);
  camera.focal = share * shell.depth / width;
  // Keep the middle of the back wall near the middle of the picture.
  camera.vanishing_x = 0.5f + share * (camera_at - 0.5f) + stream.uniform(-0.06f, 0.06f);
  camera.vanishing_y = stream.uniform(0.42f, 0.52f);

  Furnisher(scene, stream).furnish();
  return scene;
}

}  // namespace limewash::data::rooms
