#pragma once
// A prepared dataset of procedural rooms in a temporary folder.

#include <filesystem>
#include <string>
#include <unistd.h>

#include "data/dataset.h"
#include "data/prepare.h"
#include "data/synthesize.h"

namespace limewash::eval {

/// `count` rooms of `size` pixels a side, there as long as the object.
class RoomDataset {
 public:
  RoomDataset(int64_t count, int64_t size) {
    std::string pattern = (std::filesystem::temp_directory_path() / "limewash-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = pattern;
    data::SynthesizeOptions rooms;
    rooms.out = (folder_ / "rooms").string();
    rooms.count = count;
    rooms.size = size;
    rooms.threads = 1;
    data::synthesize(rooms);
    data::PrepareOptions prepare;
    prepare.images = (folder_ / "rooms/images").string();
    prepare.masks = (folder_ / "rooms/masks").string();
    prepare.out = (folder_ / "dataset").string();
    prepare.size = size;
    prepare.workers = 1;
    data::prepare(prepare);
  }
  ~RoomDataset() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  RoomDataset(const RoomDataset&) = delete;
  RoomDataset& operator=(const RoomDataset&) = delete;

  data::Dataset open() const {
    return data::Dataset(folder_ / "dataset");
  }
  const std::filesystem::path& folder() const {
    return folder_;
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace limewash::eval
