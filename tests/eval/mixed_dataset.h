#pragma once
// A prepared dataset of two sizes in a temporary folder: square procedural rooms, and wide photos
// cut from others, of which nothing is known exactly.

#include "data/image_io.h"
#include "tests/eval/room_dataset.h"

namespace limewash::eval {

/// `rooms` of 64 x 64 and `wide` photos of 96 x 64.
class MixedDataset {
 public:
  MixedDataset(int64_t rooms, int64_t wide) : rooms_(rooms, 64), large_(wide, 96) {
    const std::filesystem::path from = large_.folder() / "rooms", to = rooms_.folder() / "rooms";
    for (const auto& entry : std::filesystem::directory_iterator(from / "images")) {
      const std::string name = entry.path().filename().string();
      data::Image image = data::read_image(entry.path());
      data::Mask mask = data::read_mask(from / "masks" / name);
      image.pixels.resize(64 * 96 * 3);
      image.height = 64;
      mask.pixels.resize(64 * 96);
      mask.height = 64;
      data::write_png(to / "images" / ("wide-" + name), image);
      data::write_png(to / "masks" / ("wide-" + name), mask);
    }
    data::PrepareOptions prepare;
    prepare.images = (to / "images").string();
    prepare.masks = (to / "masks").string();
    prepare.out = (rooms_.folder() / "mixed").string();
    prepare.buckets = {"64x64", "96x64"};
    prepare.shard_size = 2;
    prepare.wall_share = {0.01, 1};
    prepare.workers = 1;
    data::prepare(prepare);
  }

  data::Dataset open() const {
    return data::Dataset(rooms_.folder() / "mixed");
  }
  const std::filesystem::path& folder() const {
    return rooms_.folder();
  }

 private:
  RoomDataset rooms_, large_;
};

}  // namespace limewash::eval
