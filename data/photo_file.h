#pragma once
// A photo in a file, of which only what is needed is decoded.

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/crop_scale.h"
#include "data/image.h"

namespace limewash::data {

/// Some of a photo's pixels, and where in them those are that were asked for.
struct PhotoPart {
  Image image;
  Rectangle part;
};

class PhotoFile {
 public:
  /// Reads the file and its header. Throws as read_image.
  explicit PhotoFile(const std::filesystem::path& path);
  ~PhotoFile();
  PhotoFile(PhotoFile&&) = default;
  PhotoFile& operator=(PhotoFile&&) = default;

  /// Of the upright picture.
  int64_t height() const;
  int64_t width() const;

  /// The pixels of `part` of the upright picture, equal to those of read_image. Throws wherever
  /// read_image does. To be called once.
  PhotoPart decode(const Rectangle& part);

  /// Throws wherever decode does, but makes hardly any pixels. Does nothing after decode.
  void check() const;

 private:
  std::string name_, bytes_;
  int64_t height_ = 0, width_ = 0;
  int orientation_ = 1;
  Image whole_;         ///< of formats that are decoded at once
  bool sound_ = false;  ///< decoded without an error
};

}  // namespace limewash::data
