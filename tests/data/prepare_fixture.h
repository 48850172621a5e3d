#pragma once
// A folder of photos and masks for the tests of prepare.

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "data/prepare.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {

/// Write a picture; its folder is made.
void save(const std::filesystem::path& path, const Image& photo);
void save(const std::filesystem::path& path, const Mask& mask);

/// A folder of photos and masks, and the options that prepare it.
class PrepareTest : public testing::Test {
 protected:
  PrepareTest() {
    options.images = (folder / "images").string();
    options.masks = (folder / "masks").string();
    options.out = (folder / "out").string();
    options.size = 32;
    options.shard_size = 4;
    options.workers = 2;
  }

  void add(const std::string& name, int number, int64_t height = 48, int64_t width = 64) {
    save(folder / ("images/" + name), plain_photo(height, width, number));
    save(mask_path(name), striped_mask(height, width, 0, width / 2));
  }

  std::filesystem::path mask_path(const std::string& name) const {
    return (folder / "masks" / name).replace_extension(".png");
  }

  std::string detail_of(const PrepareReport& report, const std::string& photo) const {
    for (const Rejection& rejection : report.rejections)
      if (rejection.photo == photo) return rejection.reason + ": " + rejection.detail;
    return "not rejected";
  }

  TemporaryFolder folder;
  PrepareOptions options;
};

}  // namespace limewash::data
